"""`vdbmon freeze`: place nothing more on any host; what runs runs on."""

from __future__ import annotations

import typer

from vdbmon.closing import close_until
from vdbmon.options import ConfigOption, UntilOption, WhyOption

app = typer.Typer(add_completion=False)


@app.command()
def freeze(*, why: WhyOption, until: UntilOption = None, config: ConfigOption = None) -> None:
    """Place nothing more on any host; what runs runs on."""
    typer.echo(f"the fleet is frozen{close_until(None, why=why, until=until, config=config)}")
