"""`vdbmon limits`: the limits of a container while it runs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from collector.blockdevices import BlockDevices
from collector.errors import ConfigError
from orchestrator.decision.resources import ResourceClass
from orchestrator.decision.sizes import CPUS, parse_amounts
from orchestrator.engines.engine import LiveLimits
from orchestrator.placement.live_limits import NOT_LIVE, LimitsChange, LimitsRefusedError, set_limits
from orchestrator.placement.scheduler import open_scheduler
from vdbmon.config import find_config, load_config
from vdbmon.options import ConfigOption

app = typer.Typer(add_completion=False)

_REFUSED = "Can't be changed while it runs; says why."


@app.callback()
def limits() -> None:
    """The limits of a container while it runs."""


@app.command(name="set")
def set_(
    name: Annotated[str, typer.Argument(help="Name of the container.", show_default=False)],
    *,
    cpu: Annotated[float | None, typer.Option("--cpu", "--cpus", help="CPU limit in cores.")] = None,
    memory: Annotated[str | None, typer.Option(help="Memory limit.")] = None,
    pids: Annotated[int | None, typer.Option(help="Limit of tasks.")] = None,
    disk: Annotated[str | None, typer.Option(help=_REFUSED)] = None,
    read_bps: Annotated[str | None, typer.Option(help=_REFUSED)] = None,
    write_bps: Annotated[str | None, typer.Option(help=_REFUSED)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    config: ConfigOption = None,
) -> None:
    """Change limits of a running container. Raising needs free capacity.

    Exit codes: 0 changed, 1 failed, 2 bad input, 3 refused.
    """
    _refuse_fixed({"--disk": disk, "--read-bps": read_bps, "--write-bps": write_bps})
    given: dict[str, str | float] = {CPUS: cpu} if cpu is not None else {}
    given |= {"memory": memory} if memory is not None else {}
    amounts = parse_amounts(given, named=lambda key: "--cpu" if key == CPUS else f"--{key}")
    wanted = LiveLimits(
        cpu=None if cpu is None else amounts[ResourceClass.CPU],
        memory=None if memory is None else amounts[ResourceClass.MEMORY],
        pids=pids,
    )
    if wanted == LiveLimits():
        raise ConfigError("request.limits", "nothing to change", "give --cpu, --memory or --pids")
    settings = load_config(find_config(config))
    with open_scheduler(settings.fleet(), settings.host.name) as scheduler:
        change = set_limits(scheduler, name, wanted)
    typer.echo(_json(change) if as_json else _text(change))


def _refuse_fixed(given: dict[str, str | None]) -> None:
    for option, value in given.items():
        if value is not None:
            why = f"{option} can't be changed while a container runs: {NOT_LIVE[option]}"
            raise LimitsRefusedError("limits.not_live", why, "place it anew with other amounts")


def _text(change: LimitsChange) -> str:
    shown = change.found.text(BlockDevices(Path("/proc")).name)
    return f"{change.record.name} on {change.record.host}: {shown} ({change.found.told.sentence})"


def _json(change: LimitsChange) -> str:
    document = {
        "name": change.record.name,
        "host": change.record.host,
        "before": asdict(change.before),
        "after": asdict(change.after),
        "found": change.found.document(),
    }
    return json.dumps(document, indent=2)
