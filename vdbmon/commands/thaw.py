"""`vdbmon thaw`: end a freeze; cordons of hosts stay."""

from __future__ import annotations

import contextlib
import time

import typer

from orchestrator.ledger import open_ledger
from orchestrator.operators import this_operator
from vdbmon.config import find_config, load_config
from vdbmon.options import ConfigOption

app = typer.Typer(add_completion=False)


@app.command()
def thaw(config: ConfigOption = None) -> None:
    """End a freeze; cordons of hosts stay."""
    settings = load_config(find_config(config))
    with contextlib.closing(open_ledger(settings.ledger.url)) as ledger:
        lifted = ledger.uncordon(None, who=this_operator(), at=time.time())
    typer.echo("the fleet takes containers again" if lifted else "the fleet was not frozen")
