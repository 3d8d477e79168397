"""What `vdbmon serve` can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from collector.quantities import Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """The process that runs once per fleet: reconciles, exports the ledger as metrics, gives Prometheus its targets.

    Attributes:
        listen: where `/metrics`, `/sd` and `/api/` are.
        interval: from one beat to the next.
        web_config_file: TLS and passwords for that address, in the format of Prometheus' exporter-toolkit. None for
            plain HTTP to everybody.
    """

    listen: str = "127.0.0.1:9274"
    interval: Seconds = 10.0
    web_config_file: Path | None = None
