"""`vdbmon cordon`: place nothing more on a host; what runs there runs on."""

from __future__ import annotations

from typing import Annotated

import typer

from vdbmon.closing import close_until
from vdbmon.options import ConfigOption, UntilOption, WhyOption

app = typer.Typer(add_completion=False)


@app.command()
def cordon(
    host: Annotated[str, typer.Argument(help="Name of the host.", show_default=False)],
    *,
    why: WhyOption,
    until: UntilOption = None,
    config: ConfigOption = None,
) -> None:
    """Place nothing more on a host; what runs there runs on."""
    typer.echo(f"{host} is cordoned{close_until(host, why=why, until=until, config=config)}")
