"""PostgreSQL from Debian's package: a cluster in a folder of its own, on a Unix socket alone, with a database per test.

It runs as the package's user `postgres`, for PostgreSQL refuses to run as root.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.servers import STOP_DEADLINE, process
from tests.support.wait import wait_until

READY_DEADLINE = 60.0
_AS_POSTGRES = ("runuser", "-u", "postgres", "--")


@dataclass(frozen=True, slots=True)
class PostgreSQL:
    """A running server; its socket is in `folder`."""

    programs: Path
    folder: Path

    def database(self) -> str:
        """The ledger URL of a new, empty database."""
        name = f"ledger_{uuid.uuid4().hex[:12]}"
        self.sql("postgres", f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://postgres@/{name}?host={self.folder}"

    def sql(self, database: str, statement: str) -> str:
        """What psql prints for a statement, unadorned."""
        command = (*_AS_POSTGRES, self.programs / "psql", "-h", self.folder, "-d", database, "-Atqc", statement)
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=self.folder, timeout=30)
        return done.stdout.strip()

    def ready(self) -> bool:
        """Whether it takes connections."""
        command = (self.programs / "pg_isready", "-q", "-h", self.folder)
        return subprocess.run(command, check=False, timeout=30).returncode == 0


@contextlib.contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """A server; it and all its data are gone afterwards."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    folder = Path(tempfile.mkdtemp(prefix="vdbmon-postgresql-"))  # pytest's own folders are closed to other users
    try:
        shutil.chown(folder, "postgres", "postgres")
        data = folder / "data"
        initdb = (*_AS_POSTGRES, programs / "initdb", "-D", data, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder, timeout=READY_DEADLINE)
        settings = ("listen_addresses=", f"unix_socket_directories={folder}", "max_connections=50")
        options = [word for setting in settings for word in ("-c", setting)]
        server = PostgreSQL(programs, folder)
        log = folder / "postgresql.log"
        with process([*_AS_POSTGRES, str(programs / "postgres"), "-D", str(data), *options], log) as started:
            wait_until(
                lambda: server.ready() or started.poll() is not None, deadline=READY_DEADLINE, what="PostgreSQL ready"
            )
            assert started.poll() is None, log.read_text()
            yield server
            _stop_fast(server)
            started.wait(STOP_DEADLINE)
    finally:
        shutil.rmtree(folder)


def _stop_fast(server: PostgreSQL) -> None:
    """SIGTERM would wait for clients to leave; `fast` ends their connections."""
    command = (*_AS_POSTGRES, server.programs / "pg_ctl", "stop", "-D", server.folder / "data", "-m", "fast", "-w")
    subprocess.run(command, check=True, capture_output=True, cwd=server.folder, timeout=STOP_DEADLINE)
