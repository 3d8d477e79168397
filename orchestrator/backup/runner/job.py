"""One full backup of a MariaDB server into a folder of a volume.

Everything is written into `.<id>.partial`, synced, and renamed: a folder with the backup's own name is a whole backup.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from .facts import INFO_NAMES, last_message, parse_facts, parse_zstd_version, succeeded
from .pipeline import PipelineError, Progress, Stream, run_pipeline
from .record import RECORD_NAME, STREAM_NAME, Record, ServerFacts, State

LOG_NAME = "backup.log"
LSN_FOLDER = "lsn"  # what a later incremental backup takes as its base
_BACKUP_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_GROUP_AND_OTHERS = 0o077
_PROGRESS_SECONDS = 5.0
_MEGABYTE = 10**6


class BackupFailedError(Exception):
    """The backup can't be made; the text is the reason, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupJob:
    """What to back up and where to.

    Attributes:
        target: root of the volume that takes the backup.
        socket: the server's Unix socket; its data directory must be mounted where the server itself has it.
        defaults_file: MySQL option file with user and password, of mode 0600.
        programs: the backup tool and the compressor, which tests replace.
    """

    source: str
    backup_id: str
    target: Path
    socket: Path
    defaults_file: Path
    programs: tuple[str, str] = ("mariadb-backup", "zstd")

    @property
    def folder(self) -> Path:
        """Where the whole backup is."""
        return self.target / self.backup_id

    @property
    def partial(self) -> Path:
        """Where it grows."""
        return self.target / f".{self.backup_id}.partial"


class ProgressLine:
    """Counts of the bytes so far, and a line about them every few seconds; `also` is told every time."""

    def __init__(
        self,
        write: Callable[[str], object],
        *,
        also: Progress = lambda _raw, _stored: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.bytes_raw = 0
        self.bytes_stored = 0
        self._write = write
        self._also = also
        self._monotonic = monotonic
        self._last = (monotonic(), 0)

    def __call__(self, bytes_raw: int, bytes_stored: int) -> None:
        """Take new counts."""
        self.bytes_raw, self.bytes_stored = bytes_raw, bytes_stored
        self._also(bytes_raw, bytes_stored)
        then, stored_then = self._last
        elapsed = self._monotonic() - then
        if elapsed >= _PROGRESS_SECONDS:
            rate = (bytes_stored - stored_then) / elapsed
            self._last = (then + elapsed, bytes_stored)
            self._write(
                f"{bytes_raw / _MEGABYTE:.1f} MB read, {bytes_stored / _MEGABYTE:.1f} MB stored, "
                f"{rate / _MEGABYTE:.1f} MB/s\n"
            )


def run_backup(
    job: BackupJob,
    progress: ProgressLine,
    *,
    commit: Callable[[], object],
    now: Callable[[], datetime],
    monotonic: Callable[[], float] = time.monotonic,
) -> Record:
    """Make the backup; return its record, of state failed with a reason if it could not be made.

    `commit` is called when all is written and only the renaming is left; from then on the caller must not interrupt.
    A backup that failed or was interrupted leaves no partial folder.
    """
    started_at, started = now(), monotonic()

    def ended(
        facts: ServerFacts, *, reason: str | None = None, sha256: str | None = None, zstd_version: str | None = None
    ) -> Record:
        return Record(
            backup_id=job.backup_id,
            source=job.source,
            state=State.FAILED if reason else State.DONE,
            reason=reason,
            started_at=_iso(started_at),
            finished_at=_iso(now()),
            seconds=round(monotonic() - started, 3),
            bytes_raw=progress.bytes_raw,
            bytes_stored=progress.bytes_stored,
            sha256=sha256,
            zstd_version=zstd_version,
            **asdict(facts),
        )

    try:
        check_job(job)
        with _partial_folder(job):
            zstd_version = _zstd_version(job.programs[1])
            stream, facts = _fill_partial(job, progress)
            done = ended(facts, sha256=stream.sha256, zstd_version=zstd_version)
            _publish(job, done, commit)
    except (BackupFailedError, PipelineError) as error:
        return ended(ServerFacts(), reason=str(error))
    except OSError as error:
        return ended(ServerFacts(), reason=_os_reason(error, job, progress.bytes_stored))
    return done


def check_job(job: BackupJob) -> None:
    """Refuse what can't end well.

    Raises:
        BackupFailedError: a bad id, a backup of that id is there, credentials that others can read, no volume.
    """
    if not _BACKUP_ID.fullmatch(job.backup_id):
        raise BackupFailedError(f"{job.backup_id!r} is no backup id; use letters, digits, dot, dash, underscore")
    if not job.target.is_dir():
        raise BackupFailedError(f"{job.target} is no folder; mount the volume there")
    if job.folder.exists():
        raise BackupFailedError(f"backup {job.backup_id} is already in {job.target}")
    try:
        mode = job.defaults_file.stat().st_mode
    except OSError as error:
        raise BackupFailedError(f"credentials file {job.defaults_file}: {error.strerror}") from error
    if not stat.S_ISREG(mode) or mode & _GROUP_AND_OTHERS:
        raise BackupFailedError(
            f"credentials file {job.defaults_file} has mode {stat.S_IMODE(mode):04o}; it must be a file of mode 0600"
        )


@contextmanager
def _partial_folder(job: BackupJob) -> Iterator[None]:
    shutil.rmtree(job.partial, ignore_errors=True)  # of a run that was killed
    try:
        job.partial.mkdir(mode=0o700)
        yield
    except BaseException:
        shutil.rmtree(job.partial, ignore_errors=True)
        raise


def _fill_partial(job: BackupJob, progress: ProgressLine) -> tuple[Stream, ServerFacts]:
    log, lsn_folder = job.partial / LOG_NAME, job.partial / LSN_FOLDER
    producer = (
        job.programs[0],
        f"--defaults-file={job.defaults_file}",  # must come first
        "--backup",
        "--stream=xbstream",
        f"--socket={job.socket}",
        f"--extra-lsndir={lsn_folder}",
        f"--target-dir={lsn_folder}",  # takes nothing while streaming, but must be named
    )
    compressor = (job.programs[1], "--quiet", "--stdout", "--threads=1")
    stream = run_pipeline(producer, compressor, output=job.partial / STREAM_NAME, log=log, progress=progress)
    messages = _read(log)
    if not succeeded(messages):
        raise BackupFailedError(f"{job.programs[0]} did not complete: {last_message(messages)}")
    info = "".join(_read(lsn_folder / name) for name in INFO_NAMES if (lsn_folder / name).exists())
    return stream, parse_facts(info, messages)


def _publish(job: BackupJob, record: Record, commit: Callable[[], object]) -> None:
    """Make the partial folder the backup, so that it is whole also after a power cut."""
    (job.partial / RECORD_NAME).write_text(record.to_json() + "\n")
    for folder, _, names in os.walk(job.partial, topdown=False):
        for name in names:
            _sync(Path(folder, name))
        _sync(Path(folder))
    commit()
    job.partial.rename(job.folder)
    _sync(job.target)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _zstd_version(program: str) -> str | None:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise BackupFailedError(f"{program} can't be started: {error.strerror}") from error
    return parse_zstd_version(done.stdout)


def _os_reason(error: OSError, job: BackupJob, bytes_stored: int) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left in {job.target} after {bytes_stored} bytes; give the volume more disk"
    where = f"{error.filename}: " if error.filename else f"writing to {job.target}: "
    return f"{where}{error.strerror}"


def _read(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
