"""`vdbmon alerts`: rule file and Alertmanager configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alerts.alertmanager import DEFAULT_WEBHOOK_URL
from alerts.generated import alert_files
from vdbmon.generated_files import differences, write_files

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def _alerts() -> None:
    """Alert rules for Prometheus and the configuration of Alertmanager."""


@app.command()
def build(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for prometheus/rules/ and alertmanager/.", file_okay=False)
    ],
    webhook_url: Annotated[
        str, typer.Option(help="Where Alertmanager posts alerts; it ends up in the file, so it must hold no secret.")
    ] = DEFAULT_WEBHOOK_URL,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if a file is not as generated.")
    ] = False,
) -> None:
    """Write the rule file and the Alertmanager configuration, or check that they are up to date."""
    files = alert_files(webhook_url)
    if not check:
        for path in write_files(output, files):
            typer.echo(path)
        return
    lines = differences(output, files)
    for line in lines:
        typer.echo(f"{line}; run `vdbmon alerts build -o {output}`", err=True)
    if lines:
        raise typer.Exit(1)
