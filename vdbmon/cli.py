"""Entry point: finds the command, prints an error as one line, sets the exit code.

Commands are imported only when called: the agent must not carry the ledger's libraries in its memory.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import sys
from types import ModuleType
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from collector.errors import VdbmonError

COMMANDS = {
    "agent": "the agent on this host: run, test, config, check-config",
    "alerts": "alert rules and Alertmanager configuration: build, docs",
    "audit": "compare the ledger with what every host really runs, and list each leak with its age",
    "backup": "the catalogue of backups: list, show, verify, restore, schedules, keep, prune, scan",
    "capacity": "what every host has, gave away, uses and has left, and when the fleet is full",
    "cordon": "place nothing more on a host, with who, why and until when",
    "dashboards": "Grafana dashboards: build, push, check, list",
    "doctor": "what is missing or wrong on this host, and how to mend it",
    "explain": "why a container was placed where it is, or refused",
    "freeze": "place nothing more on any host, with who, why and until when",
    "host": "what this host can do: probe-disk",
    "ledger": "what was given away to whom: export, rebuild",
    "limits": "limits of a container while it runs: set",
    "place": "launch a backup container where capacity is left",
    "plan": "proposals that change nothing: drain",
    "promote": "make a standby the primary",
    "ps": "what was placed, where, and how it is",
    "reconcile": "finish or undo what stopped halfway, and remove what belongs to no launch any more",
    "rm": "remove a placed container, its volume and its allocation",
    "serve": "once per fleet: reconcile, export ledger and decisions, give Prometheus its targets",
    "stack": "the local stack: up, down",
    "status": "what runs of the local stack",
    "thaw": "end a freeze",
    "top": "what hosts and containers take now, live in the terminal",
    "uncordon": "let a host take containers again",
}


class _Commands(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - click's interface
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - click's interface
        if cmd_name not in COMMANDS:
            return None
        module = _imported(f"vdbmon.commands.{cmd_name}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        command.short_help = COMMANDS[cmd_name]
        return command


def _imported(name: str) -> ModuleType:
    """Import a module without the garbage collector, which finds nothing in it and takes a sixth of the time."""
    gc.disable()
    try:
        return importlib.import_module(name)
    finally:
        gc.freeze()
        gc.enable()


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Monitoring and capacity for fleets of MySQL/MariaDB backup containers.",
)


@app.callback()
def _vdbmon() -> None:
    """Monitoring and capacity for fleets of MySQL/MariaDB backup containers."""


def main() -> NoReturn:
    """Run the command line; every expected error is one line on stderr and a non-zero exit code."""
    logging.getLogger("stamina").setLevel(logging.ERROR)  # a retry that helped is no news
    try:
        app()
    except VdbmonError as error:
        typer.echo(f"vdbmon: {error}", err=True)
        sys.exit(error.exit_code)
    except UnicodeEncodeError as error:  # an argument, or a terminal that can't show a name
        typer.echo(f"vdbmon: {error.object[error.start : error.end]!r} is no text in {error.encoding}", err=True)
        sys.exit(2)
    except OSError as error:  # a full disk, a folder that may not be written: nothing that a traceback would explain
        where = f"{error.filename}: " if error.filename else ""
        typer.echo(f"vdbmon: {where}{error.strerror or error}", err=True)
        _drop_output()
        sys.exit(1)
    sys.exit(0)


def _drop_output() -> None:
    """What could not be written must not be tried again when Python ends, which would have the last word."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
