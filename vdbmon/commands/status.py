"""`vdbmon status`: what runs of the local stack."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.table import Table

from vdbmon.config import load_config
from vdbmon.stack.layout import find_layout
from vdbmon.stack.options import StackConfigOption, StateDirOption, require_root
from vdbmon.stack.programs import DOCKERD
from vdbmon.stack.status import Row, read_status
from vdbmon.times import time_text

PLAIN_WIDTH = 160  # of a file or pipe, which has none of its own

app = typer.Typer(add_completion=False)


@app.command()
def status(config: StackConfigOption = None, state_dir: StateDirOption = None) -> None:
    """Show what runs; exit with 1 unless all does."""
    require_root("ask supervisor")
    layout = find_layout(state_dir, config)
    if not layout.config.exists() or not layout.supervisor_conf.exists():
        typer.echo("nothing runs: the stack was never started here; `make up` starts it")
        raise typer.Exit(1)
    rows = read_status(load_config(layout.config), layout)
    console = Console()
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    console.print(_table(rows))
    if not any(row.pid for row in rows if row.name != DOCKERD):
        typer.echo("the stack doesn't run; `make up` starts it", err=True)
        raise typer.Exit(1)
    if not all(row.good for row in rows):
        wrong = ", ".join(row.name for row in rows if not row.good)
        typer.echo(f"not as it should be: {wrong}; `make up` mends it", err=True)
        raise typer.Exit(1)


def _table(rows: tuple[Row, ...]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("WHAT", "STATE", "PID", "SINCE"):
        table.add_column(heading, no_wrap=True)
    table.add_column("WHERE", overflow="fold")
    for row in rows:
        table.add_row(row.name, row.state, str(row.pid or "-"), time_text(row.since) if row.since else "-", row.where)
    return table
