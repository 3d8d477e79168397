"""Whole backups as they lie in their folders: their records, and whether they fit together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from .errors import Code, JobFailedError
from .record import RECORD_NAME, Kind, Record, State


@dataclass(frozen=True, slots=True)
class StoredBackup:
    """A backup's folder and its record."""

    folder: Path
    record: Record


def read_backup(folder: Path) -> StoredBackup:
    """A good backup.

    Raises:
        JobFailedError: there is none, or it isn't whole.
    """
    try:
        record = Record.from_json((folder / RECORD_NAME).read_text())
    except OSError as error:
        text = f"{folder} holds no whole backup: {RECORD_NAME}: {error.strerror}"
        raise JobFailedError(Code.BACKUP_UNFINISHED, text) from error
    except ValueError as error:
        raise JobFailedError(Code.BACKUP_DAMAGED, f"{folder / RECORD_NAME}: {error}") from error
    if record.state not in (State.DONE, State.VERIFIED):
        raise JobFailedError(Code.BACKUP_UNFINISHED, f"the backup in {folder} is {record.state}, not done")
    return StoredBackup(folder, record)


def read_chain(folders: Sequence[Path]) -> tuple[StoredBackup, ...]:
    """A full backup and its increments, in order.

    Raises:
        JobFailedError: one is missing, not whole, or doesn't begin where the one before ends.
    """
    chain = tuple(read_backup(folder) for folder in folders)
    first = chain[0].record
    if first.kind is not Kind.FULL:
        text = f"the chain begins with {first.backup_id}, which is {first.kind}"
        raise JobFailedError(Code.BACKUP_CHAIN, text, f"give its parent {first.parent} first")
    for before, after in pairwise(item.record for item in chain):
        if after.kind is not Kind.INCREMENTAL:
            raise JobFailedError(Code.BACKUP_CHAIN, f"{after.backup_id} is {after.kind}, not an increment")
        if after.parent != before.backup_id or after.from_lsn != before.to_lsn:
            raise JobFailedError(
                Code.BACKUP_CHAIN,
                f"increment {after.backup_id} builds on {after.parent} at LSN {after.from_lsn}, and before it is "
                f"{before.backup_id} up to LSN {before.to_lsn}: one is missing",
            )
    return chain
