"""What a demonstration says at its end: the figures of the backup, and where to look next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from orchestrator.decision.resources import Amounts, ResourceClass
from orchestrator.ledger import LaunchRecord
from vdbmon.config import Config

_MEGABYTE = 10**6


def backup_lines(record: LaunchRecord, limits: Amounts, folder: Path) -> Iterator[str]:
    """The figures of a backup that is done; its record is the runner's (orchestrator/backup/runner/record.py)."""
    result = (record.outcome or {})["record"]
    seconds = result["seconds"]
    yield ""
    yield f"{record.name}: {result['kind']} backup of {record.source} on {record.host}, {seconds:.1f} s"
    read_limit = _rate(limits[ResourceClass.READ_BPS])
    yield f"  raw      {_amount(result['bytes_raw'], seconds)}; disk read limit {read_limit}, cached pages are free"
    yield f"  stored   {_amount(result['bytes_stored'], seconds)}; write limit {_rate(limits[ResourceClass.WRITE_BPS])}"
    yield f"  sha256   {result['files'][0]['sha256']}"
    yield f"  LSN      {result['from_lsn']} to {result['to_lsn']}"
    if result["binlog_file"]:
        yield f"  position {result['binlog_file']}:{result['binlog_position']}, GTID {result['gtid'] or '-'}"
    yield f"  in       {folder}"


def where_to_look(config: Config) -> Iterator[str]:
    """Addresses and commands for what comes next."""
    yield ""
    yield f"Prometheus        {config.prometheus.url}"
    yield f"Alertmanager      {config.alertmanager.url}"
    yield f"VictoriaMetrics   {config.outputs.influxdb_v2[0].urls[0]}/vmui"
    yield f"agent             http://{config.agent.listen}/metrics"
    yield f"serve             http://{config.serve.listen}/metrics, /sd, /api/capacity, /api/decisions"
    yield "commands          .venv/bin/vdbmon ps, place, status, doctor; `make down` stops it all"


def _amount(size: int, seconds: float) -> str:
    return f"{size / _MEGABYTE:.1f} MB, {_rate(size / seconds if seconds else 0.0)}"


def _rate(bytes_per_second: float) -> str:
    return f"{bytes_per_second / _MEGABYTE:.1f} MB/s"
