"""The copy job: whole backups into a restic repository elsewhere; each file is then read back and its SHA-256 compared.

restic encrypts and deduplicates, so that a repeated copy sends only what is new.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tarfile
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
_SAVED = re.compile(r"^snapshot (?P<id>[0-9a-f]+) saved", re.MULTILINE)


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
    for item in chain:
        snapshot = _store(repository, item)
        size = item.record.bytes_stored
        progress.update(raw=progress.bytes_raw + size, stored=progress.bytes_stored + size)
        progress.update(raw=progress.bytes_raw + _compare(repository, item, snapshot))
    shutil.rmtree(scratch)
    return Result(tools=tool_versions("restic"))


def _store(repository: Repository, item: StoredBackup) -> str:
    """Copy a backup's folder; the snapshot's id."""
    tag = f"backup={item.record.backup_id}"
    try:
        output = repository.run("backup", "--host", _HOST, "--tag", tag, str(item.folder))
    except JobFailedError as error:
        text = f"copying {item.folder} to {repository.name} failed: {error}"
        raise JobFailedError(Code.COPY_FAILED, text) from error
    saved = _SAVED.search(output)
    if saved is None:
        text = f"restic did not say what became of {item.folder} in {repository.name}"
        raise JobFailedError(Code.COPY_FAILED, text)
    return saved["id"]


def _compare(repository: Repository, item: StoredBackup, snapshot: str) -> int:
    """Read every file back; the bytes that came."""
    folder = item.folder.absolute()
    sums = read_sums(folder, item.record)
    for own in (RECORD_NAME, SUMS_NAME):
        if (folder / own).exists():
            sums[own] = sha256_of(folder / own)
    where = f"the copy of {folder} in {repository.name}"
    try:
        found, total = repository.read(_sums_of_archive, "dump", "--quiet", snapshot, str(folder))
    except (JobFailedError, tarfile.TarError) as error:
        raise JobFailedError(Code.COPY_FAILED, f"{where} can't be read back: {error}") from error
    prefix = f"{str(folder).lstrip('/')}/"
    back = {name.lstrip("/").removeprefix(prefix): digest for name, digest in found.items()}
    for name, wanted in sums.items():
        if back.get(name) != wanted:
            raise JobFailedError(Code.COPY_FAILED, f"{where} is not what was written: the SHA-256 of {name} differs")
    return total


def _sums_of_archive(stream: IO[bytes]) -> tuple[dict[str, str], int]:
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
            sums[member.name] = digest.hexdigest()
    return sums, total
