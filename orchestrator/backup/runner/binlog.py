"""The binlog job: the source's binary logs, byte for byte, in a folder that grows from run to run.

mariadb-binlog fetches into `.fetching`; a file moves to its place once it is at least as long as what is there, while
it is still written. The server tells how long its files are: one that is no longer written and as long here as there is
complete, and its SHA-256 goes into `SHA256SUMS`. What was purged at the source before it was fetched is a gap.
"""

from __future__ import annotations

import math
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from .attempt import Attempt, Result, Surroundings, iso
from .binlog_files import begins_with, check_sequence, find_binlogs, sequence_of
from .errors import REMEDIES, Code, JobFailedError, TerminatedError
from .jobs import BinlogJob
from .mariadb_backup import tool_versions
from .record import RECORD_NAME, SUMS_NAME, Kind, Record, ServerFacts, State
from .sql import Session, client_options
from .volume import check_secret, check_volume, growing_sums, replace_text, sha256_of, sync

FETCHING = ".fetching"
_RECORD_SECONDS = 10.0
_RETRY_SECONDS = 2.0
_PATIENCE_SECONDS = 600.0  # since the source was last seen; one that was never reached is an error at once
_PURGED = "Could not find first log"

Pause = Callable[[float], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How far a folder has the source's logs.

    Attributes:
        file: the last one here; None in an empty folder.
        size: of it.
        complete: whether nothing more was at the source a moment ago.
    """

    file: str | None
    size: int
    complete: bool


def run_binlog(job: BinlogJob, surroundings: Surroundings, pause: Pause) -> Record:
    """Fetch until all of now is here, or until terminated; the record stays in the folder and is renewed as it goes.

    A failure never takes away what was fetched.
    """
    attempt = Attempt(job, Kind.BINLOG, surroundings)
    follower = _Follower(job, attempt, surroundings, pause)
    try:
        check_volume(job)
        check_secret(job.server.defaults_file, "credentials file")
        job.folder.mkdir(mode=0o700, exist_ok=True)
        return follower.run()
    except (JobFailedError, OSError, TerminatedError) as error:
        record = replace(attempt.failed(error), restored_to=follower.complete_until)
        if record.code != Code.BAD_ID and job.folder.is_dir():
            _keep_record(job, record)
        return record


class _Follower:
    def __init__(self, job: BinlogJob, attempt: Attempt, surroundings: Surroundings, pause: Pause) -> None:
        self._job, self._attempt, self._surroundings, self._pause = job, attempt, surroundings, pause
        self._sums: dict[str, str] = {}
        self.complete_until: str | None = None
        self._complete_at = surroundings.monotonic()
        self._kept_at = self._seen_at = -math.inf
        self._first: str | None = None

    def run(self) -> Record:
        """See `run_binlog`; a follower outlives a restart of the source."""
        while True:
            try:
                return self._fetch()
            except JobFailedError as error:
                silent = self._surroundings.monotonic() - self._seen_at
                if not self._job.follow or error.code is not Code.SOURCE_LOST or silent > _PATIENCE_SECONDS:
                    raise
                self._surroundings.progress.say(f"{error}; trying again")
                self._tell_lag()
                self._pause(_RETRY_SECONDS)

    def _fetch(self) -> Record:
        self._sums = growing_sums(self._job.folder)
        with ExitStack() as stack:
            session = stack.enter_context(Session(self._job.server))
            session.waiting = self._tell_lag  # an answer that doesn't come from a source that is gone
            version = session.value("SELECT VERSION()")
            fetching = _empty_folder(self._job.folder / FETCHING)
            stack.callback(shutil.rmtree, fetching, ignore_errors=True)
            start = self._start(_server_files(session))
            messages = stack.enter_context(tempfile.TemporaryFile())
            process = subprocess.Popen(
                _fetch_command(self._job, start, fetching), stdin=subprocess.DEVNULL, stderr=messages
            )
            stack.callback(_end, process)
            coverage = Coverage(file=None, size=0, complete=False)
            try:
                while process.poll() is None:
                    self._pause(1.0)
                    coverage = self._look(session, fetching, version)
            except TerminatedError:
                if not self._job.follow:
                    raise
                _end(process)  # the usual end of a follower
                self._surroundings.commit()
            else:
                _check_fetch(process, messages, follow=self._job.follow)
            coverage = self._look(session, fetching, version)
            record = self._record(coverage, version, State.DONE)
            _keep_record(self._job, record)
            return record

    def _start(self, server: Mapping[str, int]) -> str:
        """The file to begin with: the last one here, which may have grown, else the first that is wanted."""
        here = find_binlogs([self._job.folder])
        check_sequence(here)
        oldest = next(iter(server), None)
        if oldest is None:
            raise JobFailedError(Code.BINLOG_GAP, "the source writes no binary logs", "start it with log_bin")
        start = here[-1].name if here else self._job.first_file or oldest
        self._first = here[0].name if here else start
        if start not in server and here and _following(start) in server and start in self._sums:
            return _following(start)
        if start not in server:
            text = f"binary log {start} is no longer at the source, whose oldest is {oldest}: what was between is lost"
            raise JobFailedError(Code.BINLOG_GAP, text)
        return start

    def _look(self, session: Session, fetching: Path, version: str | None) -> Coverage:
        """Move what came to its place, sum what is complete, tell how far it is."""
        asked_at = self._surroundings.now()
        server = _server_files(session)
        self._seen_at = self._surroundings.monotonic()
        for path in find_binlogs([fetching]):
            _take_place(path, self._job.folder / path.name)
        here = find_binlogs([self._job.folder])
        check_sequence(here)
        newest = next(reversed(server), None)
        for path in here:
            if path.name in self._sums:
                continue
            sync(path)  # here, where the container's disk limit holds, and not in the kernel's flusher
            if path.name != newest and server.get(path.name) == path.stat().st_size:
                self._sums[path.name] = sha256_of(path)
                replace_text(self._job.folder / SUMS_NAME, "".join(f"{d}  {n}\n" for n, d in self._sums.items()))
        last = here[-1] if here else None
        size = last.stat().st_size if last is not None else 0
        complete = last is not None and last.name == newest and size >= server[last.name]
        if complete:
            self.complete_until = iso(asked_at)
        self._tell(Coverage(file=last.name if last else None, size=size, complete=complete), here, version)
        return Coverage(file=last.name if last else None, size=size, complete=complete)

    def _tell(self, coverage: Coverage, here: list[Path], version: str | None) -> None:
        now, stored = self._surroundings.monotonic(), sum(path.stat().st_size for path in here)
        self._surroundings.progress.update(raw=stored, stored=stored)
        if coverage.complete:
            if now - self._kept_at >= _RECORD_SECONDS:
                self._kept_at = now
                _keep_record(self._job, self._record(coverage, version, State.STARTED))
            self._complete_at = now
        self._tell_lag()

    def _tell_lag(self) -> None:
        self._surroundings.progress.lag(self._surroundings.monotonic() - self._complete_at)

    def _record(self, coverage: Coverage, version: str | None, state: State) -> Record:
        facts = ServerFacts(
            server_version=version,
            first_binlog_file=self._first,
            binlog_file=coverage.file,
            binlog_position=coverage.size,
        )
        tools = tool_versions("mariadb-binlog")
        return self._attempt.record(Result(facts=facts, tools=tools, state=state, restored_to=self.complete_until))


def _take_place(path: Path, place: Path) -> None:
    """Move a file to its place as soon as it has all that is there; it may still be written.

    Raises:
        JobFailedError: what is there is no part of it: the logs are those of another server.
    """
    if place.exists():
        if path.stat().st_size < place.stat().st_size:
            return
        if not begins_with(path, place):
            text = f"{path.name} at the source is not the one that was fetched before: it is another server now"
            raise JobFailedError(Code.SOURCE_REPLACED, text, REMEDIES[Code.BINLOG_GAP])
    path.rename(place)


def _fetch_command(job: BinlogJob, start: str, fetching: Path) -> list[str]:
    command = ["mariadb-binlog", *client_options(job.server), "--read-from-remote-server", "--raw"]
    command.append(f"--result-file={fetching}/")
    if job.follow:
        command += ["--stop-never", f"--stop-never-slave-server-id={job.server_id}"]
    else:
        command.append("--to-last-log")
    return [*command, start]


def _check_fetch(process: subprocess.Popen[bytes], messages: IO[bytes], *, follow: bool) -> None:
    messages.seek(0)
    text = messages.read().decode(errors="replace").strip()
    if process.returncode == 0 and not follow:
        return
    code = Code.BINLOG_GAP if _PURGED in text else Code.SOURCE_LOST
    raise JobFailedError(code, f"mariadb-binlog ended: {text or 'no message'}")


def _server_files(session: Session) -> dict[str, int]:
    """The source's files and their sizes, oldest first."""
    return {row[0]: int(row[1]) for row in session.query("SHOW BINARY LOGS")}


def _following(name: str) -> str:
    return f"{name.rpartition('.')[0]}.{sequence_of(name) + 1:06d}"


def _empty_folder(path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o700)
    return path


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
    process.wait()


def _keep_record(job: BinlogJob, record: Record) -> None:
    replace_text(job.folder / RECORD_NAME, record.to_json() + "\n")
