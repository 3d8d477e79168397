"""What the commands of `vdbmon backup` share: options, and the scheduler that they ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.placement.requests import source_called
from orchestrator.placement.scheduler import Scheduler, open_scheduler
from orchestrator.settings import SourceSettings
from vdbmon.config import find_config, load_config

IdArgument = Annotated[str, typer.Argument(help="Id of the backup, or its beginning.", show_default=False)]
SourceOption = Annotated[str | None, typer.Option(help="Only of this source.", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Wait until the job ends; exit with 1 if it failed.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


@contextmanager
def opened(config: Path | None) -> Iterator[Scheduler]:
    """The scheduler of a configuration file.

    Raises:
        ConfigError: there is none, or something is wrong with it.
        LedgerError: the ledger can't be opened.
    """
    settings = load_config(find_config(config))
    with open_scheduler(settings.fleet(), settings.host.name) as scheduler:
        yield scheduler


def chosen_sources(scheduler: Scheduler, name: str | None) -> tuple[SourceSettings, ...]:
    """The source of that name, or all.

    Raises:
        ConfigError: `request.source`.
    """
    return scheduler.fleet.sources if name is None else (source_called(name, scheduler.fleet),)
