"""Command line of the runner: messages go to standard error, the record is the last line on standard output."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from .job import BackupFailedError, BackupJob, ProgressLine, run_backup
from .metrics import MetricsFiles
from .pipeline import STOP_SIGNALS
from .record import State


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one backup; 0 if it is done, 1 if it failed (the record says why), 2 for a wrong command line."""
    job = parse_arguments(arguments)
    os.umask(0o077)
    metrics = MetricsFiles(job.target, datetime.now(UTC))
    metrics.progress(0, 0)
    for number in STOP_SIGNALS:
        signal.signal(number, _terminate)
    progress = ProgressLine(_say, also=metrics.progress)
    record = run_backup(job, progress, commit=_ignore_signals, now=lambda: datetime.now(UTC))
    _ignore_signals()
    metrics.ended(record)
    if record.reason is not None:
        _say(f"backup {record.backup_id} of {record.source} failed: {record.reason}\n")
    sys.stdout.write(record.to_json() + "\n")
    return 0 if record.state is State.DONE else 1


def parse_arguments(arguments: Sequence[str] | None) -> BackupJob:
    """The job that the command line describes; ends the process with 2 for a wrong one."""
    parser = argparse.ArgumentParser(prog="runner", description="Back up a MariaDB server into a volume.")
    commands = parser.add_subparsers(dest="command", required=True)
    backup = commands.add_parser("backup", help="one full physical backup, streamed and compressed")
    backup.add_argument("--source", required=True, help="name of the database, for the record")
    backup.add_argument("--backup-id", required=True, help="name of the folder that is made")
    backup.add_argument("--target", required=True, type=Path, help="root of the volume")
    backup.add_argument("--socket", required=True, type=Path, help="the server's Unix socket")
    backup.add_argument("--defaults-file", required=True, type=Path, help="MySQL option file of mode 0600")
    values = vars(parser.parse_args(arguments))
    del values["command"]
    return BackupJob(**values)


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    _ignore_signals()  # a second one must not disturb the clean-up
    raise BackupFailedError("terminated")


def _ignore_signals() -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
