"""Folders of a volume: what grows there, and how it becomes a whole result.

Everything is written into `.<id>.partial`, synced, and renamed: a folder with the result's own name is a whole one.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import Code, JobFailedError
from .jobs import Job
from .record import RECORD_NAME, SUMS_NAME, Record, StoredFile

CHUNK_BYTES = 1 << 20
_BACKUP_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_GROUP_AND_OTHERS = 0o077


def check_target(job: Job) -> None:
    """Refuse a bad id, a missing volume, and an id that is taken.

    Raises:
        JobFailedError: as said.
    """
    check_volume(job)
    if job.folder.exists():
        raise JobFailedError(Code.VOLUME_TAKEN, f"{job.backup_id} is already in {job.target}")


def check_volume(job: Job) -> None:
    """Refuse a bad id and a missing volume.

    Raises:
        JobFailedError: as said.
    """
    if not _BACKUP_ID.fullmatch(job.backup_id):
        text = f"{job.backup_id!r} is no backup id"
        raise JobFailedError(Code.BAD_ID, text)
    if not job.target.is_dir():
        raise JobFailedError(Code.VOLUME_MISSING, f"{job.target} is no folder")


def check_secret(path: Path, what: str) -> None:
    """Refuse a file with secrets that others can read.

    Raises:
        JobFailedError: not there, no file, or of a wrong mode.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise JobFailedError(Code.CREDENTIALS, f"{what} {path}: {error.strerror}") from error
    if not stat.S_ISREG(mode) or mode & _GROUP_AND_OTHERS:
        text = f"{what} {path} has mode {stat.S_IMODE(mode):04o}, so others can read it"
        raise JobFailedError(Code.CREDENTIALS, text)


@contextmanager
def partial_folder(job: Job) -> Iterator[Path]:
    """An empty folder to grow in; gone if the job fails. That of a run that was killed is thrown away first."""
    shutil.rmtree(job.partial, ignore_errors=True)
    try:
        job.partial.mkdir(mode=0o700)
        yield job.partial
    except BaseException:
        shutil.rmtree(job.partial, ignore_errors=True)
        raise


def publish(job: Job, record: Record, commit: Callable[[], object]) -> None:
    """Make the partial folder the result, so that it is whole also after a power cut.

    `commit` is called when only the renaming is left; from then on nothing must interrupt.
    """
    (job.partial / RECORD_NAME).write_text(record.to_json() + "\n")
    for folder, _, names in os.walk(job.partial, topdown=False):
        for name in names:
            sync(Path(folder, name))
        sync(Path(folder))
    commit()
    job.partial.rename(job.folder)
    sync(job.target)


def replace_text(path: Path, text: str) -> None:
    """Write a file as a whole: what was there before, or what is there now, after a power cut too."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    sync(new)
    new.rename(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Have the disk hold it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sums(folder: Path, known: dict[str, str]) -> StoredFile:
    """Write `SHA256SUMS` of all files in a folder, as sha256sum(1) does; those `known` are not read again."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    lines = [f"{known.get(name) or sha256_of(folder / name)}  {name}\n" for name in names]
    text = "".join(lines)
    (folder / SUMS_NAME).write_text(text)
    return StoredFile(name=SUMS_NAME, bytes=len(text.encode()), sha256=hashlib.sha256(text.encode()).hexdigest())


def read_sums(folder: Path, record: Record) -> dict[str, str]:
    """Sums by name, as the record vouches for them.

    Raises:
        JobFailedError: the list is missing, or not the one that was written.
    """
    listed = record.file(SUMS_NAME)
    if listed is None:  # of format 1, which had one file
        return {file.name: file.sha256 for file in record.files}
    try:
        text = (folder / SUMS_NAME).read_text()
    except OSError as error:
        raise JobFailedError(Code.BACKUP_DAMAGED, f"{folder / SUMS_NAME}: {error.strerror}") from error
    if hashlib.sha256(text.encode()).hexdigest() != listed.sha256:
        raise JobFailedError(Code.BACKUP_DAMAGED, f"{folder / SUMS_NAME} is not what was written: its SHA-256 differs")
    return parse_sums(text)


def parse_sums(text: str) -> dict[str, str]:
    """Sums by name, of a file as sha256sum(1) writes it."""
    return {name: digest for digest, _, name in (line.partition("  ") for line in text.splitlines())}


def growing_sums(folder: Path) -> dict[str, str]:
    """Sums of a folder that no record vouches for yet; empty if there are none."""
    path = folder / SUMS_NAME
    return parse_sums(path.read_text()) if path.exists() else {}


def os_failure(error: OSError, target: Path, bytes_stored: int) -> JobFailedError:
    """What an error of the system says about the job."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        text = f"no space left in {target} after {bytes_stored} bytes"
        return JobFailedError(Code.VOLUME_FULL, text)
    where = f"{error.filename}: " if error.filename else f"writing to {target}: "
    return JobFailedError(Code.VOLUME_FAILED, f"{where}{error.strerror}")
