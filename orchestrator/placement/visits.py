"""Visit hosts: ask their engines, and settle the jobs that have ended there (`orchestrator.placement.settle`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from orchestrator.decision.snapshot import EngineState
from orchestrator.engines.engine import Engine
from orchestrator.ledger import LaunchRecord, Ledger
from orchestrator.placement.outcomes import LaunchStatus
from orchestrator.placement.settle import settle
from orchestrator.survey.deadline import ask_all
from orchestrator.survey.fleet import SURVEY_SECONDS, engines_behind

_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What an engine said, and its launches as they are now."""

    engine: EngineState
    settled: tuple[LaunchRecord, ...]


def visitor(engines: Mapping[str, Engine], ledger: Ledger, clock: Callable[[], float]) -> Callable[[str], Visit]:
    """Visits a host; what has ended there gives its room back before the ledger is read for a decision.

    On an engine that isn't the known one nothing is settled: that a container isn't there says nothing then.
    """
    known, records = ledger.view().fingerprints, ledger.launches()

    def visit(host: str) -> Visit:
        engine = engines[host]
        state = engine.probe()
        if known.get(host, state.fingerprint) != state.fingerprint:
            return Visit(engine=state, settled=())
        own = (record for record in records if record.host == host)
        settled = tuple(settle(record, engine=engine, ledger=ledger, clock=clock) for record in own)
        return Visit(engine=state, settled=settled)

    return visit


def statuses(engines: Mapping[str, Engine], ledger: Ledger, clock: Callable[[], float]) -> tuple[LaunchStatus, ...]:
    """All launches that hold something, as they are now where their engine answers."""
    records = ledger.launches()
    hosts = sorted({record.host for record in records if record.host in engines})
    visit = visitor(engines, ledger, clock)
    calls: dict[str | None, Callable[[], Visit]] = {host: partial(visit, host) for host in hosts}
    answers = ask_all(calls, seconds=SURVEY_SECONDS, stragglers=engines_behind(engines))
    settled = [answer.settled for answer in answers.values() if isinstance(answer, Visit)]
    known = {record.request_id: record for some in settled for record in some}
    return tuple(
        LaunchStatus(
            record=known.get(record.request_id, record),
            known=record.request_id in known or record.state.ended,
            held=ledger.held(record.request_id),
        )
        for record in records
    )


def await_end(
    request_id: str,
    engines: Mapping[str, Engine],
    ledger: Ledger,
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> LaunchRecord:
    """Wait until a job that runs has ended; its record.

    Raises:
        EngineUnreachableError: nobody knows any more how it is.
    """
    while True:
        record = next(item for item in ledger.launches() if item.request_id == request_id)
        record = settle(record, engine=engines[record.host], ledger=ledger, clock=clock)
        if record.state.ended:
            return record
        sleep(_POLL_SECONDS)
