"""Binary logs of a real server fetched and followed, gaps in them, and a standby."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.backup.runner.errors import Code
from orchestrator.backup.runner.record import Record, State
from tests.support.mariadb import (
    MariaDB,
    backup,
    chain,
    checksums,
    common,
    fill,
    run_job,
    runner_command,
    runner_environment,
    running,
    source,
    write_load,
)
from tests.support.wait import wait_until


@pytest.fixture
def shop(tmp_path: Path, empty_data: Path) -> Iterator[MariaDB]:
    folder = tmp_path / "source"
    folder.mkdir()
    with source(folder, empty_data, listen=True) as server:
        fill(server, 500)
        yield server


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    made = tmp_path / "volume"
    made.mkdir()
    return made


def fetch(server: MariaDB, volume: Path) -> Record:
    return run_job("binlog", *common(volume, "log"), *server.reach(), "--until-now")


def write(server: MariaDB) -> None:
    server.sql("UPDATE shop.items SET name = UUID() WHERE id < 10", "FLUSH BINARY LOGS")


def same_logs(server: MariaDB, folder: Path) -> bool:
    logs = sorted(path.name for path in server.data.glob("binlog.0*"))
    return all((folder / name).exists() and content(folder / name) == content(server.data / name) for name in logs)


def content(path: Path) -> bytes:
    """A log without the flag that the server sets in a file's first event as long as it writes it."""
    whole = path.read_bytes()
    return whole[:21] + whole[22:]


def test_logs_come_byte_for_byte_and_a_second_run_goes_on(shop: MariaDB, volume: Path) -> None:
    write(shop)
    first = fetch(shop, volume)
    assert first.reason is None, first.reason
    write(shop)
    second = fetch(shop, volume)
    assert second.reason is None, second.reason
    for name in ("binlog.000001", "binlog.000002"):
        assert content(volume / "log" / name) == content(shop.data / name)
    # The server may have written on in its newest log: it notes a checkpoint some time after a rotation.
    assert content(shop.data / "binlog.000003").startswith(content(volume / "log/binlog.000003"))
    assert (first.first_binlog_file, second.first_binlog_file) == ("binlog.000001", "binlog.000001")
    assert (first.binlog_file, second.binlog_file) == ("binlog.000002", "binlog.000003")
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=volume / "log", check=True)
    assert len((volume / "log/SHA256SUMS").read_text().splitlines()) == 2
    assert not (volume / "log/.fetching").exists()


def test_a_follower_keeps_up_until_it_is_told_to_stop(shop: MariaDB, volume: Path) -> None:
    command = runner_command("binlog", *common(volume, "log"), *shop.reach())
    with subprocess.Popen(command, env=runner_environment(), stdout=subprocess.PIPE) as following:
        with write_load(shop):
            wait_until((volume / "log/record.json").exists, deadline=30, what="it follows")
            write(shop)
        wait_until(lambda: same_logs(shop, volume / "log"), deadline=30, what="it has all")
        assert (volume / "metrics/lag.prom").read_text().startswith("vdbmon_backup_lag_seconds ")
        following.send_signal(signal.SIGTERM)
        output, _ = following.communicate(timeout=30)
    assert following.returncode == 0
    record = Record.from_json(output.decode().splitlines()[-1])
    assert record.state is State.DONE
    assert same_logs(shop, volume / "log")


def test_a_follower_outlives_a_restart_of_the_source(tmp_path: Path, volume: Path, empty_data: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        with source(folder, empty_data, listen=True) as shop:
            fill(shop, 100)
            port = shop.port
            reach = ("--host=127.0.0.1", f"--port={port}", f"--defaults-file={shop.credentials}")
            command = runner_command("binlog", *common(volume, "log"), *reach)
            following = stack.enter_context(subprocess.Popen(command, env=runner_environment(), stdout=subprocess.PIPE))
            stack.callback(following.kill)
            wait_until((volume / "log/record.json").exists, deadline=30, what="it follows")
        again = ("--log-bin=binlog", "--server-id=1", f"--port={port}")
        with running(folder, *again, listen=True) as shop:
            write(shop)
            wait_until(lambda: same_logs(shop, volume / "log"), deadline=60, what="it has all")
            following.send_signal(signal.SIGTERM)
            assert following.wait(30) == 0


def test_logs_purged_before_they_were_fetched_are_a_gap(shop: MariaDB, volume: Path) -> None:
    assert fetch(shop, volume).reason is None
    for _ in range(3):
        write(shop)
    # A log that is still sent to a client is not purged; the server notices late that the client is gone.
    wait_until(
        lambda: "000003" not in shop.sql("PURGE BINARY LOGS TO 'binlog.000004'", "SHOW BINARY LOGS"),
        deadline=60,
        what="the old logs are gone",
    )
    record = fetch(shop, volume)
    assert record.code == Code.BINLOG_GAP
    assert "no longer at the source, whose oldest is binlog.000004" in (record.reason or "")
    assert (volume / "log/binlog.000001").exists()
    assert 'vdbmon_backup_state{state="failed"} 1' in (volume / "metrics/backup.prom").read_text()


def test_logs_of_another_server_are_not_mixed_with_those_here(shop: MariaDB, volume: Path) -> None:
    assert fetch(shop, volume).reason is None
    path = volume / "log/binlog.000001"
    other = bytearray(path.read_bytes())
    other[-1] ^= 1
    path.write_bytes(other)
    record = fetch(shop, volume)
    assert record.code == Code.SOURCE_REPLACED
    assert path.read_bytes() == other


@pytest.mark.parametrize(
    ("harm", "outcome"),
    [
        ("missing", (Code.BINLOG_GAP, "binary log binlog.000002 is missing")),
        ("cut", (Code.BINLOG_DAMAGED, "binlog.000002 is not what was fetched")),
        ("flipped", (Code.BINLOG_DAMAGED, "binlog.000002 is not what was fetched")),
        ("early", (Code.BINLOG_ENDS_EARLY, "are known up to")),
    ],
    ids=["missing", "cut", "flipped", "early"],
)
def test_a_gap_in_the_logs_stops_a_restore(
    harm: str, outcome: tuple[Code, str], shop: MariaDB, volume: Path, tmp_path: Path
) -> None:
    code, reason = outcome
    backup(shop, volume, "full")
    for _ in range(2):
        write(shop)
    assert fetch(shop, volume).reason is None
    path = volume / "log/binlog.000002"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    until = "--until-time=2036-01-01 00:00:00" if harm == "early" else "--until-position=binlog.000003:4"
    if harm == "missing":
        path.unlink()
    elif harm != "early":
        path.write_bytes(content[:-50] if harm == "cut" else content)
    target = tmp_path / "target"
    target.mkdir()
    logs = f"--binlogs={volume / 'log'}"
    record = run_job("restore", *common(target, "r1"), *chain(volume, "full"), logs, until)
    assert record.code == code, record.reason
    assert reason in (record.reason or "")
    assert not (target / "r1").exists()


def test_a_standby_follows_and_is_promoted(shop: MariaDB, volume: Path, tmp_path: Path) -> None:
    backup(shop, volume, "full")
    shop.sql("UPDATE shop.items SET name = 'since the backup' WHERE id = 1")
    target, socket = tmp_path / "target", Path(f"/tmp/vdbmon-standby-{shop.port}")  # noqa: S108 - a socket's path is short
    target.mkdir()
    reach = ("--host=127.0.0.1", f"--port={shop.port}", f"--defaults-file={shop.credentials}")
    serve = ("--server-id=77", f"--serve={socket}")
    command = runner_command("standby", *common(target, "s1"), *chain(volume, "full"), *reach, *serve)
    with subprocess.Popen(command, env=runner_environment(), stdout=subprocess.PIPE) as standby:
        try:
            assert standby.stdout is not None
            record = Record.from_json(standby.stdout.readline().decode())
            assert (record.state, record.reason) == (State.DONE, None)
            wait_until(socket.exists, deadline=30, what="the standby runs")
            wait_until(lambda: checksums(socket) == checksums(shop.socket), deadline=30, what="the standby has all")
            lag = target / "metrics/lag.prom"
            wait_until(
                lambda: lag.exists() and float(lag.read_text().split()[1]) < 10, deadline=30, what="it tells its lag"
            )
            promote = runner_command("promote", *common(target, "s1"), f"--serve={socket}")
            subprocess.run(promote, env=runner_environment(), check=True, timeout=60)
            shop.sql("UPDATE shop.items SET name = 'after the promotion' WHERE id = 2")
            sql_there(socket, "INSERT INTO shop.items (name) VALUES ('written there')")
            assert "after the promotion" not in sql_there(socket, "SELECT name FROM shop.items WHERE id = 2")
        finally:
            standby.send_signal(signal.SIGTERM)
            standby.wait(60)
    assert standby.returncode == 0


def sql_there(socket: Path, statement: str) -> str:
    command = ["mariadb", "--no-defaults", f"--socket={socket}", "--user=root", "-BNe", statement]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
