"""`vdbmon plan`: proposals that change nothing."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console

from orchestrator.decision.documents import plan_document
from orchestrator.decision.planning import plan_drain
from orchestrator.decision.scoring import Strategy
from orchestrator.placement.requests import require_host
from orchestrator.placement.scheduler import open_scheduler
from vdbmon.config import find_config, load_config
from vdbmon.options import ConfigOption
from vdbmon.plans import plan_view

REFUSED = 3
"""Exit code where some job has no host to go to."""

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def _plan() -> None:
    """Proposals that change nothing."""


@app.command()
def drain(
    host: Annotated[str, typer.Argument(help="The host that is to be emptied.", show_default=False)],
    *,
    strategy: Annotated[Strategy, typer.Option(help="Keep jobs apart, or hosts free.")] = Strategy.SPREAD,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    config: ConfigOption = None,
) -> None:
    """Where the jobs of a host could go, and what keeps those that can't; nothing is moved.

    Exit codes: 0 all can go, 3 some can't.
    """
    settings = load_config(find_config(config))
    require_host(host, settings.fleet())
    with open_scheduler(settings.fleet(), settings.host.name) as scheduler:
        snapshot = scheduler.snapshot()
    sources = {source.name: source for source in settings.sources}
    strangers = [job for job in snapshot.host(host).jobs if job.source not in sources]
    plan = plan_drain(snapshot, host, sources, strategy)
    if as_json:
        typer.echo(json.dumps(plan_document(plan), indent=2))
    elif plan.assignments or plan.refused:
        Console().print(plan_view(plan, verb="move"))
    elif not strangers:
        typer.echo(f"nothing of vdbmon's runs on {host}")
    for job in strangers:
        typer.echo(f"vdbmon: {job.name} stays: its source {job.source} is not in [[sources]] any more", err=True)
    raise typer.Exit(REFUSED if plan.refused or strangers else 0)
