"""The restore job: backups become a data directory on which a server starts, at their moment or a later one."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from .attempt import Attempt, Result, Surroundings
from .chain import StoredBackup, read_backup, read_chain
from .errors import Code, JobFailedError, TerminatedError
from .extract import restore_chain
from .jobs import PointInTime, RestoreJob
from .logical import restore_dump
from .mariadb_backup import TOOL, tool_versions
from .pointintime import choose_binlogs, replay, until_text
from .record import Kind, Record, ServerFacts, State
from .server import private_server, server_command

DATA_NAME = "data"


def run_restore(job: RestoreJob, surroundings: Surroundings, tell: Callable[[Record], object]) -> Record:
    """Restore, and with a socket keep the server up until terminated; `tell` hears the record as soon as it is done."""
    last = job.backups[-1].name
    attempt = Attempt(job, Kind.RESTORE, surroundings, parent=last)
    record = attempt.run(lambda folder: _work(job, surroundings, folder))
    tell(record)
    if record.state is State.DONE and job.socket is not None:
        surroundings.resume()
        serve(job.folder / DATA_NAME, job.socket)
    return record


def serve(data: Path, socket: Path) -> None:
    """Run a server on a restored data directory until it or this process is told to stop.

    Raises:
        JobFailedError: it ended by itself, badly.
    """
    with tempfile.TemporaryDirectory(prefix="vdbmon-") as name:
        command = server_command(data, socket, Path(name), ("--skip-networking",))
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            status = process.wait()
        except TerminatedError:
            process.terminate()
            status = process.wait()
        if status:
            raise JobFailedError(Code.SERVER_FAILED, f"the server ended with exit status {status}")


def _work(job: RestoreJob, surroundings: Surroundings, folder: Path) -> Result:
    data = folder / DATA_NAME
    first = read_backup(job.backups[0])
    if first.record.kind is Kind.LOGICAL:
        return restore_dump(first, data, surroundings.progress, identity=job.identity, table=job.table)
    chain = read_chain(job.backups)
    until = job.until or PointInTime()
    binlogs = choose_binlogs(job.binlogs, chain[-1].record, until) if job.binlogs else []
    restore_chain(chain, job.identity, data, folder, surroundings.progress)
    with private_server(data) as server:  # that it starts is part of a good restore
        if binlogs:
            surroundings.progress.say(f"replaying {len(binlogs)} binary logs to {until_text(until)}")
            replay(server, binlogs, chain[-1].record, until)
        with server.session() as session:
            version = session.value("SELECT VERSION()")
    return Result(
        facts=_facts(chain[-1], version, at_backup=not binlogs),
        tools=tool_versions(TOOL, "mariadbd"),
        restored_to=until_text(until) if binlogs else None,
    )


def _facts(last: StoredBackup, version: str | None, *, at_backup: bool) -> ServerFacts:
    """The position is the backup's, unless binary logs led away from it."""
    record = last.record
    return ServerFacts(
        server_version=version,
        to_lsn=record.to_lsn if at_backup else None,
        binlog_file=record.binlog_file if at_backup else None,
        binlog_position=record.binlog_position if at_backup else None,
        gtid=record.gtid if at_backup else None,
    )
