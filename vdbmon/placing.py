"""Place one request and say what came of it: for every command that places."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console

from collector.blockdevices import BlockDevices
from collector.errors import ConfigError, VdbmonError
from collector.quantities import format_bytes
from orchestrator.backup.job_names import ENDLESS
from orchestrator.decision.decide import Decision
from orchestrator.decision.reasons import Code
from orchestrator.decision.request import Request
from orchestrator.decision.resources import ResourceClass
from orchestrator.ledger import LaunchRecord, LaunchState
from orchestrator.placement.outcomes import Placement, placement_json
from orchestrator.placement.scheduler import Scheduler
from vdbmon.batches import REFUSED
from vdbmon.tables import decision_table, start_text


def place_and_tell(scheduler: Scheduler, request: Request, *, dry_run: bool, wait: bool, as_json: bool) -> int:
    """Place it; the exit code: 0 launched (with `wait`: and done), 1 failed, 3 refused by every host.

    Raises:
        ConfigError: `request.wait`, it never ends by itself.
    """
    if wait and (request.job in ENDLESS or request.inputs.serve):
        what = f"job {request.job}" + (" with --serve" if request.inputs.serve and request.job not in ENDLESS else "")
        raise ConfigError("request.wait", f"{what} runs until it is stopped", "leave --wait out; see `vdbmon ps`")
    return (_place_json if as_json else _place)(scheduler, request, dry_run=dry_run, wait=wait)


def _place(scheduler: Scheduler, request: Request, *, dry_run: bool, wait: bool) -> int:
    if dry_run:
        decision = scheduler.decide(request)
        _show(decision)
        return 0 if decision.accepted else REFUSED
    placement = scheduler.place(request, decided=_show)
    if placement.decision.start_at is not None:
        start = start_text(placement.decision.start_at)
        typer.echo(f"vdbmon: {request.name} was not launched: it is to start at {start}; place it then", err=True)
    if placement.launched is None:
        return REFUSED
    launched = placement.launched
    where = f"container {launched.container_id[:12]}, volume {launched.volume}"
    typer.echo(f"launched on {placement.decision.host}: {where}")
    if not launched.volume_sized:
        size = format_bytes(request.amounts[ResourceClass.DISK])
        typer.echo(f"volume {launched.volume} is the engine's own and has no size: nothing holds it to {size}")
    if launched.limits is None:
        typer.echo("it ended before its limits could be read back")
    else:
        shown = launched.limits.text(BlockDevices(Path("/proc")).name)
        typer.echo(f"limits {launched.limits.told.sentence}: {shown}")
    return _report(scheduler.await_end(request.request_id)) if wait else 0


def _place_json(scheduler: Scheduler, request: Request, *, dry_run: bool, wait: bool) -> int:
    """Print one document whatever happens after the decision; an error before it is a line on stderr as ever."""
    decisions: list[Decision] = []
    code = 0
    try:
        placement = (
            Placement(decision=scheduler.decide(request))
            if dry_run
            else scheduler.place(request, decided=decisions.append)
        )
        if placement.launched is not None and wait:
            ended = scheduler.await_end(request.request_id)
            placement = Placement(decision=placement.decision, launched=placement.launched, ended=ended)
            code = int(ended.state is not LaunchState.DONE)
    except VdbmonError as error:
        if not decisions:
            raise
        placement, code = Placement(decision=decisions[0], error=f"{error.code}: {error}"), error.exit_code
    typer.echo(placement_json(placement))
    return code if placement.decision.accepted and (dry_run or placement.launched or code) else REFUSED


def _show(decision: Decision) -> None:
    taken = [
        reason.sentence
        for verdict in decision.verdicts
        for reason in verdict.reasons
        if reason.code == Code.NAME_TAKEN and not decision.accepted
    ]
    if taken:
        typer.echo(f"vdbmon: {taken[0]}; choose another name", err=True)
    else:
        Console().print(decision_table(decision))


def _report(record: LaunchRecord) -> int:
    outcome = record.outcome or {}
    result = outcome.get("record")
    if record.state is not LaunchState.DONE:
        typer.echo(f"vdbmon: {record.name} failed: {outcome.get('message')}", err=True)
        return 1
    if result:
        stored = f", {format_bytes(result['bytes_stored'])} stored" if result["bytes_stored"] else ""
        typer.echo(
            f"done in {result['seconds']:.1f} s: {format_bytes(result['bytes_raw'])} read{stored}, {result['state']}"
        )
    else:
        typer.echo("done")
    return 0
