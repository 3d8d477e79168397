"""`vdbmon ledger`: everything in it as JSON lines; and a new one from what runs, after the loss of the database."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Annotated

import typer

from orchestrator.ledger import open_ledger
from orchestrator.placement.rebuild import Rebuilt, rebuild_ledger
from orchestrator.placement.scheduler import open_scheduler
from vdbmon.config import find_config, load_config
from vdbmon.options import ConfigOption

app = typer.Typer(add_completion=False)


@app.callback()
def ledger() -> None:
    """What was given away to whom: export it, or rebuild it after the loss of the database."""


@app.command()
def export(config: ConfigOption = None) -> None:
    """Print everything in the ledger as JSON lines, of one moment (docs/ledger.md has the format)."""
    settings = load_config(find_config(config))
    with contextlib.closing(open_ledger(settings.ledger.url)) as opened:
        for row in opened.export(at=time.time()):
            typer.echo(json.dumps(dict(row)))


@app.command()
def rebuild(
    host: Annotated[list[str] | None, typer.Option(help="Only this host; may be given again.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")] = False,
    config: ConfigOption = None,
) -> None:
    """Fill an empty ledger from the labels of what runs on the engines; hosts of which not all is known are cordoned.

    Exit codes: 0 all is known, 1 some hosts are cordoned, 3 the ledger is not empty.
    """
    settings = load_config(find_config(config))
    with open_scheduler(settings.fleet(), settings.host.name) as scheduler:
        rebuilt = rebuild_ledger(scheduler, hosts=tuple(host or ()), dry_run=dry_run)
    _show(rebuilt, dry_run=dry_run)
    raise typer.Exit(int(bool(rebuilt.unknown)))


def _show(rebuilt: Rebuilt, *, dry_run: bool) -> None:
    for record in rebuilt.restored.launches:
        typer.echo(f"{record.host}: {record.name} ({record.job} of {record.source}): {record.state}")
    hosts, launches = len(rebuilt.restored.generations), len(rebuilt.restored.launches)
    typer.echo(f"{launches} launches on {hosts} hosts {'would be written' if dry_run else 'written'}")
    typer.echo("lost: earlier decisions, overrides and cordons, planned windows, and how ended jobs ended")
    for name, sentences in rebuilt.unknown.items():
        for sentence in sentences:
            typer.echo(f"vdbmon: {name}: not known: {sentence}", err=True)
        typer.echo(f"vdbmon: {name} is cordoned; look, then `vdbmon uncordon {name}`", err=True)
