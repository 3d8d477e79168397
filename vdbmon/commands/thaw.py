"""`vdbmon thaw`: end a freeze; cordons of hosts stay."""

from __future__ import annotations

import typer

from vdbmon.closing import reopen
from vdbmon.options import ConfigOption

app = typer.Typer(add_completion=False)


@app.command()
def thaw(config: ConfigOption = None) -> None:
    """End a freeze; cordons of hosts stay."""
    lifted = reopen(None, config=config)
    typer.echo("the fleet takes containers again" if lifted else "the fleet was not frozen")
