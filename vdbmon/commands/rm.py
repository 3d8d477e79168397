"""`vdbmon rm`: remove a placed container, its allocation, and its volume unless that holds what must not be lost."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.placement.scheduler import open_scheduler
from vdbmon.config import find_config, load_config
from vdbmon.options import ConfigOption

app = typer.Typer(add_completion=False)


@app.command()
def rm(
    name: Annotated[str, typer.Argument(help="Name of the container.", show_default=False)],
    volume: Annotated[
        bool, typer.Option("--volume", help="Also remove volumes that hold a good backup or a promoted standby.")
    ] = False,
    lost: Annotated[bool, typer.Option("--lost", help="Its engine is gone for good: don't ask it.")] = False,
    config: ConfigOption = None,
) -> None:
    """Remove a placed container and give back what it held; a good backup stays, and so does a promoted standby."""
    settings = load_config(find_config(config))
    with open_scheduler(settings.fleet(), settings.host.name) as scheduler:
        removal = scheduler.remover().remove(name, with_volume=volume, engine_lost=lost)
    for container in removal.containers_removed:
        typer.echo(f"removed container {container}")
    for item in removal.volumes_removed:
        typer.echo(f"removed volume {item}")
    for item in removal.volumes_kept:
        typer.echo(f"kept volume {item}: what it holds is nowhere else; `vdbmon rm --volume {name}` removes it too")
    if removal.nothing:
        typer.echo(f"nothing is left of {name}")
