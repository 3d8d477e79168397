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

WhyOption = Annotated[str, typer.Option("--why", help="The reason, for the record.", show_default=False)]

UntilOption = Annotated[
    str | None,
    typer.Option("--until", help="When it ends: 2h (from now) or 2026-11-24T06:00 (local time); else never."),
]
