"""`vdbmon top`: what hosts and containers take now, live in the terminal; reads agents and needs no server."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console

from collector.errors import ConfigError
from collector.quantities import parse_seconds
from vdbmon.options import ConfigOption
from vdbmon.top.addresses import agents_to_watch
from vdbmon.top.agents import Agent
from vdbmon.top.controls import Controls
from vdbmon.top.document import json_document
from vdbmon.top.frame import table_once
from vdbmon.top.listing import Sort
from vdbmon.top.live import read_once, usual_interval, watch
from vdbmon.top.terminal import Ended, Terminal, glyphs_of, is_interactive, plain_width

app = typer.Typer(add_completion=False)


@app.command()
def top(
    *,
    agent: Annotated[
        list[str] | None,
        typer.Option(help="URL of an agent, instead of those in the configuration; may be repeated.", metavar="URL"),
    ] = None,
    sort: Annotated[Sort, typer.Option(help="By what hosts and containers are sorted, the highest first.")] = Sort.CPU,
    wanted: Annotated[
        str, typer.Option("--filter", help="Show what has this in the name of host, container, image or processes.")
    ] = "",
    interval: Annotated[
        str | None, typer.Option(help="From one reading to the next; default 2s, above 25 agents 5s.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Print the table once; so it is without a terminal.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    config: ConfigOption = None,
) -> None:
    """Show what hosts and containers take now, against their limits.

    Keys: q quits, arrows select, / filters, c m r w n sort. Exits with 1 if it prints once and no agent answered.
    """
    agents = agents_to_watch(agent or (), config)
    if as_json or once or not is_interactive():
        raise typer.Exit(_once(agents, sort, wanted, as_json=as_json))
    _live(agents, _interval(interval, len(agents)), Controls(sort=sort, wanted=wanted))


def _interval(text: str | None, agents: int) -> float:
    if text is None:
        return usual_interval(agents)
    try:
        return parse_seconds(text)
    except ValueError as error:
        raise ConfigError("top.interval", f"--interval: {error}") from error


def _once(agents: Sequence[Agent], sort: Sort, wanted: str, *, as_json: bool) -> int:
    views = read_once(agents)
    if as_json:
        typer.echo(json_document(views))
    else:
        width = plain_width(sys.stdout)
        console = Console(width=width, highlight=False, soft_wrap=True)
        for line in table_once(views, sort, wanted, width=width, glyphs=glyphs_of(sys.stdout)):
            console.print(line)
    return int(all(view.row is None for view in views))


def _live(agents: Sequence[Agent], interval: float, controls: Controls) -> None:
    try:
        with Terminal() as terminal:
            watch(agents, terminal, glyphs_of(sys.stdout), interval, controls)
    except Ended as ended:
        if ended.number != signal.SIGINT:  # to whoever started it, it died of what it was sent
            signal.signal(ended.number, signal.SIG_DFL)
            os.kill(os.getpid(), ended.number)
