"""What a job left in its volume: the runner's record, read as something that a container wrote.

Nothing outside the volume is opened, no link is followed, nothing that could block is waited for.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from orchestrator.backup.entries import VOLUME_KINDS
from orchestrator.backup.runner.record import RECORD_NAME, Kind, Record, State

LARGEST = 1 << 20


def read_result(mountpoint: Path, backup_id: str) -> Record | None:
    """The record of a backup in a mounted volume; None if there is none, or none that can be trusted."""
    try:
        folder = os.open(mountpoint / backup_id, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        file = os.open(RECORD_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return None
    finally:
        os.close(folder)
    with os.fdopen(file, "rb") as stream:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return None
        return parse_result(stream.read(LARGEST).decode(errors="replace"))


def parse_result(text: str) -> Record | None:
    """The record in a line of JSON; None if it is none."""
    try:
        return Record.from_json(text)
    except ValueError:
        return None


def is_good(record: Record | None) -> bool:
    """Whether there is a backup that must not be lost, or a primary that was a standby."""
    if record is None or record.state is State.FAILED:
        return False
    return record.kind in VOLUME_KINDS or (record.kind is Kind.STANDBY and record.restored_to is not None)
