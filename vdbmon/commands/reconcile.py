"""`vdbmon reconcile`: finish or undo what stopped halfway, and remove what belongs to no launch any more."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import TypeAdapter

from orchestrator.placement.scheduler import open_scheduler
from orchestrator.reconcile import Reconciliation, reconciler
from vdbmon.config import find_config, load_config
from vdbmon.leaks import leak_line
from vdbmon.options import ConfigOption

app = typer.Typer(add_completion=False)


@app.command()
def reconcile(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    config: ConfigOption = None,
) -> None:
    """Finish or undo launches that stopped halfway, settle what ended, remove leaks that were seen twice.

    Exit codes: 0 all hosts were visited and nothing failed, 1 not all.
    """
    settings = load_config(find_config(config))
    with open_scheduler(settings.fleet(), settings.host.name) as scheduler:
        done = reconciler(scheduler).run()
    if as_json:
        typer.echo(TypeAdapter(Reconciliation).dump_json(done, indent=2).decode())
    else:
        _show(done)
    raise typer.Exit(int(bool(done.unvisited or done.errors)))


def _show(done: Reconciliation) -> None:
    launches = (
        ("finished", done.finished),
        ("undone", done.undone),
        ("removal finished", done.removals),
        ("ended", done.settled),
    )
    lines = [f"{what}: {record.name} on {record.host}" for what, records in launches for record in records]
    lines += [f"removed: {leak.kind} {leak.name} on {leak.host}: {leak.text}" for leak in done.removed]
    lines += [f"leak: {leak_line(leak)}" for leak in done.leaks]
    for line in lines or ["nothing to do"]:
        typer.echo(line)
    for host, why in sorted(done.unvisited.items()):
        typer.echo(f"vdbmon: {host} was left alone and keeps what it holds: {why}", err=True)
    for host, sentence in done.errors:
        typer.echo(f"vdbmon: {host}: {sentence}", err=True)
