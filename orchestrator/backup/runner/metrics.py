"""Metrics of a backup, as files in its volume that the agent reads: `metrics/*.prom`, Prometheus text.

`backup.prom` tells of the attempt under way and then of its end; `success.prom` of the last good backup, and an attempt
that fails leaves it as it is; `verified.prom` of the last good verification, `copy.prom` of the last copy, `lag.prom`
of a follower's lag. Each is replaced as a whole. Names are those that the agent knows (its job input).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from .record import Kind, Record, State

FOLDER = "metrics"
ATTEMPT_FILE = "backup.prom"
SUCCESS_FILE = "success.prom"
VERIFIED_FILE = "verified.prom"
COPY_FILE = "copy.prom"
LAG_FILE = "lag.prom"
_PROGRESS_SECONDS = 5.0


class MetricsFiles:
    """Writes them; a volume that is full or missing costs metrics and never the backup.

    Args:
        target: root of the volume.
        started_at: of the attempt.
    """

    def __init__(self, target: Path, started_at: datetime, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._folder = target / FOLDER
        self._started_at = started_at
        self._monotonic = monotonic
        self._next = monotonic()
        self._state = State.STARTED

    def progress(self, bytes_raw: int, bytes_stored: int, expected_raw: int | None = None) -> None:
        """Take new counts; they are written every few seconds."""
        now = self._monotonic()
        if now >= self._next:
            self._next = now + _PROGRESS_SECONDS
            self._attempt(self._state, bytes_raw, bytes_stored, expected_raw)

    def copied(self, bytes_raw: int, bytes_stored: int) -> None:
        """Tell that all bytes are there, at once; the attempt is in that state up to its end."""
        self._state = State.COPIED
        self._attempt(State.COPIED, bytes_raw, bytes_stored)

    def lag(self, seconds: float | None) -> None:
        """Tell how far a follower is behind; nothing of one that follows no more."""
        self._write(LAG_FILE, [] if seconds is None else [f"vdbmon_backup_lag_seconds {seconds:.0f}"])

    def ended(self, record: Record) -> None:
        """Tell how it ended."""
        finished = datetime.fromisoformat(record.finished_at).timestamp()
        if record.kind is Kind.VERIFY:
            if record.state is State.VERIFIED:
                self._write(VERIFIED_FILE, [f"vdbmon_backup_last_verified_timestamp_seconds {finished:.0f}"])
        elif record.kind is Kind.COPY:
            if record.state is State.DONE:
                self._write(COPY_FILE, [f"vdbmon_backup_last_copy_timestamp_seconds {finished:.0f}"])
        elif record.state is State.DONE:
            lines = [
                f"vdbmon_backup_last_success_timestamp_seconds {finished:.0f}",
                f"vdbmon_backup_duration_seconds {record.seconds}",
                *_by_kind("vdbmon_backup_bytes", record.bytes_raw, record.bytes_stored),
            ]
            self._write(SUCCESS_FILE, lines)
        self._attempt(record.state, record.bytes_raw, record.bytes_stored)

    def _attempt(self, state: State, bytes_raw: int, bytes_stored: int, expected_raw: int | None = None) -> None:
        lines = [
            f"vdbmon_backup_start_timestamp_seconds {self._started_at.timestamp():.0f}",
            *(f'vdbmon_backup_state{{state="{name}"}} {int(name == state)}' for name in State),
            *_by_kind("vdbmon_backup_progress_bytes", bytes_raw, bytes_stored),
        ]
        if expected_raw is not None:
            lines.append(f'vdbmon_backup_expected_bytes{{kind="raw"}} {expected_raw}')
        self._write(ATTEMPT_FILE, lines)

    def _write(self, name: str, lines: Iterable[str]) -> None:
        new = self._folder / f".{name}.new"
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            new.write_text("".join(f"{line}\n" for line in lines))
            new.rename(self._folder / name)


def _by_kind(name: str, bytes_raw: int, bytes_stored: int) -> tuple[str, str]:
    return f'{name}{{kind="raw"}} {bytes_raw}', f'{name}{{kind="stored"}} {bytes_stored}'
