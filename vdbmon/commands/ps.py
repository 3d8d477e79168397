"""`vdbmon ps`: what was placed, where, and how it is."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from pydantic import TypeAdapter
from rich.console import Console

from orchestrator.placement import LaunchStatus, open_scheduler
from vdbmon.config import find_config, load_config
from vdbmon.options import ConfigOption
from vdbmon.tables import launch_table

app = typer.Typer(add_completion=False)


@app.command()
def ps(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    config: ConfigOption = None,
) -> None:
    """List what holds something of a host: running jobs, ended ones that were not removed, and kept backups."""
    settings = load_config(find_config(config))
    with open_scheduler(settings.fleet(), settings.host.name) as scheduler:
        statuses = scheduler.statuses()
    if as_json:
        typer.echo(TypeAdapter(tuple[LaunchStatus, ...]).dump_json(statuses, indent=2).decode())
    elif statuses:
        Console().print(launch_table(statuses, now=time.time()))
    else:
        typer.echo("nothing is placed")
