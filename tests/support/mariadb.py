"""Real MariaDB servers of Debian's packages, each in a folder of its own, and the backup runner beside them."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from docker.models.containers import Container

from orchestrator.backup import runner
from orchestrator.backup.commands import SERVED_SOCKET
from orchestrator.backup.runner.record import Record
from tests.support.servers import free_port, process
from tests.support.wait import wait_until

READY_DEADLINE = 60.0
RUN_DEADLINE = 120.0
PASSWORD = "hush4711"  # noqa: S105 - of servers that live for a minute
GRANTS = (
    "SELECT, RELOAD, PROCESS, LOCK TABLES, SHOW VIEW, EVENT, TRIGGER, BINLOG MONITOR, REPLICATION SLAVE,"
    " REPLICATION SLAVE ADMIN"
)


CHECKSUMS = (
    "CHECKSUM TABLE shop.orders, shop.items, shop.control",
    "SELECT COUNT(*) FROM shop.orders",
    "SELECT COUNT(*) FROM shop.items",
)


@dataclass(frozen=True, slots=True)
class MariaDB:
    """A server with a backup user; `folder` holds its data and its option file."""

    folder: Path
    socket: Path
    port: int | None
    process: subprocess.Popen[bytes]

    @property
    def data(self) -> Path:
        """Its data directory."""
        return self.folder / "data"

    @property
    def credentials(self) -> Path:
        """The backup user's option file."""
        return self.folder / "backup.cnf"

    def sql(self, *statements: str) -> str:
        """Run statements as root; what they print."""
        return sql(self.socket, *statements)

    @contextlib.contextmanager
    def holding(self, statement: str) -> Iterator[None]:
        """A session of root's in which the statement was run, and which stays open as long as the `with` lasts."""
        command = ["mariadb", "--no-defaults", f"--socket={self.socket}", "--user=root", "--unbuffered", "-BN"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
            assert client.stdin is not None
            assert client.stdout is not None
            client.stdin.write(f"{statement};\nSELECT 'held';\n")
            client.stdin.flush()
            assert client.stdout.readline() == "held\n"
            try:
                yield
            finally:
                client.stdin.close()
                client.wait(READY_DEADLINE)

    def reach(self) -> list[str]:
        """The runner's options that say how to reach it."""
        return [f"--socket={self.socket}", f"--defaults-file={self.credentials}"]


def sql(socket: Path, *statements: str) -> str:
    """Run statements as root over a socket; what they print, tab-separated, without names."""
    command = ["mariadb", "--no-defaults", f"--socket={socket}", "--user=root", "--batch", "--skip-column-names"]
    text = "".join(f"{statement};\n" for statement in statements)
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def make_data_dir(data: Path) -> None:
    """An empty server's data directory, where root has no password.

    A server that starts removes temporary tables from its tmpdir, whoever's they are: each has one of its own.
    """
    command = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db", "--user=root"]
    command.append(f"--tmpdir={data.parent}")
    done = subprocess.run(
        [*command, "--auth-root-authentication-method=normal"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def make_age_key(folder: Path) -> Path:
    """A key pair: `identity`, which is returned, and `recipients`."""
    identity = folder / "identity"
    subprocess.run(["age-keygen", "-o", identity], check=True, capture_output=True)
    public = subprocess.run(["age-keygen", "-y", identity], check=True, capture_output=True, text=True).stdout
    (folder / "recipients").write_text(f"# the fleet's key\n{public}")
    return identity


@contextlib.contextmanager
def running(folder: Path, *options: str, listen: bool = False, before: Sequence[str] = ()) -> Iterator[MariaDB]:
    """A server on `folder/data`, which must exist; its socket is in a short folder, for paths hold 107 bytes.

    `before` goes before the command.
    """
    with tempfile.TemporaryDirectory(prefix="vdbmon-db-") as name:
        socket, port = Path(name, "s"), free_port() if listen else None
        network = ["--skip-networking"] if port is None else ["--bind-address=127.0.0.1", f"--port={port}"]
        command = ["mariadbd", "--no-defaults", "--user=root", f"--datadir={folder / 'data'}", f"--socket={socket}"]
        small = ["--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M", "--innodb-flush-log-at-trx-commit=0"]
        with process(
            [*before, *command, f"--tmpdir={name}", f"--pid-file={name}/pid", *network, *small, *options],
            folder / "server.log",
        ) as started:
            wait_until(
                lambda: _answers(socket) or started.poll() is not None, deadline=READY_DEADLINE, what="mariadbd answers"
            )
            assert started.poll() is None, (folder / "server.log").read_text()
            yield MariaDB(folder, socket, port, started)


@contextlib.contextmanager
def source(
    folder: Path, template: Path, *options: str, listen: bool = False, before: Sequence[str] = ()
) -> Iterator[MariaDB]:
    """A server with binary logs and a backup user, on a copy of a data directory."""
    shutil.copytree(template, folder / "data")
    binlog = ("--log-bin=binlog", "--server-id=1", "--binlog-format=ROW")
    with running(folder, *binlog, *options, listen=listen, before=before) as server:
        add_backup_user(server)
        yield server


def add_backup_user(server: MariaDB) -> None:
    """A user with the rights that all jobs together need, and its option file."""
    server.credentials.touch(mode=0o600)
    server.credentials.write_text(f"[client]\nuser=vdbmon\npassword={PASSWORD}\n")
    server.sql(
        "SET sql_log_bin = 0",
        *(
            statement.format(host)
            for host in ("localhost", "127.0.0.1", "%")
            for statement in (
                f"CREATE USER IF NOT EXISTS vdbmon@'{{}}' IDENTIFIED BY '{PASSWORD}'",
                f"GRANT {GRANTS} ON *.* TO vdbmon@'{{}}'",
            )
        ),
    )


def fill(server: MariaDB, rows: int) -> None:
    """Two tables in database `shop`; a row takes about a kilobyte, half of which compresses."""
    orders = (
        "INSERT INTO shop.orders (state, note, signature)"
        " SELECT seq, REPEAT(CONCAT('order ', seq, ' '), 40), RANDOM_BYTES(500) FROM seq_1_to_"
    )
    server.sql(
        "CREATE DATABASE shop",
        "USE shop",
        "CREATE TABLE shop.orders (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, state INT NOT NULL,"
        " note VARCHAR(600) NOT NULL, signature VARBINARY(500) NOT NULL)",
        "CREATE TABLE shop.items (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, name VARCHAR(60), KEY (name))",
        "CREATE TABLE shop.control (stop INT)",
        "INSERT INTO shop.control VALUES (0)",
        f"{orders}{rows}",
        "INSERT INTO shop.items (name) SELECT CONCAT('item ', seq) FROM seq_1_to_1000",
    )


@contextlib.contextmanager
def write_load(server: MariaDB) -> Iterator[None]:
    """Transactions, one after the other, as long as the `with` lasts."""
    procedure = """
DELIMITER //
CREATE OR REPLACE PROCEDURE shop.churn()
BEGIN
    DECLARE one INT;
    REPEAT
        SET one = 1 + FLOOR(RAND() * 500);
        START TRANSACTION;
        INSERT INTO shop.orders (state, note, signature) VALUES (0, REPEAT('new ', 100), RANDOM_BYTES(400));
        UPDATE shop.orders SET state = state + 1 WHERE id = one;
        UPDATE shop.items SET name = CONCAT('item ', UUID()) WHERE id = one;
        COMMIT;
        DO SLEEP(0.002);
    UNTIL (SELECT stop FROM shop.control) END REPEAT;
END //
DELIMITER ;
CALL shop.churn();
"""
    server.sql("UPDATE shop.control SET stop = 0")
    command = ["mariadb", "--no-defaults", f"--socket={server.socket}", "--user=root"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as client:
        assert client.stdin is not None
        client.stdin.write(procedure)
        client.stdin.close()
        try:
            yield
        finally:
            server.sql("UPDATE shop.control SET stop = 1")
            client.wait(READY_DEADLINE)
    assert client.returncode == 0


def checksums(socket: Path) -> str:
    """CHECKSUM TABLE and row counts of what `fill` made."""
    return sql(socket, *CHECKSUMS)


def sql_in(container: Container, *statements: str) -> str:
    """Run statements as root in a container that serves restored data; what they print, as `sql` does.

    None of them may hold a semicolon.
    """
    command = ["mariadb", "--no-defaults", f"--socket={SERVED_SOCKET}", "--user=root", "-BNe", ";".join(statements)]
    status, output = container.exec_run(command)
    assert isinstance(output, bytes)
    return output.decode() if status == 0 else f"failed: {output.decode()}"


def restored_checksums(folder: Path, record: Record) -> str:
    """The same of a restored data directory; the server works on a copy."""
    with tempfile.TemporaryDirectory(prefix="vdbmon-look-") as name:
        shutil.copytree(folder / record.backup_id / "data", Path(name, "data"))
        with running(Path(name)) as server:
            return checksums(server.socket)


def runner_command(*arguments: str | Path) -> list[str]:
    """The runner's command line, as the image has it."""
    return [sys.executable, "-m", "runner", *map(str, arguments)]


def runner_environment() -> dict[str, str]:
    """Finds the package by the name that it has in the image."""
    return {**os.environ, "PYTHONPATH": str(Path(runner.__file__).parents[1])}


def run_job(*arguments: str | Path, before: Sequence[str] = (), deadline: float = RUN_DEADLINE) -> Record:
    """Run a job to its end; its record. The exit status must agree with it. `before` goes before the command."""
    done = subprocess.run(
        [*before, *runner_command(*arguments)],
        env=runner_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=deadline,
    )
    assert done.stdout, done.stderr
    record = Record.from_json(done.stdout.splitlines()[-1])
    assert (done.returncode == 0) == (record.reason is None), done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return record


def backup(server: MariaDB, volume: Path, name: str, *more: str | Path) -> Record:
    """A backup that must succeed."""
    record = run_job("backup", *common(volume, name), *server.reach(), *more)
    assert record.reason is None, record.reason
    return record


def common(volume: Path, name: str) -> Sequence[str]:
    """What every job is told."""
    return ("--source=shop", f"--backup-id={name}", f"--target={volume}")


def chain(volume: Path, *names: str) -> list[str]:
    """The option for each backup of a chain."""
    return [f"--backup={volume / name}" for name in names]


def _answers(socket: Path) -> bool:
    command = ["mariadb", "--no-defaults", f"--socket={socket}", "--user=root", "-e", "SELECT 1"]
    return socket.exists() and subprocess.run(command, capture_output=True, check=False).returncode == 0
