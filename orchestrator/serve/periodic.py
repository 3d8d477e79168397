"""What serve does on its beat: the list of its tasks. A new one is one function and one line in `periodic_tasks`."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable
from functools import partial
from typing import TypeVar

from collector.errors import VdbmonError
from collector.quantities import Seconds
from orchestrator.backup.due import AT_ONCE, place_due
from orchestrator.backup.side_by_side import SideBySide
from orchestrator.backup.standings import schedule_samples, standings
from orchestrator.backup.upkeep import catalogue_samples, keep_up, newest_samples
from orchestrator.capacity.figures import capacity
from orchestrator.capacity.forecast import read_history
from orchestrator.decision.snapshot import EngineState
from orchestrator.placement.scheduler import Scheduler
from orchestrator.reconcile import reconciler
from orchestrator.reconcile.run import RECONCILE_SECONDS
from orchestrator.serve.findings import RECONCILED, Findings, FleetCapacity, Group
from orchestrator.serve.tally import Tally
from orchestrator.serve.tasks import Task
from orchestrator.survey.prometheus import PrometheusClient

RECONCILE_EVERY = 30.0
"""Its times are minutes (`SILENT_AFTER`, `GRACE_SECONDS`); what has ended is settled by every survey."""

SCHEDULES_EVERY = 15.0
"""A run starts so late at the most, with what a round waits for launches."""

BACKUPS_EVERY = 30.0
PRUNE_EVERY = 60.0
HISTORY_EVERY = 3600.0
HISTORY_SECONDS = 20.0
"""Silence of Prometheus that the growth of four weeks is worth waiting for."""

_STALE_BEATS = 3
_SLACK = 10.0
_LAUNCH_WAIT = 10.0  # they go on after that
_SCHEDULES_DEADLINE = 60.0
_BACKUPS_DEADLINE = 120.0
_RECONCILE_DEADLINE = RECONCILE_SECONDS + _SLACK

Key = TypeVar("Key", bound=Hashable)


def new_findings(interval: Seconds) -> Findings:
    """Nothing found yet; what is older than three runs of its task won't be told."""
    return Findings(
        stale_after=_STALE_BEATS * interval + _SLACK,
        leaks_stale_after=_STALE_BEATS * RECONCILE_EVERY + _RECONCILE_DEADLINE,
        history_stale_after=_STALE_BEATS * HISTORY_EVERY,
    )


def periodic_tasks(findings: Findings) -> tuple[Task, ...]:
    """All tasks, for one time of holding the lease."""
    return (
        Task(name="survey", run=partial(survey, findings)),
        Task(name="reconcile", every=RECONCILE_EVERY, deadline=_RECONCILE_DEADLINE, run=partial(reconcile, findings)),
        Task(name="schedules", every=SCHEDULES_EVERY, deadline=_SCHEDULES_DEADLINE, run=schedules(findings)),
        Task(name="backups", every=BACKUPS_EVERY, deadline=_BACKUPS_DEADLINE, run=partial(backups, findings)),
        Task(name="launches", run=partial(count_launches, findings)),
        Task(name="record", run=count_record(findings)),
        Task(name="prune", every=PRUNE_EVERY, run=partial(prune, findings)),
        Task(name="history", every=HISTORY_EVERY, run=partial(history, findings)),
    )


def survey(findings: Findings, scheduler: Scheduler) -> None:
    """Ask all engines and Prometheus; what has ended gives its room back."""
    snapshot = scheduler.snapshot()
    found = FleetCapacity(
        taken_at=snapshot.taken_at,
        hosts=capacity(snapshot),
        engines={host.name: isinstance(host.engine, EngineState) for host in snapshot.hosts},
        pools=snapshot.pools,
    )
    findings.capacity.put(found)


def reconcile(findings: Findings, scheduler: Scheduler) -> None:
    """Finish or undo what stopped halfway, and tell what leaks.

    Raises:
        VdbmonError: `reconcile.incomplete`, what could not be mended now; hosts that don't answer are none of it.
    """
    done = reconciler(scheduler).run()
    now = scheduler.clock()
    leaks = (((item.leak.host, item.leak.kind.value), now - (item.age or 0.0)) for item in done.leaks)
    findings.leaks.put(grouped(leaks))
    for action in RECONCILED:
        findings.counts.reconciled[action] += len(getattr(done, action))
    if done.errors:
        sentences = "; ".join(f"{host}: {sentence}" for host, sentence in done.errors)
        raise VdbmonError("reconcile.incomplete", sentences)


def schedules(findings: Findings) -> Callable[[Scheduler], None]:
    """Place what is due, and tell what is promised; a launch that hangs holds up its own schedule alone."""
    side_by_side = SideBySide(AT_ONCE)

    def place(scheduler: Scheduler) -> None:
        now = scheduler.clock()
        # Before as well: while launches are waited for, what is promised must not be missing in /metrics.
        known = standings(scheduler.ledger, scheduler.fleet.schedules, now=now)
        findings.tell("schedules", tuple(schedule_samples(known, now=now)))
        placed = place_due(scheduler, side_by_side, seconds=_LAUNCH_WAIT)
        findings.tell("schedules", tuple(schedule_samples(placed, now=scheduler.clock())))

    return place


def backups(findings: Findings, scheduler: Scheduler) -> None:
    """Keep the catalogue up to date, and tell how the backups are.

    Raises:
        VdbmonError: as `keep_up`.
    """
    found = keep_up(scheduler.ledger, lambda host: scheduler.parts(host).volumes)
    max_age = _STALE_BEATS * BACKUPS_EVERY + _BACKUPS_DEADLINE
    findings.tell("backups", (*catalogue_samples(found), *newest_samples(found)), max_age=max_age)


def count_launches(findings: Findings, scheduler: Scheduler) -> None:
    """See which launches hold something, and since when they are in their state."""
    records = scheduler.ledger.launches()
    findings.launches.put(grouped(((record.host, record.state), record.updated_at) for record in records))


def count_record(findings: Findings) -> Callable[[Scheduler], None]:
    """Count what was decided and done since the lease is held."""
    tally: Tally | None = None

    def count(scheduler: Scheduler) -> None:
        nonlocal tally
        tally = tally or Tally(scheduler.ledger)
        tally.update(scheduler.ledger, findings.counts)

    return count


def prune(findings: Findings, scheduler: Scheduler) -> None:
    """Delete what the record need not keep."""
    kept = scheduler.fleet.ledger
    findings.counts.pruned += scheduler.ledger.prune(before=scheduler.clock() - kept.keep, keep=kept.keep_entries)


def history(findings: Findings, scheduler: Scheduler) -> None:
    """Read how the fleet has grown."""
    client = PrometheusClient(scheduler.fleet.prometheus.url, timeout=HISTORY_SECONDS)
    findings.history.put(read_history(client, scheduler.fleet.volumes.dir, now=time.time()))


def grouped(items: Iterable[tuple[Key, float]]) -> dict[Key, Group]:
    """Items with the time since when they are so, counted by key."""
    times: dict[Key, list[float]] = {}
    for key, since in items:
        times.setdefault(key, []).append(since)
    return {key: Group(len(found), min(found)) for key, found in times.items()}
