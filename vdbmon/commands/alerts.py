"""`vdbmon alerts`: rule file, Alertmanager configuration, and the page of all alerts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alerts.docs import alerts_page
from alerts.generated import alert_files, private_files
from alerts.settings import DEFAULT_WEBHOOK_URL, AlertingSettings, with_webhook
from vdbmon.config import load_config
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
    config: Annotated[
        Path | None,
        typer.Option("--config", help="File whose [alerting] says who is told; else the webhook only.", dir_okay=False),
    ] = None,
    webhook_url: Annotated[
        str | None,
        typer.Option(
            help="Where Alertmanager posts alerts; it ends up in the file, so it must hold no secret.",
            show_default=DEFAULT_WEBHOOK_URL,
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if a file is not as generated.")
    ] = False,
) -> None:
    """Write the rule file and the Alertmanager configuration, or check that they are up to date."""
    settings = _settings(config, webhook_url)
    files = alert_files(settings)
    if not check:
        for path in write_files(output, files, private_files(settings)):
            typer.echo(path)
        return
    lines = differences(output, files)
    for line in lines:
        typer.echo(f"{line}; run `vdbmon alerts build -o {output}`", err=True)
    if lines:
        raise typer.Exit(1)


@app.command()
def docs() -> None:
    """Print docs/alerts.md."""
    typer.echo(alerts_page(), nl=False)


def _settings(config: Path | None, webhook_url: str | None) -> AlertingSettings:
    settings = AlertingSettings() if config is None else load_config(config).alerting
    if webhook_url is not None:
        return with_webhook(settings, webhook_url)
    return with_webhook(settings, DEFAULT_WEBHOOK_URL) if config is None else settings
