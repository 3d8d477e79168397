"""`vdbmon stack`: the local stack, up and down."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from vdbmon.stack.down import stop_stack
from vdbmon.stack.layout import find_layout
from vdbmon.stack.lock import exclusive
from vdbmon.stack.options import StackConfigOption, StateDirOption, require_root
from vdbmon.stack.steps import Steps
from vdbmon.stack.up import start_stack

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def _stack() -> None:
    """All servers of vdbmon on this machine, on loopback, kept running by supervisor."""


@app.command()
def up(
    config: StackConfigOption = None,
    state_dir: StateDirOption = None,
    demo: Annotated[bool, typer.Option(help="Start a demonstration database and back it up once.")] = True,
    webhook_url: Annotated[
        str | None, typer.Option(help="Where Alertmanager posts alerts; without it they are only shown.")
    ] = None,
) -> None:
    """Start what doesn't run yet, then back up a demonstration database."""
    require_root("start the stack")
    layout = find_layout(state_dir, config)
    console = Console()
    steps = Steps(console)
    with exclusive(layout.lock):
        stack = start_stack(layout, steps, webhook_url=webhook_url)
        if demo:
            from vdbmon.stack.demonstration import run_demonstration  # noqa: PLC0415 - half a second, for a demo alone

            run_demonstration(stack, layout, steps, console)


@app.command()
def down(config: StackConfigOption = None, state_dir: StateDirOption = None) -> None:
    """Stop what `up` started, and nothing else; data and configuration stay."""
    require_root("stop the stack")
    layout = find_layout(state_dir, config)
    if not layout.state.is_dir():
        typer.echo(f"nothing runs: there is no {layout.state}")
        return
    with exclusive(layout.lock):
        stop_stack(layout, Steps(Console()))
