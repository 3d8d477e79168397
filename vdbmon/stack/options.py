"""Options and conditions that the commands of the local stack share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from collector.errors import VdbmonError
from vdbmon.config import ENVIRONMENT_VARIABLE

StateDirOption = Annotated[
    Path | None,
    typer.Option("--state-dir", help="Folder of the stack's data, logs and configuration; else var/ in the checkout."),
]
StackConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="Configuration file; else vdbmon.toml in the checkout, which `up` writes where there is none.",
        envvar=ENVIRONMENT_VARIABLE,
        exists=True,
        dir_okay=False,
    ),
]


def require_root(purpose: str) -> None:
    """Refuse a purpose that needs root.

    Raises:
        VdbmonError: `stack.not_root`.
    """
    if os.geteuid() != 0:
        raise VdbmonError("stack.not_root", f"only root can {purpose}", "use sudo")
