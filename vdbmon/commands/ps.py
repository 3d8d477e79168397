"""`vdbmon ps`: what was placed, where, and how it is."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Annotated

import typer
from pydantic import TypeAdapter
from rich.console import Console

from orchestrator.backup.progress import Progress, read_progress
from orchestrator.ledger import LaunchState
from orchestrator.placement.outcomes import LaunchStatus
from orchestrator.placement.scheduler import open_scheduler
from orchestrator.survey.prometheus import PrometheusClient
from vdbmon.backup_schedules import late_lines, standings_of
from vdbmon.columns import say
from vdbmon.config import find_config, load_config
from vdbmon.options import ConfigOption
from vdbmon.tables import launch_table

PROMETHEUS_SECONDS = 2.0
"""Progress is worth no longer a wait."""

_STATUS = TypeAdapter(LaunchStatus)
_PROGRESS = TypeAdapter(Progress | None)

app = typer.Typer(add_completion=False)


@app.command()
def ps(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    config: ConfigOption = None,
) -> None:
    """List what holds something of a host: running jobs, ended ones that were not removed, and kept backups.

    Scheduled jobs that wait for a host or were missed are told below.
    """
    settings = load_config(find_config(config))
    with open_scheduler(settings.fleet(), settings.host.name) as scheduler:
        statuses = scheduler.statuses()
        late = tuple(late_lines(standings_of(scheduler), now=time.time()))
    running = any(status.record.state is LaunchState.RUNNING for status in statuses)
    client = PrometheusClient(settings.prometheus.url, timeout=PROMETHEUS_SECONDS)
    progress = read_progress(client) if running else {}
    if as_json:
        document = [
            {**_STATUS.dump_python(status, mode="json"), "progress": _PROGRESS.dump_python(_of(status, progress))}
            for status in statuses
        ]
        typer.echo(json.dumps(document, indent=2))
    elif statuses:
        Console().print(launch_table(statuses, progress=progress, now=time.time()))
    else:
        typer.echo("nothing is placed")
    say(late if not as_json else ())


def _of(status: LaunchStatus, progress: Mapping[str, Progress]) -> Progress | None:
    return progress.get(status.record.name) if status.record.state is LaunchState.RUNNING else None
