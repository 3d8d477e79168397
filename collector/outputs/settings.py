"""What the outputs can be told; words are telegraf's where the meaning is the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from collector.filters import FilterSettings
from collector.quantities import Bytes, Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSettings(FilterSettings):
    """What every output that pushes has. All but the alias stand for the `[agent]` setting of the same name.

    Attributes:
        alias: its name in metrics and logs, and that of its spool; by default kind and address.
    """

    alias: Annotated[str, Field(min_length=1)] | None = None
    flush_interval: Seconds | None = None
    flush_jitter: Seconds | None = None
    metric_batch_size: Annotated[int, Field(ge=1)] | None = None
    metric_buffer_limit: Annotated[int, Field(ge=1)] | None = None
    buffer_disk_limit: Bytes | None = None


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
class InfluxSettings(PushSettings):
    """One InfluxDB 1.x write endpoint.

    Attributes:
        urls: exactly one, in a list because telegraf writes it so; a second endpoint is a section of its own.
        retention_policy: empty for the database's default one.
        username: None where the endpoint asks for none.
        password_file: file of mode 0600 that holds the password.
    """

    urls: Annotated[tuple[str, ...], Field(min_length=1, max_length=1)]
    database: str = "telegraf"
    retention_policy: str = ""
    username: str | None = None
    password_file: Path | None = None
    timeout: Seconds = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSettings(PushSettings):
    """Files that lines are appended to.

    Attributes:
        files: paths; `stdout` is the agent's standard output.
    """

    files: Annotated[tuple[str, ...], Field(min_length=1)]
    data_format: Literal["influx"] = "influx"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSettings:
    """Where samples are pushed to, besides being served on `/metrics`."""

    influxdb_v2: tuple[InfluxV2Settings, ...] = ()
    influxdb: tuple[InfluxSettings, ...] = ()
    file: tuple[FileSettings, ...] = ()
