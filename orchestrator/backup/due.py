"""Place what is due: the task that `vdbmon serve` runs under its lease, again and again.

Schedules are tended side by side. A run that can't be placed is tried again, after longer and longer pauses, until its
time is over: it is missed then, and what every host had against it is kept. The requests of a run follow from what it
is for and from how many before it were undone, so whatever is killed in between, the ledger takes each once; while a
launch is not known to have failed (its engine hangs) the run is neither placed again nor missed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from collector.errors import VdbmonError
from collector.quantities import Seconds
from orchestrator.backup.chains import by_id, restorable
from orchestrator.backup.entries import VOLUME_KINDS, Backup
from orchestrator.backup.inputs import JobOptions
from orchestrator.backup.job_names import JobName
from orchestrator.backup.runner.record import Kind, State
from orchestrator.backup.schedules import due, retry_after, run_id, run_name, verification_id
from orchestrator.backup.settings import ScheduleSettings
from orchestrator.backup.side_by_side import SideBySide
from orchestrator.backup.standings import Standing, standings, verifications_of
from orchestrator.decision.decide import Decision, choose
from orchestrator.decision.request import NO_WISHES, Request, Wishes
from orchestrator.ledger import Hindrance, LaunchRecord, LaunchState, Ledger, Miss
from orchestrator.placement.requests import Sizes, Wanted
from orchestrator.placement.scheduler import Scheduler

AT_ONCE = 8
"""Schedules that are tended at the same time: a launch takes seconds, and minutes where an engine hangs."""

_VERIFICATION_SUFFIX = "-v"
_NAMED = 3
_NOBODY = Hindrance(why="vdbmon serve didn't run, or was held up")


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """Something that is to be placed once.

    Attributes:
        identity: its request after so many launches that were undone.
        sizes: None for what earlier runs needed.
    """

    name: str
    source: str
    job: JobName
    identity: Callable[[int], str]
    options: JobOptions
    sizes: Sizes
    wishes: Wishes = NO_WISHES

    def launches(self, ledger: Ledger) -> tuple[LaunchRecord, ...]:
        """All launches that it came to so far, oldest first; only of the last one it can be that it runs, or ran."""
        found: list[LaunchRecord] = []
        while (record := ledger.launch(self.identity(len(found)))) is not None:
            found.append(record)
        return tuple(found)


def place_due(
    scheduler: Scheduler, side_by_side: SideBySide | None = None, *, seconds: Seconds | None = None
) -> tuple[Standing, ...]:
    """Place all runs that are due and verifications that are owed, and remove containers that are done.

    Args:
        scheduler: places and removes.
        side_by_side: has what an earlier round began and this one leaves alone; None for a round of its own.
        seconds: how long launches are waited for; they go on after that. None for as long as it takes.

    Raises:
        LedgerError: the ledger doesn't answer, or the lease is lost.
    """
    schedules = scheduler.fleet.schedules
    launches = scheduler.ledger.launches()
    calls = {schedule.name: partial(_tend, scheduler, schedule, launches) for schedule in schedules}
    (side_by_side or SideBySide(AT_ONCE)).run(calls, seconds=seconds)
    return standings(scheduler.ledger, schedules, now=scheduler.clock())


def _tend(scheduler: Scheduler, schedule: ScheduleSettings, launches: tuple[LaunchRecord, ...]) -> None:
    _run(scheduler, schedule)
    if schedule.verify is not None:
        _verify_newest(scheduler, schedule)
    _clear(scheduler, schedule, launches)


def _run(scheduler: Scheduler, schedule: ScheduleSettings) -> None:
    book, now = scheduler.ledger.schedules, scheduler.clock()
    progress = book.progress(schedule.name, at=now)
    found = due(schedule, settled_until=progress.settled_until, now=now)
    if progress.trying is not None:
        last = _last(_run_errand(schedule, progress.trying).launches(scheduler.ledger))
        if last is not None and _ran(scheduler.ledger, last):
            book.placed(schedule.name, until=progress.trying)
            found = due(schedule, settled_until=progress.trying, now=now)
        elif last is not None and _under_way(last) and found.run in {None, progress.trying}:
            return  # reconcile finishes or undoes it; its time isn't over before that, or before the next one's
    if found.missed_until is not None:
        was_tried = progress.trying == found.missed_until and progress.hindrance is not None
        miss = Miss(
            due=found.missed_until,
            at=now,
            runs=found.missed,
            tries=progress.tries if was_tried else 0,
            hindrance=(progress.hindrance if was_tried else None) or _NOBODY,
        )
        book.missed(schedule.name, miss)
    if found.run is not None and _try(
        scheduler, _run_errand(schedule, found.run), book_name=schedule.name, due_at=found.run
    ):
        book.placed(schedule.name, until=found.run)


def _run_errand(schedule: ScheduleSettings, due_at: float) -> Errand:
    sizes = Sizes(given=schedule.size if isinstance(schedule.size, dict) else {}, usual=schedule.size == "auto")
    return Errand(
        name=run_name(schedule.name, due_at),
        source=schedule.source,
        job=schedule.job,
        identity=partial(run_id, schedule.name, due_at),
        options=JobOptions(incremental=schedule.incremental, or_full=True, full_every=schedule.full_every),
        sizes=sizes,
        wishes=Wishes(
            host=schedule.host,
            zone=schedule.zone,
            device_class=schedule.device_class,
            pool=schedule.pool,
            labels=schedule.labels,
            apart=schedule.apart,
        ),
    )


def _verify_newest(scheduler: Scheduler, schedule: ScheduleSettings) -> None:
    """Verify the last good backup of this schedule, once."""
    backup = _newest_of(schedule, scheduler.ledger.backups.all(source=schedule.source))
    if backup is None or backup.state is State.VERIFIED:
        return
    run, _, _ = backup.id.rpartition("-")
    errand = Errand(
        name=f"{run}{_VERIFICATION_SUFFIX}",
        source=schedule.source,
        job=JobName.VERIFY,
        identity=partial(verification_id, backup.id),
        options=JobOptions(backup=backup.id),
        sizes=Sizes(given={}, usual=True),
    )
    name, book = verifications_of(schedule.name), scheduler.ledger.schedules
    if _try(scheduler, errand, book_name=name, due_at=backup.finished_at):
        now = scheduler.clock()
        if book.progress(name, at=now).trying is not None:
            book.placed(name, until=now)


def _newest_of(schedule: ScheduleSettings, backups: tuple[Backup, ...]) -> Backup | None:
    known = by_id(backups)
    pattern = re.compile(rf"{re.escape(schedule.name)}-\d{{8}}-\d{{4}}-[0-9a-f]{{8}}")
    own = (
        item
        for item in reversed(backups)
        if item.kind in VOLUME_KINDS - {Kind.BINLOG} and pattern.fullmatch(item.id) and restorable(item, known)
    )
    return next(own, None)


def _try(scheduler: Scheduler, errand: Errand, *, book_name: str, due_at: float) -> bool:
    """Place an errand if it isn't placed yet and its time to be tried has come; whether it is placed now.

    If it isn't, why and when it is tried again is written.
    """
    ledger, book, now = scheduler.ledger, scheduler.ledger.schedules, scheduler.clock()
    launches = errand.launches(ledger)
    last, hindrance = _last(launches), None
    progress = book.progress(book_name, at=now)
    tries = progress.tries if progress.trying == due_at else 0
    if last is None or _undone(ledger, last):
        if progress.trying == due_at and progress.retry_at is not None and now < progress.retry_at:
            return False
        book.begin(book_name, due_at)
        hindrance = _place(scheduler, errand, launches)
        last = ledger.launch(errand.identity(len(launches)))
    if last is not None and _ran(ledger, last):
        return True
    if last is not None and _under_way(last):
        halted = Hindrance(why=f"its launch on {last.host} stopped at step {last.step or last.state}")
        book.wait(book_name, hindrance or halted, tries=tries, retry_at=None)
        return False
    again_at = scheduler.clock() + retry_after(tries + 1)
    book.wait(book_name, hindrance or Hindrance(why="its launch was undone"), tries=tries + 1, retry_at=again_at)
    return False


def _place(scheduler: Scheduler, errand: Errand, undone: tuple[LaunchRecord, ...]) -> Hindrance | None:
    """Place an errand under its next request; why it isn't launched. Refusals don't fill the record."""
    request_id = errand.identity(len(undone))
    try:
        amounts = scheduler.amounts(errand.sizes, errand.job, errand.options, source=errand.source)
        wanted = Wanted(
            name=errand.name,
            source=errand.source,
            job=errand.job,
            amounts=amounts,
            options=errand.options,
            wishes=errand.wishes,
        )
        request = replace(scheduler.wanted(wanted), request_id=request_id)
        decision = scheduler.decide(request)
        if decision.accepted:
            request = elsewhere(request, decision, {record.host for record in undone})
            decision = scheduler.place(request, decided=lambda _: None).decision
    except VdbmonError as error:
        launch = scheduler.ledger.launch(request_id)
        against = {} if launch is None else {launch.host: ((error.code, error.message),)}
        return Hindrance(why=str(error), against=against)
    return None if decision.accepted else refusal_of(decision)


def elsewhere(request: Request, decision: Decision, failed_on: set[str]) -> Request:
    """Not again on a host on which it failed, as long as another one would take it."""
    if decision.host not in failed_on:
        return request
    scores = {item.host: item.score for item in decision.verdicts if item.score and item.host not in failed_on}
    other = choose(scores)
    return request if other is None else replace(request, wishes=replace(request.wishes, host=other))


def refusal_of(decision: Decision) -> Hindrance:
    """What all hosts have against it; in the sentence each reason once, with the hosts that it is true of."""
    against = {
        verdict.host: tuple((str(reason.code), reason.sentence) for reason in verdict.reasons)
        for verdict in decision.verdicts
    }
    hosts: dict[str, list[str]] = {}
    for host, said in against.items():
        for _, sentence in said:
            hosts.setdefault(sentence, []).append(host)
    widest = sorted(hosts.items(), key=lambda item: -len(item[1]))
    why = "; ".join(f"{sentence} ({_some(names)})" for sentence, names in widest)
    return Hindrance(why=why or decision.why, against=against)


def _some(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= _NAMED else f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"


def _clear(scheduler: Scheduler, schedule: ScheduleSettings, launches: tuple[LaunchRecord, ...]) -> None:
    """Remove containers that are done, and those that failed once a later run has ended; good backups stay.

    `launches` are those of the beginning of the round: what has ended since then goes the next time.
    """
    pattern = re.compile(rf"{re.escape(schedule.name)}-\d{{8}}-\d{{4}}({_VERIFICATION_SUFFIX})?")
    ended = [
        record
        for record in launches
        if record.state in {LaunchState.DONE, LaunchState.FAILED} and pattern.fullmatch(record.name)
    ]
    for job in {record.job for record in ended}:
        *older, newest = [record for record in ended if record.job == job]
        for record in (*older, *([newest] if newest.state is LaunchState.DONE else [])):
            with suppress(VdbmonError):  # an engine that doesn't answer: the next time
                scheduler.remover().remove(record.name, with_volume=False, engine_lost=False)


def _last(launches: tuple[LaunchRecord, ...]) -> LaunchRecord | None:
    return launches[-1] if launches else None


def _under_way(record: LaunchRecord) -> bool:
    """Whether it is begun, and nobody knows yet whether it will run."""
    return record.state in {LaunchState.INTENT, LaunchState.CREATED}


def _ran(ledger: Ledger, record: LaunchRecord) -> bool:
    """Whether it runs, or ran and was removed since."""
    if record.state is not LaunchState.REMOVED:
        return not _under_way(record)
    if record.outcome is not None or record.volume is not None:  # one that keeps its volume has a good backup in it
        return True
    return any(event.kind == f"state.{LaunchState.RUNNING}" for event in ledger.events(record.request_id))


def _undone(ledger: Ledger, record: LaunchRecord) -> bool:
    return record.state is LaunchState.REMOVED and not _ran(ledger, record)
