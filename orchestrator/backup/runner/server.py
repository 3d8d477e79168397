"""A MariaDB server on a restored data directory, for this job alone: on a socket in a folder that only we can enter."""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .errors import Code, JobFailedError
from .jobs import Server
from .sql import Session

START_SECONDS = 600.0  # a large buffer pool or a long recovery takes time
_STOP_SECONDS = 300.0
_PAUSE_SECONDS = 0.1
ADMIN = "vdbmon_restore"
LARGEST_PACKET = 1 << 30  # a row from the binary log must pass, whatever the source allows
_BACKUP_OPTIONS = "backup-my.cnf"  # mariadb-backup's: what InnoDB must be told to understand its files


@dataclass(frozen=True, slots=True)
class RunningServer:
    """`address` is that of a user with all rights, who exists as long as the `with` lasts."""

    address: Server
    process: subprocess.Popen[bytes]
    log: Path

    def session(self, *, names: bool = False) -> Session:
        """A new one as that user."""
        return Session(self.address, names=names, lost=Code.SERVER_FAILED)


@contextmanager
def private_server(data: Path, *, socket: Path | None = None, options: Sequence[str] = ()) -> Iterator[RunningServer]:
    """Start it, wait until it answers, and stop it cleanly afterwards; nothing of it can be reached by network.

    Args:
        data: a prepared data directory.
        socket: where it listens; else in a folder of its own.
        options: more of mariadbd's.

    Raises:
        JobFailedError: it ended, or didn't answer in time; with the last error of its log.
    """
    with tempfile.TemporaryDirectory(prefix="vdbmon-") as name:
        folder = Path(name)
        socket = socket or folder / "s"
        log = folder / "log"
        admin, init = _admin_files(folder, socket)
        command = server_command(data, socket, folder, ("--skip-networking", f"--init-file={init}", *options))
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        server = RunningServer(Server(defaults_file=admin, socket=socket), process, log)
        try:
            _await(server)
            yield server
            with server.session() as session:
                session.query("SET SESSION sql_log_bin = 0", f"DROP USER {ADMIN}@localhost")
            _stop(process)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def server_command(data: Path, socket: Path, folder: Path, options: Sequence[str]) -> list[str]:
    """The command line of mariadbd; `folder` takes its process id and temporary tables."""
    defaults = data / _BACKUP_OPTIONS
    command = ["mariadbd", f"--defaults-file={defaults}" if defaults.exists() else "--no-defaults"]
    if os.geteuid() == 0:
        command.append("--user=root")  # the files are root's, and so is the container
    return [
        *command,
        f"--datadir={data}",
        f"--socket={socket}",
        f"--pid-file={folder / 'pid'}",
        f"--tmpdir={data}",  # large sorts don't fit a container's /tmp
        f"--max-allowed-packet={LARGEST_PACKET}",
        "--skip-slave-start",
        "--event-scheduler=OFF",  # the source's events are not to run here
        *options,
    ]


def _admin_files(folder: Path, socket: Path) -> tuple[Path, Path]:
    """Option file of our user, and the SQL that makes it: the source's passwords are not known here."""
    password = secrets.token_hex(16)
    admin, init = folder / "admin.cnf", folder / "init.sql"
    for path in (admin, init):
        path.touch(mode=0o600)
    admin.write_text(f"[client]\nuser={ADMIN}\npassword={password}\nsocket={socket}\n")
    init.write_text(
        "SET SESSION sql_log_bin = 0;\n"
        f"CREATE OR REPLACE USER {ADMIN}@localhost IDENTIFIED BY '{password}';\n"
        f"GRANT ALL PRIVILEGES ON *.* TO {ADMIN}@localhost WITH GRANT OPTION;\n"
    )
    return admin, init


def _await(server: RunningServer) -> None:
    end = time.monotonic() + START_SECONDS
    while server.process.poll() is None and time.monotonic() < end:
        if server.address.socket is not None and server.address.socket.exists():
            try:
                with server.session() as session:
                    session.query("SELECT 1")
            except JobFailedError:
                time.sleep(_PAUSE_SECONDS)  # the socket is there before the user is
            else:
                return
        time.sleep(_PAUSE_SECONDS)
    raise JobFailedError(Code.SERVER_FAILED, f"the server did not start on the restored data: {last_error(server.log)}")


def last_error(log: Path) -> str:
    """The last line of a server's log that tells of an error, else its last one."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "[ERROR]" in line]
    return (errors or lines or ["no message"])[-1]


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        status = process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        raise JobFailedError(Code.SERVER_FAILED, f"the server did not stop within {_STOP_SECONDS:.0f} s") from None
    if status:
        raise JobFailedError(Code.SERVER_FAILED, f"the server stopped with exit status {status}")
