"""The copy job: whole backups into a restic repository elsewhere; each file is then read back and its SHA-256 compared.

restic encrypts and deduplicates, so that a repeated copy sends only what is new.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO

from .attempt import Attempt, Result, Surroundings
from .chain import StoredBackup, read_backup
from .errors import Code, JobFailedError
from .jobs import CopyJob
from .mariadb_backup import tool_versions
from .progress import Progress
from .record import RECORD_NAME, SUMS_NAME, Kind, Record
from .relay import CHUNK_BYTES
from .repository import Repository, repository_of
from .volume import read_sums, sha256_of

_HOST = "vdbmon"  # restic's word for whose snapshots they are; containers' names change
_SCRATCH = "scratch"
_SHARE = re.compile(r"\[[\d:]+\] (?P<percent>\d+\.\d+)%")
_SAVED = re.compile(r"snapshot (?P<id>[0-9a-f]+) saved")


def run_copy(job: CopyJob, surroundings: Surroundings) -> Record:
    """Copy and check; the record."""
    attempt = Attempt(job, Kind.COPY, surroundings, parent=job.backups[-1].name)
    return attempt.run(lambda folder: _work(job, surroundings.progress, folder / _SCRATCH))


def _work(job: CopyJob, progress: Progress, scratch: Path) -> Result:
    scratch.mkdir(mode=0o700)
    repository = repository_of(job, scratch)
    chain = tuple(read_backup(folder) for folder in job.backups)
    repository.open()
    progress.expected_raw = 2 * sum(item.record.bytes_stored for item in chain)  # there and back
    raw = stored = 0
    for item in chain:
        size = item.record.bytes_stored
        snapshot = _store(repository, item, partial(_sent, progress, raw, stored, size))
        raw, stored = raw + size, stored + size
        progress.update(raw=raw, stored=stored)
        raw += _compare(repository, item, snapshot, partial(_read_back, progress, raw))
    shutil.rmtree(scratch)
    return Result(tools=tool_versions("restic"))


def _sent(progress: Progress, raw: int, stored: int, size: int, share: float) -> None:
    progress.update(raw=raw + int(share * size), stored=stored + int(share * size))


def _read_back(progress: Progress, raw: int, count: int) -> None:
    progress.update(raw=raw + count)


def _store(repository: Repository, item: StoredBackup, report: Callable[[float], object]) -> str:
    """Copy a backup's folder, telling which share is done; the snapshot's id."""
    words = ("backup", "--host", _HOST, "--tag", f"backup={item.record.backup_id}", str(item.folder))
    try:
        snapshot = repository.read(partial(snapshot_saved, report=report), *words)
    except JobFailedError as error:
        text = f"copying {item.folder} to {repository.name} failed: {error}"
        raise JobFailedError(Code.COPY_FAILED, text) from error
    if snapshot is None:
        text = f"restic did not say what became of {item.folder} in {repository.name}"
        raise JobFailedError(Code.COPY_FAILED, text)
    return snapshot


def snapshot_saved(output: IO[bytes], *, report: Callable[[float], object]) -> str | None:
    """The snapshot's id, out of what `restic backup` prints; `report` hears which share of the bytes is done."""
    saved: str | None = None
    for raw in output:
        line = raw.decode(errors="replace")
        if share := _SHARE.match(line):
            report(float(share["percent"]) / 100)
        elif found := _SAVED.match(line):
            saved = found["id"]
    return saved


def _compare(repository: Repository, item: StoredBackup, snapshot: str, report: Callable[[int], object]) -> int:
    """Read every file back; the bytes that came, of which `report` hears on the way."""
    folder = item.folder.absolute()
    sums = read_sums(folder, item.record)
    for own in (RECORD_NAME, SUMS_NAME):
        if (folder / own).exists():
            sums[own] = sha256_of(folder / own)
    where = f"the copy of {folder} in {repository.name}"
    try:
        found, total = repository.read(
            partial(_sums_of_archive, report=report), "dump", "--quiet", snapshot, str(folder)
        )
    except (JobFailedError, tarfile.TarError) as error:
        raise JobFailedError(Code.COPY_FAILED, f"{where} can't be read back: {error}") from error
    prefix = f"{str(folder).lstrip('/')}/"
    back = {name.lstrip("/").removeprefix(prefix): digest for name, digest in found.items()}
    for name, wanted in sums.items():
        if back.get(name) != wanted:
            raise JobFailedError(Code.COPY_FAILED, f"{where} is not what was written: the SHA-256 of {name} differs")
    return total


def _sums_of_archive(stream: IO[bytes], *, report: Callable[[int], object]) -> tuple[dict[str, str], int]:
    """SHA-256 by name of the files in a tar archive, and their length together."""
    sums: dict[str, str] = {}
    total = 0
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is None:
                continue
            digest = hashlib.sha256()
            while data := content.read(CHUNK_BYTES):
                digest.update(data)
                total += len(data)
                report(total)
            sums[member.name] = digest.hexdigest()
    return sums, total
