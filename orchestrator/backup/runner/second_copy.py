"""The copy job: whole backups into a restic repository elsewhere; each file is then read back and its SHA-256 compared.

restic encrypts and deduplicates. Its password comes from a file; so do an ssh key and, by restic's own environment
variables that name files, the keys of an object store.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import tarfile
from collections.abc import Sequence
from typing import IO

from .attempt import Attempt, Result, Surroundings
from .chain import StoredBackup, read_backup
from .errors import Code, JobFailedError
from .jobs import CopyJob
from .mariadb_backup import tool_versions
from .pipeline import CHUNK_BYTES, read_from, run
from .progress import Progress
from .record import RECORD_NAME, SUMS_NAME, Kind, Record
from .volume import check_secret, read_sums, sha256_of

_HOST = "vdbmon"  # restic's word for whose snapshots they are; containers' names change


def run_copy(job: CopyJob, surroundings: Surroundings) -> Record:
    """Copy and check; the record."""
    attempt = Attempt(job, Kind.COPY, surroundings, parent=job.backups[-1].name)
    return attempt.run(lambda _folder: _work(job, surroundings.progress))


def _work(job: CopyJob, progress: Progress) -> Result:
    check_secret(job.password_file, "password file")
    if job.ssh_key is not None:
        check_secret(job.ssh_key, "ssh key")
    chain = tuple(read_backup(folder) for folder in job.backups)
    restic = restic_command(job)
    _open_repository(restic)
    progress.expected_raw = 2 * sum(item.record.bytes_stored for item in chain)  # there and back
    done = 0
    for item in chain:
        snapshot = _store(restic, item)
        done += item.record.bytes_stored
        progress.update(raw=done, stored=done)
        done += _compare(restic, item, snapshot)
        progress.update(raw=done)
    return Result(tools=tool_versions("restic"))


def restic_command(job: CopyJob) -> tuple[str, ...]:
    """The command with all that says where the repository is."""
    command = ("restic", "--repo", job.repository, "--password-file", str(job.password_file), "--no-cache", "--quiet")
    if not job.repository.startswith("sftp:"):
        return command
    if job.ssh_key is None or job.known_hosts is None:
        raise JobFailedError(Code.COPY_FAILED, "a copy by ssh needs --ssh-key and --ssh-known-hosts")
    host = job.repository.removeprefix("sftp:").removeprefix("//").partition(":")[0].partition("/")[0]
    options = ("-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", f"UserKnownHostsFile={job.known_hosts}")
    ssh = ("ssh", "-F", "none", "-i", str(job.ssh_key), *options, host, "-s", "sftp")
    return (*command, "--option", f"sftp.command={shlex.join(ssh)}")


def _open_repository(restic: Sequence[str]) -> None:
    """Make it if there is none; a wrong password must not make a second one."""
    try:
        run((*restic, "cat", "config"))
    except JobFailedError as error:
        if "wrong password" in str(error):
            raise JobFailedError(Code.WRONG_KEY, f"the copy's repository: {error}") from error
        try:
            run((*restic, "init"))
        except JobFailedError as second:
            raise JobFailedError(Code.COPY_FAILED, f"the copy's repository can't be opened: {second}") from error


def _store(restic: Sequence[str], item: StoredBackup) -> str:
    """Copy a backup's folder; the snapshot's id."""
    tag = f"backup={item.record.backup_id}"
    try:
        output = run((*restic, "backup", "--json", "--host", _HOST, "--tag", tag, str(item.folder)))
    except JobFailedError as error:
        raise JobFailedError(Code.COPY_FAILED, f"copying {item.record.backup_id} failed: {error}") from error
    for line in reversed(output.splitlines()):
        message = json.loads(line)
        if message.get("message_type") == "summary":
            return str(message["snapshot_id"])
    raise JobFailedError(Code.COPY_FAILED, f"restic did not say what became of {item.record.backup_id}")


def _compare(restic: Sequence[str], item: StoredBackup, snapshot: str) -> int:
    """Read every file back; the bytes that came."""
    folder = item.folder.absolute()
    sums = read_sums(folder, item.record)
    for own in (RECORD_NAME, SUMS_NAME):
        if (folder / own).exists():
            sums[own] = sha256_of(folder / own)
    try:
        found, total = read_from((*restic, "dump", snapshot, str(folder)), _sums_of_archive)
    except (JobFailedError, tarfile.TarError) as error:
        raise JobFailedError(Code.COPY_FAILED, f"the copy of {folder} can't be read back: {error}") from error
    prefix = f"{str(folder).lstrip('/')}/"
    back = {name.lstrip("/").removeprefix(prefix): digest for name, digest in found.items()}
    for name, wanted in sums.items():
        if back.get(name) != wanted:
            text = f"the copy of {folder / name} is not what was written: its SHA-256 differs"
            raise JobFailedError(Code.COPY_FAILED, text)
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
