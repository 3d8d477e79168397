"""`vdbmon freeze`: place nothing more on any host; what runs runs on."""

from __future__ import annotations

import contextlib
import time

import typer

from orchestrator.closing import close
from orchestrator.ledger import open_ledger
from orchestrator.operators import this_operator
from orchestrator.snapshot import Cordon
from vdbmon.config import find_config, load_config
from vdbmon.options import ConfigOption, UntilOption, WhyOption
from vdbmon.times import parse_until, time_text

app = typer.Typer(add_completion=False)


@app.command()
def freeze(
    *,
    why: WhyOption,
    until: UntilOption = None,
    config: ConfigOption = None,
) -> None:
    """Place nothing more on any host; what runs runs on."""
    fleet, now = load_config(find_config(config)).fleet(), time.time()
    end = parse_until(until, now=now)
    with contextlib.closing(open_ledger(fleet.ledger.url)) as ledger:
        close(ledger, fleet, Cordon(host=None, who=this_operator(), why=why, until=end, since=now))
    typer.echo(f"the fleet is frozen{f', until {time_text(end)}' if end else ''}")
