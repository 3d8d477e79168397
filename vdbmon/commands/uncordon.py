"""`vdbmon uncordon`: let a host take containers again."""

from __future__ import annotations

import contextlib
import time
from typing import Annotated

import typer

from orchestrator.ledger import open_ledger
from orchestrator.operators import this_operator
from vdbmon.config import find_config, load_config
from vdbmon.options import ConfigOption

app = typer.Typer(add_completion=False)


@app.command()
def uncordon(
    host: Annotated[str, typer.Argument(help="Name of the host.", show_default=False)], config: ConfigOption = None
) -> None:
    """Let a host take containers again."""
    settings = load_config(find_config(config))
    with contextlib.closing(open_ledger(settings.ledger.url)) as ledger:
        lifted = ledger.uncordon(host, who=this_operator(), at=time.time())
    typer.echo(f"{host} takes containers again" if lifted else f"{host} was not cordoned")
