"""Reconcile the ledger with what every host really runs: finish or undo, settle, remove; and say what is left.

It is safe beside launches that are under way, beside removals, and beside another reconcile:

- a launch is mended only if its owner has given no sign of life for SILENT_AFTER, and under a turn of one's own
  (`orchestrator.ledger.turns`): an owner who was only slow can't write any more, and takes back what he makes then;
- a host is looked at before the ledger is read, and an intent is written before anything is made, so nothing that is
  just being made can look like a leak;
- what belongs to no launch goes only if it carries the id of a request that this ledger has removed, and was seen so
  twice, GRACE_SECONDS apart: ids never come again;
- only the engine that the ledger knows by its fingerprint is touched, and a host that doesn't answer keeps everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from collector.errors import VdbmonError
from orchestrator.engines.engine import EngineUnreachableError
from orchestrator.launch import Networks, remove_own
from orchestrator.ledger import Event, LaunchRecord, LaunchState, Ledger, Sighting, TakenOverError
from orchestrator.placement.removal import REMOVE, Remover, holds_backup
from orchestrator.placement.settle import settle
from orchestrator.reconcile.book import book_of
from orchestrator.reconcile.findings import look
from orchestrator.reconcile.leaks import Leak, LeakKind, find_leaks, is_silent
from orchestrator.reconcile.mend import Ground, mend
from orchestrator.survey.deadline import ask_all

RECONCILE_SECONDS = 120.0
"""For all hosts together, which are visited at the same time."""

GRACE_SECONDS = 300.0
"""Between the first sighting of a leak and the one after which it goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgedLeak:
    """A leak, with its age in seconds (None where nobody knows) and how often reconcile saw it in a row."""

    leak: Leak
    age: float | None
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What was done, and what is left.

    Attributes:
        finished: launches that had stopped halfway and run now, or have run.
        undone: launches that had stopped halfway and of which nothing is left.
        removals: launches whose removal had stopped halfway and is finished.
        settled: jobs that were seen to have ended.
        removed: leaks that were removed.
        leaks: that are left.
        unvisited: hosts where nothing was done, and why; they keep what they hold.
        errors: by host, what could not be mended now.
    """

    finished: tuple[LaunchRecord, ...] = ()
    undone: tuple[LaunchRecord, ...] = ()
    removals: tuple[LaunchRecord, ...] = ()
    settled: tuple[LaunchRecord, ...] = ()
    removed: tuple[Leak, ...] = ()
    leaks: tuple[AgedLeak, ...] = ()
    unvisited: Mapping[str, str] = field(default_factory=dict)
    errors: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciler:
    """Visits hosts. `ground` raises VdbmonError for a host that can't be worked on."""

    hosts: Mapping[str, frozenset[str]]
    """Address pools by host."""
    ledger: Ledger
    ground: Callable[[str], Ground]
    networks: Networks | None
    remover: Remover
    clock: Callable[[], float]
    grace: float = GRACE_SECONDS
    seconds: float = RECONCILE_SECONDS

    def run(self) -> Reconciliation:
        """Visit all hosts at once.

        Raises:
            LedgerError: the ledger doesn't answer.
        """
        fingerprints = self.ledger.engine_fingerprints()
        visits = {
            host: partial(self._visit, host, fingerprints[host]) for host in sorted(self.hosts) if host in fingerprints
        }
        answers = ask_all(visits, seconds=self.seconds)
        done = [answer for answer in answers.values() if isinstance(answer, Reconciliation)]
        unvisited = {
            host: answer.message if isinstance(answer, VdbmonError) else f"it doesn't answer within {self.seconds:g} s"
            for host in visits
            if not isinstance(answer := answers.get(host), Reconciliation)
        }
        unvisited |= {
            record.host: "it is not in [[hosts]]" for record in self.ledger.launches() if record.host not in self.hosts
        }
        return replace(_together(done), unvisited=unvisited)

    def _visit(self, host: str, fingerprint: str) -> Reconciliation:
        ground = self.ground(host)
        found = ground.engine.probe().fingerprint
        if found != fingerprint:
            raise VdbmonError(
                "engine.unknown", f"it has another engine ({found}) than the one that ran its launches ({fingerprint})"
            )
        visit = _Visit(self, ground)
        try:
            visit.launches()
            visit.leaks()
        except EngineUnreachableError as error:
            visit.failed(error.message)
        return visit.result


class _Visit:
    """One host's part of a run."""

    def __init__(self, reconciler: Reconciler, ground: Ground) -> None:
        self._all = reconciler
        self._ground = ground
        self._now = reconciler.clock()
        self.result = Reconciliation()

    def launches(self) -> None:
        """Settle what ended, finish or undo what stopped halfway."""
        for record in self._all.ledger.launches():
            if record.host != self._ground.host:
                continue
            try:
                self._launch(record)
            except EngineUnreachableError:
                raise
            except TakenOverError:
                continue
            except VdbmonError as error:
                self.failed(f"{record.name}: {error.message}")

    def _launch(self, record: LaunchRecord) -> None:
        if is_silent(record, self._now):
            if record.step == REMOVE:
                self._all.remover.finish(record)
                self.result = replace(self.result, removals=(*self.result.removals, record))
                return
            if record.state in {LaunchState.INTENT, LaunchState.CREATED}:
                self._mend(record)
                return
        if record.state is LaunchState.RUNNING:
            self._settle(record)

    def _mend(self, record: LaunchRecord) -> None:
        if mend(record, self._ground) is LaunchState.REMOVED:
            self.result = replace(self.result, undone=(*self.result.undone, record))
            return
        self.result = replace(self.result, finished=(*self.result.finished, record))
        now = self._all.ledger.launch(record.request_id)
        if now is not None:
            self._settle(now)

    def _settle(self, record: LaunchRecord) -> None:
        ground = self._ground
        after = settle(record, engine=ground.engine, ledger=ground.ledger, clock=ground.clock)
        if after.state is not record.state:
            self.result = replace(self.result, settled=(*self.result.settled, after))

    def leaks(self) -> None:
        """Look for what belongs to no launch; remove what was seen before and is past its grace."""
        ground, ledger = self._ground, self._all.ledger
        found = look(ground.host, ground.engine, ground.volumes, self._all.networks)
        book = book_of(found, ledger, ground.addresses, self._all.hosts[ground.host])
        leaks = find_leaks(found, book, now=self._now)
        seen = ledger.see(ground.host, [(leak.kind.value, leak.identity) for leak in leaks], at=self._now)
        sightings = {(item.kind, item.identity): item for item in seen}
        for leak in leaks:
            sighting = sightings[leak.kind.value, leak.identity]
            if leak.mendable and sighting.times > 1 and self._now - sighting.first_seen >= self._all.grace:
                left = self._remove(leak)
            else:
                left = leak
            if left is not None:
                aged = AgedLeak(leak=left, age=age_of(left, sighting, self._now), times=sighting.times)
                self.result = replace(self.result, leaks=(*self.result.leaks, aged))

    def _remove(self, leak: Leak) -> Leak | None:
        """Remove it; what is left of it."""
        ground = self._ground
        try:
            match leak.kind:
                case LeakKind.CONTAINER:
                    remove_own(ground.engine, leak.identity, leak.request_id or "")
                case LeakKind.VOLUME | LeakKind.LOOP_DEVICE:
                    if leak.kind is LeakKind.VOLUME and holds_backup(ground.volumes, leak.identity):
                        return replace(leak, code="volume.holds_backup", text="it holds a good backup, so it stays")
                    ground.volumes.remove(leak.identity)
                case LeakKind.ADDRESS if ground.addresses is not None:
                    ground.addresses.give_back(leak.request_id or "")
                case _:
                    return leak
        except EngineUnreachableError:
            raise
        except VdbmonError as error:
            self.failed(f"{leak.kind} {leak.name}: {error.message}")
            return leak
        self._record(leak)
        self.result = replace(self.result, removed=(*self.result.removed, leak))
        return None

    def _record(self, leak: Leak) -> None:
        detail = {"kind": leak.kind.value, "identity": leak.identity, "code": leak.code}
        event = Event(
            at=self._now, kind="leak.removed", request_id=leak.request_id, host=leak.host, name=leak.name, detail=detail
        )
        self._all.ledger.record(event)

    def failed(self, sentence: str) -> None:
        """What could not be mended now; the next run tries again."""
        self.result = replace(self.result, errors=(*self.result.errors, (self._ground.host, sentence)))


def age_of(leak: Leak, sighting: Sighting | None, now: float) -> float | None:
    """Seconds since it is known to be there."""
    known = [since for since in (leak.since, sighting.first_seen if sighting else None) if since is not None]
    return max(now - min(known), 0.0) if known else None


def _together(parts: list[Reconciliation]) -> Reconciliation:
    return Reconciliation(
        finished=tuple(item for part in parts for item in part.finished),
        undone=tuple(item for part in parts for item in part.undone),
        removals=tuple(item for part in parts for item in part.removals),
        settled=tuple(item for part in parts for item in part.settled),
        removed=tuple(item for part in parts for item in part.removed),
        leaks=tuple(item for part in parts for item in part.leaks),
        errors=tuple(item for part in parts for item in part.errors),
    )
