"""`vdbmon dashboards`: Grafana dashboards as files, into a running Grafana, and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from collector.secretfile import read_secret
from dashboards.generated import all_dashboards, dashboard_files, folder_files, left_over
from dashboards.linter import lint
from dashboards.linter.folder import read_folder
from dashboards.page import dashboards_page
from dashboards.publish import Grafana, push
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
    files = folder_files()
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


@app.command("push")
def push_command(
    url: Annotated[str, typer.Option("--url", help="Grafana's address, such as https://grafana.example.com.")],
    token_file: Annotated[
        Path, typer.Option("--token-file", help="File of mode 0600 with a service account's token.", dir_okay=False)
    ],
) -> None:
    """Save all dashboards in the folder `vdbmon` of a running Grafana, over what is there."""
    grafana = Grafana(url.rstrip("/"), read_secret(token_file, "--token-file"))
    for address in push(grafana, dashboard_files()):
        typer.echo(address)


@app.command()
def check(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Folder with dashboards as JSON; else those of vdbmon.", file_okay=False, exists=True),
    ] = None,
) -> None:
    """Check dashboards by the rules of Grafana's linter and our own; exit with 1 if there are findings."""
    files = dashboard_files() if folder is None else read_folder(folder)
    findings = lint(files)
    for finding in findings:
        typer.echo(finding, err=True)
    if findings:
        raise typer.Exit(1)
    typer.echo(f"{len(files)} dashboards, no findings")


@app.command("list")
def list_command() -> None:
    """Print every panel of every dashboard in one line each, as Markdown: docs/dashboards.md."""
    typer.echo(dashboards_page(all_dashboards()), nl=False)
