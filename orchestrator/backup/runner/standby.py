"""The standby job: restore a backup, replicate from the source, tell the lag; and how one becomes the primary.

`promote` runs beside it (`docker exec`): it leaves a file that the standby's loop finds, for only that has the password
of the server's administrator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from .attempt import Attempt, Result, Surroundings, iso
from .chain import read_chain
from .errors import Code, JobFailedError, TerminatedError
from .extract import restore_chain
from .jobs import PromoteJob, Server, StandbyJob
from .mariadb_backup import TOOL, tool_versions
from .pipeline import run
from .record import RECORD_NAME, Kind, Record, ServerFacts, State
from .restore import DATA_NAME
from .server import RunningServer, private_server
from .sql import Session, literal
from .volume import check_secret, replace_text

PROMOTE_NAME = "promote"  # asked for
PROMOTED_NAME = "promoted"  # and done
_EVERY_SECONDS = 1.0
_SYNC_EVERY = 100  # events; so that its logs are written by the server, under the container's limit, and not later
_PROMOTE_SECONDS = 600.0
_SILENCE_SECONDS = 20  # after which a source is given up; each half of that it sends a sign of life
_FATAL_IO_ERRORS = {"1236"}  # the source's logs don't reach back; other errors of the connection pass

Pause = Callable[[float], object]
Tell = Callable[[Record], object]


def run_standby(job: StandbyJob, surroundings: Surroundings, tell: Tell, pause: Pause) -> Record:
    """Restore, replicate until terminated; `tell` hears the record when replication runs, and a failure's later."""
    attempt = Attempt(job, Kind.STANDBY, surroundings, parent=job.backups[-1].name)
    record = attempt.run(lambda folder: _restore(job, surroundings, folder))
    tell(record)
    if record.state is not State.DONE:
        return record
    logs = ("--log-bin=binlog", "--relay-log=relay", "--log-slave-updates")
    synced = (f"--sync-binlog={_SYNC_EVERY}", f"--sync-relay-log={_SYNC_EVERY}")
    options = (f"--server-id={job.server_id}", f"--slave-net-timeout={_SILENCE_SECONDS}", *logs, *synced)
    try:
        with private_server(job.folder / DATA_NAME, socket=job.socket, options=options) as server:
            try:
                surroundings.resume()
                _replicate(job, record, server)
                _follow(job, surroundings, server, pause)
                record = _promote(job, record, surroundings, server, pause)
                tell(record)
                _await_end(server, pause)
            except TerminatedError:  # the usual end; the server is stopped cleanly
                return record
    except JobFailedError as error:
        record = attempt.failed(error)
        tell(record)
    return record


def run_promote(job: PromoteJob, pause: Pause) -> None:
    """Ask the standby that runs in this volume to become the primary, and wait until it is.

    Raises:
        JobFailedError: there is none, or it did not in time.
    """
    if not job.socket.exists():
        raise JobFailedError(Code.REPLICATION, f"no standby runs on {job.socket}", "place one, or name its socket")
    (job.folder / PROMOTE_NAME).touch()
    waited = 0.0
    while not (job.folder / PROMOTED_NAME).exists():
        if waited > _PROMOTE_SECONDS:
            raise JobFailedError(Code.REPLICATION, f"the standby was not promoted within {_PROMOTE_SECONDS:.0f} s")
        pause(_EVERY_SECONDS)
        waited += _EVERY_SECONDS


def _restore(job: StandbyJob, surroundings: Surroundings, folder: Path) -> Result:
    check_secret(job.server.defaults_file, "credentials file")
    chain = read_chain(job.backups)
    restore_chain(chain, job.identity, folder / DATA_NAME, folder, surroundings.progress)
    last = chain[-1].record
    facts = ServerFacts(binlog_file=last.binlog_file, binlog_position=last.binlog_position, gtid=last.gtid)
    return Result(facts=facts, tools=tool_versions(TOOL, "mariadbd"))


def _replicate(job: StandbyJob, backup: Record, server: RunningServer) -> None:
    user, password = credentials(job.server)
    where = f"MASTER_HOST = {literal(job.server.host or '')}, MASTER_PORT = {job.server.port}"
    if backup.gtid:
        position = "MASTER_USE_GTID = slave_pos"
    else:
        position = (
            f"MASTER_LOG_FILE = {literal(backup.binlog_file or '')}, MASTER_LOG_POS = {backup.binlog_position or 4}"
        )
    tls = ""
    if job.server.ssl_ca is not None:
        tls = f", MASTER_SSL = 1, MASTER_SSL_VERIFY_SERVER_CERT = 1, MASTER_SSL_CA = {literal(str(job.server.ssl_ca))}"
    change = (
        f"CHANGE MASTER TO {where}, MASTER_USER = {literal(user)}, MASTER_PASSWORD = {literal(password)}, "
        f"MASTER_CONNECT_RETRY = 5, {position}{tls}"
    )
    with server.session() as session:
        seen = (f"SET GLOBAL gtid_slave_pos = {literal(backup.gtid)}",) if backup.gtid else ()
        session.query("SET GLOBAL read_only = 1", *seen, change, "START SLAVE")


def credentials(server: Server) -> tuple[str, str]:
    """User and password of an option file, as MariaDB's own reader has them.

    Raises:
        JobFailedError: it names none.
    """
    lines = run(("my_print_defaults", f"--defaults-file={server.defaults_file}", "client")).splitlines()
    options = dict(line.removeprefix("--").split("=", 1) for line in lines if "=" in line)
    if "user" not in options or "password" not in options:
        text = f"{server.defaults_file} names no user or no password"
        raise JobFailedError(Code.CREDENTIALS, text, "write both under [client]")
    return options["user"], options["password"]


def _follow(job: StandbyJob, surroundings: Surroundings, server: RunningServer, pause: Pause) -> None:
    """Tell the lag until somebody asks for the promotion. It grows with time while the source isn't heard."""
    heard: tuple[float, float] | None = None
    with server.session(names=True) as named:
        while not (job.folder / PROMOTE_NAME).exists():
            if server.process.poll() is not None:
                raise _ended(server)
            behind, now = _behind(named.named("SHOW SLAVE STATUS")), surroundings.monotonic()
            heard = heard if behind is None else (now, behind)
            if heard is not None:
                surroundings.progress.lag(heard[1] + now - heard[0])
            pause(_EVERY_SECONDS)


def _promote(
    job: StandbyJob, record: Record, surroundings: Surroundings, server: RunningServer, pause: Pause
) -> Record:
    """Apply what came so far, and stop replicating; the record that says so, for the data are nobody else's now."""
    with server.session() as session, server.session(names=True) as named:
        session.query("STOP SLAVE IO_THREAD")
        _await_relay_log(named, pause)
        session.query("STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = 0")
    promoted = replace(record, restored_to=iso(surroundings.now()))
    replace_text(job.folder / RECORD_NAME, promoted.to_json() + "\n")
    replace_text(job.folder / PROMOTED_NAME, "")
    surroundings.progress.lag(None)
    return promoted


def _await_end(server: RunningServer, pause: Pause) -> None:
    while server.process.poll() is None:
        pause(_EVERY_SECONDS)
    raise _ended(server)


def _ended(server: RunningServer) -> JobFailedError:
    return JobFailedError(Code.SERVER_FAILED, f"the standby's server ended with {server.process.returncode}")


def _behind(status: Mapping[str, str]) -> float | None:
    """Seconds behind the source; None while it isn't heard.

    Raises:
        JobFailedError: replication stopped for good.
    """
    if status.get("Last_SQL_Errno", "0") != "0":
        raise JobFailedError(Code.REPLICATION, f"replication stopped: {status.get('Last_SQL_Error')}")
    if status.get("Last_IO_Errno") in _FATAL_IO_ERRORS:
        raise JobFailedError(Code.REPLICATION, f"the source can't be followed: {status.get('Last_IO_Error')}")
    behind = status.get("Seconds_Behind_Master", "NULL")
    return float(behind) if behind.isdigit() else None


def _await_relay_log(named: Session, pause: Pause) -> None:
    while True:
        status = named.named("SHOW SLAVE STATUS")
        if status.get("Slave_SQL_Running") != "Yes" or (
            status.get("Read_Master_Log_Pos") == status.get("Exec_Master_Log_Pos")
            and status.get("Master_Log_File") == status.get("Relay_Master_Log_File")
        ):
            return
        pause(_EVERY_SECONDS)
