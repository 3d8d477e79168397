"""`vdbmon audit`: compare the ledger with what every host really runs, and list each leak with its age."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import TypeAdapter
from rich.console import Console

from orchestrator.placement.scheduler import open_scheduler
from orchestrator.reconcile import HostAudit, auditor
from vdbmon.config import find_config, load_config
from vdbmon.leaks import audit_table
from vdbmon.options import ConfigOption

app = typer.Typer(add_completion=False)


@app.command()
def audit(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    config: ConfigOption = None,
) -> None:
    """Compare the ledger with the containers, volumes, networks and addresses of every host; change nothing.

    Exit codes: 0 no leak and all hosts answered, 1 otherwise.
    """
    settings = load_config(find_config(config))
    with open_scheduler(settings.fleet(), settings.host.name) as scheduler:
        rows = auditor(scheduler).run()
    if as_json:
        typer.echo(TypeAdapter(tuple[HostAudit, ...]).dump_json(rows, indent=2).decode())
    else:
        Console().print(audit_table(rows))
    raise typer.Exit(int(any(row.leaks or row.unknown for row in rows)))
