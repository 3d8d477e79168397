"""`vdbmon promote`: make a standby the primary."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.placement.promotion import promote as promote_standby
from orchestrator.placement.promotion import where_it_answers
from orchestrator.placement.scheduler import open_scheduler
from vdbmon.config import find_config, load_config
from vdbmon.options import ConfigOption

app = typer.Typer(add_completion=False)


@app.command()
def promote(
    name: Annotated[str, typer.Argument(help="Name of the standby's container.", show_default=False)],
    config: ConfigOption = None,
) -> None:
    """Make a standby the primary: it applies what it has received, stops replicating, and takes writes.

    The old primary is not asked. See first that nothing writes to it any more.
    """
    settings = load_config(find_config(config))
    with open_scheduler(settings.fleet(), settings.host.name) as scheduler:
        scheduler.statuses()
        record = promote_standby(
            name,
            ledger=scheduler.ledger,
            engines=scheduler.engines,
            who=scheduler.operator,
            clock=scheduler.clock,
        )
    typer.echo(f"{name} is a primary now, and takes writes at {where_it_answers(record)}")
