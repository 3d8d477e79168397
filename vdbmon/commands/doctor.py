"""`vdbmon doctor`: what is missing or wrong on this host, and how to mend it."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.text import Text

from vdbmon.options import ConfigOption
from vdbmon.stack.checks import Check, Level
from vdbmon.stack.doctor import examine

STYLES = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}

app = typer.Typer(add_completion=False)


@app.command()
def doctor(config: ConfigOption = None) -> None:
    """Check this host, the engine and the servers; exit with 1 if anything fails."""
    console = Console(soft_wrap=True, highlight=False)
    failed = False
    for check in examine(config):
        console.print(_line(check))
        failed = failed or check.level is Level.FAIL
    if failed:
        raise typer.Exit(1)


def _line(check: Check) -> Text:
    remedy = f" -> {check.remedy}" if check.remedy else ""
    return Text.assemble((f"{check.level:4}", STYLES[check.level]), f"  {check.subject}: {check.detail}{remedy}")
