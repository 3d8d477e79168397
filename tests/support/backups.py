"""Backups as the catalogue has them, and the records that jobs leave."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from orchestrator.backup.entries import Backup
from orchestrator.backup.runner.record import Kind, Peaks, Record, State, StoredFile

HOUR = 3600.0
DAY = 24 * HOUR
MIB = 2**20


def backup(name: str, at: float, kind: Kind = Kind.FULL, **changes: Any) -> Backup:
    """A good backup that ended then; LSNs follow the time, so that an increment joins a parent that ended before."""
    base: dict[str, Any] = {
        "id": name,
        "source": "demo",
        "kind": kind,
        "made": State.DONE,
        "host": "db1",
        "volume": name,
        "started_at": at - 60,
        "finished_at": at,
        "seconds": 60.0,
        "bytes_raw": 100 * MIB,
        "bytes_stored": 40 * MIB,
        "from_lsn": 0 if kind is Kind.FULL else None,
        "to_lsn": int(at) if kind in {Kind.FULL, Kind.INCREMENTAL} else None,
    }
    return Backup(**{**base, **changes})


def increment(name: str, at: float, parent: Backup, **changes: Any) -> Backup:
    """A good increment of a backup."""
    return backup(name, at, Kind.INCREMENTAL, **{"parent": parent.id, "from_lsn": parent.to_lsn, **changes})


def record(backup_id: str, kind: Kind = Kind.FULL, *, at: float = 1_795_410_000.0, **changes: Any) -> Record:
    """What the runner leaves of a job that ended then."""
    base: dict[str, Any] = {
        "backup_id": backup_id,
        "source": "demo",
        "kind": kind,
        "state": State.VERIFIED if kind is Kind.VERIFY else State.DONE,
        "started_at": _iso(at - 8),
        "finished_at": _iso(at),
        "seconds": 8.0,
        "bytes_raw": 10 * MIB,
        "bytes_stored": 4 * MIB,
        "from_lsn": 0 if kind is Kind.FULL else None,
        "to_lsn": 1000 if kind is Kind.FULL else None,
        "files": (StoredFile(name="backup.xb.zst", bytes=4 * MIB, sha256="0" * 64),),
        "peaks": Peaks(cpu=0.8, memory=200 * MIB, read_bps=40_000_000, write_bps=20_000_000),
    }
    return Record(**{**base, **changes})


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
