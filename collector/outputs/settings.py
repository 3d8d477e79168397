"""What the outputs can be told; words are telegraf's where the meaning is the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from collector.filters import FilterSettings
from collector.quantities import Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSettings(FilterSettings):
    """What every output that pushes has.

    Attributes:
        alias: tells two outputs of one kind apart.
    """

    alias: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InfluxV2Settings(PushSettings):
    """One InfluxDB v2 write endpoint.

    Attributes:
        urls: exactly one, in a list because telegraf writes it so; a second endpoint is a section of its own.
        token_file: file of mode 0600 that holds the token; None where the endpoint asks for none.
    """

    urls: Annotated[tuple[str, ...], Field(min_length=1, max_length=1)]
    organization: str = "vdbmon"
    bucket: str = "vdbmon"
    token_file: Path | None = None
    timeout: Seconds = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSettings:
    """Where samples are pushed to, besides being served on `/metrics`."""

    influxdb_v2: tuple[InfluxV2Settings, ...] = ()
