"""`vdbmon place`: launch a backup container where capacity is left and no alert says no; else say why not, per host."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from collector.blockdevices import BlockDevices
from collector.errors import ConfigError, VdbmonError
from collector.quantities import format_bytes, parse_bytes
from orchestrator.decision import Decision
from orchestrator.ledger import LaunchRecord, LaunchState
from orchestrator.placement import Placement, Scheduler, open_scheduler, placement_json
from orchestrator.reasons import Code
from orchestrator.resources import Amounts, ResourceClass, millicores
from orchestrator.snapshot import Request
from vdbmon.config import find_config, load_config
from vdbmon.options import ConfigOption
from vdbmon.tables import decision_table

REFUSED = 3
"""Exit code of a refusal: no host can take the container now."""

app = typer.Typer(add_completion=False)


@app.command()
def place(
    name: Annotated[str, typer.Argument(help="Name of the container.", show_default=False)],
    *,
    source: Annotated[str, typer.Option(help="The database, as the configuration names it.", show_default=False)],
    job: Annotated[str, typer.Option(help="What to do with it.")] = "backup",
    cpus: Annotated[float, typer.Option(help="CPU limit in cores.")] = 1.0,
    memory: Annotated[str, typer.Option(help="Memory limit.")] = "1GiB",
    disk: Annotated[str, typer.Option(help="Hard size of the volume.")] = "10GiB",
    read_bps: Annotated[str, typer.Option(help="Disk reads per second.")] = "50MB",
    write_bps: Annotated[str, typer.Option(help="Disk writes per second.")] = "50MB",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Decide, and launch nothing.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the job ends; exit with 1 if it failed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    config: ConfigOption = None,
) -> None:
    """Launch a container where capacity is left and no alert says no.

    Exit codes: 0 launched (with --wait: and done), 1 failed, 2 bad input, 3 refused by every host.
    """
    settings = load_config(find_config(config))
    amounts = _amounts(cpus=cpus, memory=memory, disk=disk, read_bps=read_bps, write_bps=write_bps)
    with open_scheduler(settings.fleet(), settings.host.name) as scheduler:
        request = scheduler.request(name, source=source, job=job, amounts=amounts)
        if as_json:
            code = _place_json(scheduler, request, dry_run=dry_run, wait=wait)
        else:
            code = _place(scheduler, request, dry_run=dry_run, wait=wait)
    raise typer.Exit(code)


def _amounts(*, cpus: float, memory: str, disk: str, read_bps: str, write_bps: str) -> Amounts:
    if not (math.isfinite(cpus) and cpus > 0):
        raise ConfigError("request.size", f"--cpus: {cpus:g} is no number of cores", "give for example 0.5 or 2")
    return {
        ResourceClass.SLOTS: 1,
        ResourceClass.CPU: millicores(cpus),
        ResourceClass.MEMORY: _size("--memory", memory),
        ResourceClass.DISK: _size("--disk", disk),
        ResourceClass.READ_BPS: _size("--read-bps", read_bps),
        ResourceClass.WRITE_BPS: _size("--write-bps", write_bps),
    }


def _size(option: str, text: str) -> int:
    try:
        return parse_bytes(text)
    except ValueError as error:
        raise ConfigError("request.size", f"{option}: {error}") from error


def _place(scheduler: Scheduler, request: Request, *, dry_run: bool, wait: bool) -> int:
    if dry_run:
        decision = scheduler.decide(request)
        _show(decision)
        return 0 if decision.accepted else REFUSED
    placement = scheduler.place(request, decided=_show)
    if placement.launched is None:
        return REFUSED
    launched, host = placement.launched, placement.decision.host
    typer.echo(f"launched on {host}: container {launched.container_id[:12]}, volume {launched.volume}")
    if launched.limits is None:
        typer.echo("it ended before its limits could be read back")
    else:
        typer.echo(f"limits read back: {launched.limits.text(BlockDevices(Path('/proc')).name)}")
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
    return code if placement.decision.accepted else REFUSED


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
        typer.echo(
            f"done in {result['seconds']:.1f} s: {format_bytes(result['bytes_raw'])} read, "
            f"{format_bytes(result['bytes_stored'])} stored, sha256 {result['sha256'][:16]}, to LSN {result['to_lsn']}"
        )
    else:
        typer.echo("done")
    return 0
