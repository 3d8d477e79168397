"""`vdbmon uncordon`: let a host take containers again."""

from __future__ import annotations

from typing import Annotated

import typer

from vdbmon.closing import reopen
from vdbmon.options import ConfigOption

app = typer.Typer(add_completion=False)


@app.command()
def uncordon(
    host: Annotated[str, typer.Argument(help="Name of the host.", show_default=False)], config: ConfigOption = None
) -> None:
    """Let a host take containers again."""
    lifted = reopen(host, config=config)
    typer.echo(f"{host} takes containers again" if lifted else f"{host} was not cordoned")
