"""See which jobs have ended, write down how, and give back what they no longer need.

The disk space of a job that ended stays allocated as long as its volume is there. What the job says of itself goes into
the catalogue of backups; it is what a container wrote, so it is taken only where it speaks of its own launch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from orchestrator.backup.feeding import feed
from orchestrator.backup.results import parse_result
from orchestrator.backup.runner.record import Record
from orchestrator.decision.resources import HELD_WHILE_RUNNING
from orchestrator.engines.engine import ContainerState, Engine
from orchestrator.ledger import LaunchRecord, LaunchState, Ledger


def settle(record: LaunchRecord, *, engine: Engine, ledger: Ledger, clock: Callable[[], float]) -> LaunchRecord:
    """The launch as it is now; its end is written into the ledger if it is new.

    A launch that never got to run is left as it is.

    Raises:
        EngineUnreachableError: nobody knows; the ledger is left as it is.
    """
    if record.state is not LaunchState.RUNNING or record.container_id is None:
        return record
    state = engine.inspect(record.container_id)
    if state is not None and not state.ended:
        return record
    result = None if state is None else parse_result(engine.last_line(state.id, errors=False))
    outcome = _outcome(engine, state, result)
    ended = LaunchState.DONE if outcome["exit_code"] == 0 else LaunchState.FAILED
    # The catalogue first: who is killed in between settles again, and the same record changes nothing.
    feed(ledger.backups, record, result, message=outcome["message"], at=clock())
    ledger.advance(
        record.request_id, ended, at=clock(), release=HELD_WHILE_RUNNING, outcome=outcome, detail=outcome["message"]
    )
    return next(item for item in ledger.launches_named(record.name) if item.request_id == record.request_id)


def _outcome(engine: Engine, state: ContainerState | None, result: Record | None) -> dict[str, Any]:
    if state is None:
        return {"exit_code": None, "message": "its container was removed by somebody else", "record": None}
    message = ""
    if state.exit_code != 0:
        killed = "killed for want of memory; " if state.oom_killed else ""
        message = f"{killed}{_why(engine, state, result)}"
    return {
        "exit_code": state.exit_code,
        "message": message,
        "record": None if result is None else asdict(result),
    }


def _why(engine: Engine, state: ContainerState, result: Record | None) -> str:
    """The job's own reason; without one the last that it said."""
    if result is not None and result.reason:
        return result.reason
    said = engine.last_line(state.id, errors=True) or state.error or "it said nothing"
    return f"exit code {state.exit_code}: {said}"
