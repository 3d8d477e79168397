"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="Configuration file; else VDBMON_CONFIG, ./vdbmon.toml, /etc/vdbmon/vdbmon.toml.",
        dir_okay=False,
    ),
]
