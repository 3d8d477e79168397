"""What a volume holds of backups, read as something that a container wrote; and the one file that vdbmon leaves there.

Nothing outside the volume is opened, no link is followed, nothing that could block is waited for.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from collector.errors import VdbmonError
from orchestrator.backup.decisions import FILE_NAME
from orchestrator.backup.results import read_result
from orchestrator.backup.runner.record import Record

LARGEST_DECISIONS = 64 << 10

_PARTIAL = ".partial"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What is in a volume.

    Attributes:
        records: by the name of their folder, which is to be the backup's id.
        partial: folders that are no whole backup.
        decisions: text of the file with what was decided about the backup; None if there is none.
    """

    records: tuple[tuple[str, Record], ...] = ()
    partial: tuple[str, ...] = ()
    decisions: str | None = None


def partial_name(backup_id: str) -> str:
    """What the folder of a backup is called before it is whole."""
    return f".{backup_id}{_PARTIAL}"


def look_into(mountpoint: Path) -> Contents:
    """What is in a mounted volume."""
    names = sorted(_folders(mountpoint))
    found = ((name, read_result(mountpoint, name)) for name in names if not name.startswith("."))
    return Contents(
        records=tuple((name, record) for name, record in found if record is not None),
        partial=tuple(name for name in names if name.startswith(".") and name.endswith(_PARTIAL)),
        decisions=_read(mountpoint / FILE_NAME),
    )


def write_decisions(mountpoint: Path, text: str) -> None:
    """Leave the file in a mounted volume, whole or not at all, also after a power cut.

    Raises:
        VdbmonError: `volume.unwritable`: it is full, or something of the job's is in the way.
    """
    path, new = mountpoint / FILE_NAME, mountpoint / f".{FILE_NAME}.new"
    try:
        new.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(new, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
        folder = os.open(mountpoint, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise VdbmonError("volume.unwritable", f"{path}: {error.strerror}", "the ledger has it all the same") from error


def _folders(mountpoint: Path) -> list[str]:
    with os.scandir(mountpoint) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]


def _read(path: Path) -> str | None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(file, "rb") as stream:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return None
        return stream.read(LARGEST_DECISIONS).decode(errors="replace")
