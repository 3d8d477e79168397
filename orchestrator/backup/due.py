"""Place what is due: the task that `vdbmon serve` runs under its lease, again and again.

Every run and every verification has a request id of its own, derived from what it is for: whatever is killed in
between, the ledger takes it once. A run that no host takes is tried again until it is missed; a launch that failed is
not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from collector import schedule_metrics as metrics
from collector.errors import VdbmonError
from collector.metrics import Metric, Sample
from orchestrator.backup.chains import by_id, restorable
from orchestrator.backup.entries import VOLUME_KINDS, Backup
from orchestrator.backup.inputs import JobOptions
from orchestrator.backup.job_names import JobName
from orchestrator.backup.runner.record import Kind, State
from orchestrator.backup.schedules import due, next_due, run_id, run_name, verification_id
from orchestrator.backup.settings import ScheduleSettings
from orchestrator.ledger import LaunchRecord, LaunchState, Ledger, ScheduleProgress
from orchestrator.placement.requests import Sizes, Wanted
from orchestrator.placement.scheduler import Scheduler

_VERIFICATION_SUFFIX = "-v"


@dataclass(frozen=True, slots=True)
class Standing:
    """A schedule and how far it is."""

    schedule: ScheduleSettings
    progress: ScheduleProgress


def place_due(scheduler: Scheduler) -> tuple[Standing, ...]:
    """Place all runs that are due and verifications that are owed, and remove containers that are done.

    Raises:
        LedgerError: the ledger doesn't answer, or the lease is lost.
    """
    for schedule in scheduler.fleet.schedules:
        _run(scheduler, schedule)
        if schedule.verify is not None:
            _verify_newest(scheduler, schedule)
        _clear(scheduler, schedule)
    return standings(scheduler.ledger, scheduler.fleet.schedules, now=scheduler.clock())


def standings(ledger: Ledger, schedules: Iterable[ScheduleSettings], *, now: float) -> tuple[Standing, ...]:
    """How far the schedules are; one that was never run begins now."""
    known = {progress.name: progress for progress in ledger.schedules.all()}
    return tuple(
        Standing(item, known.get(item.name, ScheduleProgress(name=item.name, since=now, settled_until=now)))
        for item in schedules
    )


def schedule_samples(found: Iterable[Standing], *, now: float) -> Iterator[Sample]:
    """What Prometheus is told: schedules of one source and job are one promise, the strictest counts."""
    ages: dict[tuple[str, str], float] = {}
    since: dict[tuple[str, str], float] = {}
    coming: dict[tuple[str, str], float] = {}
    missed: dict[tuple[str, str], float] = {}
    for standing in found:
        schedule, progress = standing.schedule, standing.progress
        key = schedule.source, schedule.job.value
        _least(ages, key, schedule.fresh)
        _least(since, key, progress.since)
        _least(coming, key, next_due(schedule, after=now))
        missed[key] = missed.get(key, 0) + progress.missed
        if schedule.verify is not None:
            verification = schedule.source, JobName.VERIFY.value
            _least(ages, verification, schedule.verify)
            _least(since, verification, progress.since)
    of: tuple[tuple[Metric, dict[tuple[str, str], float]], ...] = (
        (metrics.MAX_AGE, ages),
        (metrics.SINCE, since),
        (metrics.NEXT, coming),
        (metrics.MISSED, missed),
    )
    for metric, values in of:
        for labels, value in values.items():
            yield metric.sample(value, *labels)


def _run(scheduler: Scheduler, schedule: ScheduleSettings) -> None:
    book, now = scheduler.ledger.schedules, scheduler.clock()
    progress = book.progress(schedule.name, at=now)
    found = due(schedule, settled_until=progress.settled_until, now=now)
    if found.missed_until is not None:
        why = progress.waiting_for or "nothing was there to place it"
        book.settle(schedule.name, until=found.missed_until, at=now, missed=found.missed, why=why)
    if found.run is None:
        return
    options = JobOptions(incremental=schedule.incremental, or_full=True, full_every=schedule.full_every)
    request_id = run_id(schedule.name, found.run)
    sizes = Sizes(given=schedule.size if isinstance(schedule.size, dict) else {}, usual=schedule.size == "auto")
    name = run_name(schedule.name, found.run)
    refusal = _place_once(scheduler, request_id, name, schedule.source, job=schedule.job, options=options, sizes=sizes)
    record = scheduler.ledger.launch(request_id)
    if record is None:
        book.wait(schedule.name, refusal or "it could not be placed")
    elif _never_ran(record):
        book.settle(schedule.name, until=found.run, at=now, missed=1, why=refusal or "its launch failed")
    else:
        book.settle(schedule.name, until=found.run, at=now, placed=True)


def _verify_newest(scheduler: Scheduler, schedule: ScheduleSettings) -> None:
    """Verify the last good backup of this schedule, once."""
    backups = scheduler.ledger.backups.all(source=schedule.source)
    backup = _newest_of(schedule, backups)
    if backup is None or backup.state is State.VERIFIED:
        return
    run, _, _ = backup.id.rpartition("-")
    _place_once(
        scheduler,
        verification_id(backup.id),
        f"{run}{_VERIFICATION_SUFFIX}",
        schedule.source,
        job=JobName.VERIFY,
        options=JobOptions(backup=backup.id),
        sizes=Sizes(given={}, usual=True),
    )


def _newest_of(schedule: ScheduleSettings, backups: tuple[Backup, ...]) -> Backup | None:
    known = by_id(backups)
    pattern = re.compile(rf"{re.escape(schedule.name)}-\d{{8}}-\d{{4}}-[0-9a-f]{{8}}")
    own = (
        item
        for item in reversed(backups)
        if item.kind in VOLUME_KINDS - {Kind.BINLOG} and pattern.fullmatch(item.id) and restorable(item, known)
    )
    return next(own, None)


def _place_once(
    scheduler: Scheduler,
    request_id: str,
    name: str,
    source: str,
    *,
    job: JobName,
    options: JobOptions,
    sizes: Sizes,
) -> str | None:
    """Place a request unless the ledger has it; why it wasn't placed. Refusals don't fill the record."""
    if scheduler.ledger.launch(request_id) is not None:
        return None
    try:
        amounts = scheduler.amounts(sizes, job, options, source=source)
        wanted = Wanted(name=name, source=source, job=job, amounts=amounts, options=options)
        request = replace(scheduler.wanted(wanted), request_id=request_id)
        decision = scheduler.decide(request)
        if decision.accepted:
            decision = scheduler.place(request, decided=lambda _: None).decision
    except VdbmonError as error:
        return str(error)
    if decision.accepted:
        return None
    reasons = (reason.sentence for verdict in decision.verdicts for reason in verdict.reasons)
    return "; ".join(dict.fromkeys(reasons)) or decision.why


def _clear(scheduler: Scheduler, schedule: ScheduleSettings) -> None:
    """Remove containers that are done, and those that failed once a later run has ended; good backups stay."""
    pattern = re.compile(rf"{re.escape(schedule.name)}-\d{{8}}-\d{{4}}({_VERIFICATION_SUFFIX})?")
    ended = [
        record
        for record in scheduler.ledger.launches()
        if record.state in {LaunchState.DONE, LaunchState.FAILED} and pattern.fullmatch(record.name)
    ]
    for job in {record.job for record in ended}:
        *older, newest = [record for record in ended if record.job == job]
        for record in (*older, *([newest] if newest.state is LaunchState.DONE else [])):
            with suppress(VdbmonError):  # an engine that doesn't answer: the next time
                scheduler.remover().remove(record.name, with_volume=False, engine_lost=False)


def _never_ran(record: LaunchRecord) -> bool:
    return record.state is LaunchState.REMOVED and record.outcome is None


def _least(values: dict[tuple[str, str], float], key: tuple[str, str], value: float | None) -> None:
    if value is not None:
        values[key] = min(value, values.get(key, value))
