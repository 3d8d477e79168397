"""Make a standby the primary: what it has received is applied, its replication ends, and it can be written to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from collector.errors import VdbmonError
from orchestrator.backup.commands import SERVED_SOCKET, promotion
from orchestrator.backup.job_names import JobName
from orchestrator.engines.engine import Engine, EngineUnreachableError
from orchestrator.ledger import Event, LaunchRecord, LaunchState, Ledger

PROMOTE_SECONDS = 60.0
"""What a standby may take to apply what it has received, until somebody is told that it does so still."""


def promote(
    name: str, *, ledger: Ledger, engines: Mapping[str, Engine], who: str, clock: Callable[[], float]
) -> LaunchRecord:
    """Promote the standby of that name, and record who did; its launch. Done already, nothing is done again.

    Raises:
        VdbmonError: `launch.not_found`, `launch.not_running`, `request.job`, it is no standby; `standby.not_promoted`;
            `standby.catching_up`, it will be when it has applied all; `host.not_configured`, or what the engine says.
    """
    record = _standby(ledger, name)
    engine = engines.get(record.host)
    if engine is None:
        raise VdbmonError("host.not_configured", f"host {record.host} is not in [[hosts]]", "put it back")
    container = record.container_id or ""
    try:
        ran = engine.run(container, promotion(record.source, record.volume or ""), seconds=PROMOTE_SECONDS)
    except EngineUnreachableError as error:
        if engine.inspect(container) is None:
            raise VdbmonError("container.gone", f"{name} was removed by somebody else") from error
        text = f"{name} was told, and still applies what it has received after {PROMOTE_SECONDS:g} s"
        raise VdbmonError("standby.catching_up", text, "give the command again to wait for it") from error
    if ran.exit_code:
        raise VdbmonError("standby.not_promoted", f"{name} was not promoted: {ran.output}", "see its log")
    ledger.record(Event(at=clock(), kind="promote", request_id=record.request_id, name=name, host=record.host, who=who))
    return record


def where_it_answers(record: LaunchRecord) -> str:
    """Where the promoted server is found."""
    return f"{SERVED_SOCKET} of container {record.name} on {record.host}"


def _standby(ledger: Ledger, name: str) -> LaunchRecord:
    records = ledger.launches_named(name)
    if not records:
        raise VdbmonError("launch.not_found", f"nothing called {name} was ever placed", "see `vdbmon ps`")
    record = next((item for item in records if item.state is LaunchState.RUNNING), None)
    if record is None:
        raise VdbmonError("launch.not_running", f"{name} doesn't run", "see `vdbmon ps`")
    if record.job != JobName.STANDBY:
        raise VdbmonError("request.job", f"{name} is a {record.job}, no standby", "see `vdbmon ps`")
    return record
