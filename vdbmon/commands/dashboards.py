"""`vdbmon dashboards`: Grafana dashboards as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dashboards.generated import dashboard_files, left_over
from vdbmon.generated_files import differences, write_files

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def _dashboards() -> None:
    """Grafana dashboards, generated from the catalogue and the thresholds."""


@app.command()
def build(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder that Grafana's file provisioning reads.", file_okay=False)
    ],
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if a file differs, is missing or is left over.")
    ] = False,
) -> None:
    """Write one JSON file per dashboard, or check that they are up to date."""
    files = dashboard_files()
    if not check:
        for path in write_files(output, files):
            typer.echo(path)
        return
    changed = [f"{line}; run `vdbmon dashboards build -o {output}`" for line in differences(output, files)]
    surplus = [f"{line}; delete it" for line in left_over(output, files)]
    for line in (*changed, *surplus):
        typer.echo(line, err=True)
    if changed or surplus:
        raise typer.Exit(1)
