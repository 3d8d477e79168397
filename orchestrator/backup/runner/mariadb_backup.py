"""Run mariadb-backup where the server is: its stream, compressed and encrypted, and what it says of the backup.

Used by a backup of a server on the same host, and by the source's half of a streamed one.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .errors import Code, JobFailedError
from .facts import SUCCESS_LINE, parse_binlog_position, parse_version
from .jobs import BackupRequest, Server, TableDetail
from .locks import LockLimits, LockWatch
from .pipeline import Argv, Sink, log_text, produce
from .record import TABLES_NAME
from .sql import Session
from .tables import Snapshot, TableFacts, tables_to_json
from .volume import check_secret

TOOL = "mariadb-backup"
LOG_NAME = "backup.log"
LSN_FOLDER = "lsn"
INFO_NAMES = ("xtrabackup_info", "mariadb_backup_info")  # the second since MariaDB 11.1
_DENIED = ("Access denied", "1045", "missing required privilege")
DEFAULT_LIMITS = LockLimits()
_LOG_COPY_MILLISECONDS = 20  # commits wait for the log's copy at the end, which by default looks once a second
_EXPECTED = "SELECT SUM(file_size) FROM information_schema.innodb_sys_tablespaces"


class Hearer(Protocol):
    """Is told how far a backup is."""

    def progress(self, raw: int, expected: int | None, /) -> object:
        """Bytes before compression so far, and in all, if anybody knows; at least once a second."""

    def say(self, text: str, /) -> object:
        """Why it goes on no faster, in one line."""

    def copied(self) -> object:
        """The stream is whole; what is read of the source from now on is its tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Produced:
    """What came with the stream.

    Attributes:
        bytes_raw: length of the xbstream.
        files: texts that are kept beside it, by name: the tool's info, its log, the tables.
        tables: how many tables are in `tables.json`.
        lock_seconds: how long commits were blocked.
        tools: versions by program.
    """

    bytes_raw: int
    files: dict[str, str]
    tables: int
    lock_seconds: float | None
    tools: dict[str, str]


def info_of(files: Mapping[str, str]) -> str:
    """The tool's info file among those kept beside the stream."""
    return "".join(files.get(f"{LSN_FOLDER}/{name}", "") for name in INFO_NAMES)


def produce_backup(
    server: Server, request: BackupRequest, sink: Sink, hear: Hearer, *, limits: LockLimits = DEFAULT_LIMITS
) -> Produced:
    """Make a backup and give its stream to `sink`.

    Raises:
        JobFailedError: the server or a program failed, or there is no telling that it did not.
    """
    check_secret(server.defaults_file, "credentials file")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vdbmon-")))
        snapshot = Snapshot(server) if request.table_detail is not TableDetail.NONE else None
        watch = LockWatch(snapshot.open if snapshot is not None else lambda: None, hear.say, limits)
        stack.callback(watch.end)
        if snapshot is not None:
            stack.enter_context(snapshot)  # is closed before the watch waits for its opening
        expected = _expected_bytes(server, request)
        log: list[str] = []

        def on_line(line: str) -> None:
            log.append(line)
            watch.line(line)

        commands = (backup_command(server, request, folder), *storing_commands(request.recipients))
        try:
            raw = produce(
                commands,
                sink,
                progress=lambda count: hear.progress(count, expected),
                on_start=watch.started,
                on_line=on_line,
            )
        except JobFailedError as error:
            raise _explained(error, log, watch) from error
        watch.end()
        _check_success(log)
        files = {f"{LSN_FOLDER}/{path.name}": path.read_text(errors="replace") for path in sorted(folder.iterdir())}
        files[LOG_NAME] = "".join(f"{line}\n" for line in log)
        hear.copied()
        tables = _tables(files, snapshot, request.table_detail, lambda: hear.progress(raw, expected))
        files |= {TABLES_NAME: tables_to_json(tables)} if tables else {}
        return Produced(
            bytes_raw=raw,
            files=files,
            tables=len(tables),
            lock_seconds=watch.lock_seconds,
            tools=tool_versions(TOOL, "zstd", *(("age",) if request.recipients else ())),
        )


def backup_command(server: Server, request: BackupRequest, lsn_folder: Path) -> Argv:
    """The tool's command line."""
    command = [
        TOOL,
        f"--defaults-file={server.defaults_file}",  # must come first
        "--backup",
        "--stream=xbstream",
        f"--socket={server.socket}",
        f"--extra-lsndir={lsn_folder}",
        f"--log-copy-interval={_LOG_COPY_MILLISECONDS}",
        f"--target-dir={lsn_folder}",  # takes nothing while streaming, but must be named
    ]
    if request.from_lsn is not None:
        command.append(f"--incremental-lsn={request.from_lsn}")
    if request.throttle is not None:
        command.append(f"--throttle={request.throttle}")
    return command


def storing_commands(recipients: Sequence[str]) -> tuple[Argv, ...]:
    """What turns plain bytes into those that are stored."""
    compress = ("zstd", "--quiet", "--stdout", "--threads=1")
    if not recipients:
        return (compress,)
    keys = [word for key in recipients for word in ("--recipient", key)]
    return (compress, ("age", "--encrypt", *keys))


def _expected_bytes(server: Server, request: BackupRequest) -> int | None:
    """About how long a full backup's stream gets; nobody knows that of an increment."""
    if request.from_lsn is not None:
        return None
    with contextlib.suppress(JobFailedError), Session(server) as session:
        found = session.value(_EXPECTED)
        return int(float(found)) if found else None
    return None


def _explained(error: JobFailedError, log: Sequence[str], watch: LockWatch) -> JobFailedError:
    """The tool's failure, as the source's where its log says so."""
    if watch.failure is not None:
        return watch.failure
    text = "\n".join(log[-20:])
    if error.code is Code.TOOL_FAILED and any(word in text for word in _DENIED):
        return JobFailedError(Code.SOURCE_DENIED, str(error))
    return error


def _check_success(log: Sequence[str]) -> None:
    """The tool's exit status alone has been 0 for bad backups."""
    if not log or not log[-1].endswith(SUCCESS_LINE):
        last = log_text(log[-1]) if log else "no message"
        raise JobFailedError(Code.TOOL_FAILED, f"{TOOL} did not complete: {last}")


def _tables(
    files: Mapping[str, str], snapshot: Snapshot | None, detail: TableDetail, waiting: Callable[[], object]
) -> list[TableFacts]:
    """The tables at the backup's moment; none if the snapshot was not of that moment."""
    if snapshot is None or snapshot.position is None or snapshot.position != parse_binlog_position(info_of(files)):
        return []
    try:
        return list(snapshot.tables(detail, waiting))
    except JobFailedError:
        return []  # the backup is whole; what can't be compared later is the table list


def tool_versions(*programs: str) -> dict[str, str]:
    """Versions by program, of those that tell."""
    return {name: version for name in programs if (version := _version(name)) is not None}


def _version(program: str) -> str | None:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return parse_version(done.stdout + done.stderr)
