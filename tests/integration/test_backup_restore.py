"""Backups of a real server under load, and restores of them: equal to the source at the recorded position."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.backup.runner.chain import read_backup
from orchestrator.backup.runner.jobs import TableDetail
from orchestrator.backup.runner.record import Kind, Record, State
from orchestrator.backup.runner.tables import read_tables
from tests.support.mariadb import (
    MariaDB,
    backup,
    chain,
    checksums,
    common,
    fill,
    restored_checksums,
    run_job,
    running,
    source,
    write_load,
)
from tests.support.wait import wait_until

ROWS = 20_000


@dataclass(frozen=True)
class History:
    """A source whose first data was copied aside, and two backups taken while it was written to.

    Attributes:
        first: a folder with the data before the load.
        first_log: the binary log that begins there.
        dropped_at: the second, UTC, in which `shop.items` was dropped in the end.
        at_drop: the checksums just before.
    """

    server: MariaDB
    volume: Path
    identity: Path
    first: Path
    first_log: str
    full: Record
    increment: Record
    dropped_at: str
    at_drop: str


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory, empty_data: Path, age_key: Path) -> Iterator[History]:
    folder, volume = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("volume")
    first = tmp_path_factory.mktemp("first")
    with source(folder, empty_data) as server:
        fill(server, ROWS)
    shutil.copytree(folder / "data", first / "data")
    with running(folder, "--log-bin=binlog", "--server-id=1", "--binlog-format=ROW") as server:
        first_log = server.sql("SHOW MASTER STATUS").split("\t")[0]
        recipients = f"--recipients={age_key.parent / 'recipients'}"
        with write_load(server):
            await_writes(server)
            full = backup(server, volume, "full", recipients)
            await_writes(server)
            more = ("--parent=full", f"--from-lsn={full.to_lsn}", recipients)
            increment = backup(server, volume, "inc1", *more)
            await_writes(server)
        at_drop, dropped_at = drop_items(server)
        yield History(server, volume, age_key, first, first_log, full, increment, dropped_at, at_drop)


def await_writes(server: MariaDB) -> None:
    """Wait until the load has written some more."""
    before = int(server.sql("SELECT MAX(id) FROM shop.orders"))
    wait_until(
        lambda: int(server.sql("SELECT MAX(id) FROM shop.orders")) > before + 50, deadline=30, what="the load writes"
    )


def drop_items(server: MariaDB) -> tuple[str, str]:
    """Drop a table in a second of its own; the checksums before, and the second."""
    wrote = server.sql("INSERT INTO shop.items (name) VALUES ('the last')", "SELECT UTC_TIMESTAMP()").strip()
    wait_until(lambda: server.sql("SELECT UTC_TIMESTAMP()").strip() > wrote, deadline=5, what="the next second")
    before = checksums(server.socket)
    at = server.sql("SET TIMESTAMP = UNIX_TIMESTAMP()", "SELECT UTC_TIMESTAMP()", "DROP TABLE shop.items").strip()
    server.sql("INSERT INTO shop.orders (state, note, signature) VALUES (9, 'after', 'x')")
    return before, at


def source_at(history: History, record: Record, folder: Path) -> str:
    """What the source held at a record's position: its first data, and its binary logs replayed up to there."""
    shutil.copytree(history.first / "data", folder / "data")
    logs = sorted(path for path in history.server.data.glob("binlog.0*") if path.name >= history.first_log)
    wanted = [str(path) for path in logs if record.binlog_file is not None and path.name <= record.binlog_file]
    stop = f"--stop-position={record.binlog_position}"
    with running(folder) as server:
        events = subprocess.run(
            ["mariadb-binlog", "--no-defaults", stop, *wanted], capture_output=True, check=True
        ).stdout
        client = ["mariadb", "--no-defaults", f"--socket={server.socket}", "--user=root", "--binary-mode"]
        subprocess.run(client, input=events, check=True)
        return checksums(server.socket)


def test_the_record_says_what_the_tool_and_the_server_said(history: History) -> None:
    record = history.full
    assert (record.kind, record.state, record.source, record.parent) == (Kind.FULL, State.DONE, "shop", None)
    assert record.from_lsn == 0
    assert record.to_lsn
    assert record.gtid
    assert record.gtid.startswith("0-1-")
    assert record.lock_seconds is not None
    assert 0 < record.lock_seconds < 10
    assert {"mariadb-backup", "zstd", "age"} <= record.tools.keys()
    assert record.bytes_raw > record.bytes_stored > 5_000_000
    assert len(record.recipients) == 1
    assert record.peaks is not None
    increment = history.increment
    assert (increment.kind, increment.parent, increment.from_lsn) == (Kind.INCREMENTAL, "full", record.to_lsn)
    assert increment.bytes_raw < record.bytes_raw
    assert read_backup(history.volume / "inc1").record == increment


def test_checksums_of_every_table_are_recorded_at_the_backups_own_position(history: History, tmp_path: Path) -> None:
    tables = read_tables(history.volume / "full")
    assert [(table.database, table.name) for table in tables] == [
        ("shop", "control"),
        ("shop", "items"),
        ("shop", "orders"),
    ]
    assert history.full.tables == 3
    expected = source_at(history, history.full, tmp_path)
    for table in tables:
        assert f"shop.{table.name}\t{table.checksum}\n" in expected


def test_sha256sum_knows_the_backup_by_its_own_list(history: History) -> None:
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"],
        cwd=history.volume / "full",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "backup.xb.zst.age: OK" in done.stdout


@pytest.mark.parametrize("name", ["full", "inc1"])
def test_a_restore_equals_the_source_at_the_recorded_position(name: str, history: History, tmp_path: Path) -> None:
    names = ["full"] if name == "full" else ["full", "inc1"]
    identity = f"--identity={history.identity}"
    record = run_job("restore", *common(tmp_path, "r1"), *chain(history.volume, *names), identity)
    assert record.reason is None, record.reason
    assert (record.kind, record.parent) == (Kind.RESTORE, name)
    backed_up = history.full if name == "full" else history.increment
    assert record.gtid == backed_up.gtid
    (tmp_path / "oracle").mkdir()
    assert restored_checksums(tmp_path, record) == source_at(history, backed_up, tmp_path / "oracle")


def test_a_restore_to_the_second_before_a_drop_has_the_table(history: History, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    fetched = run_job("binlog", *common(logs, "log"), *history.server.reach(), "--until-now")
    assert fetched.reason is None, fetched.reason
    record = run_job(
        "restore",
        *common(tmp_path, "r1"),
        *chain(history.volume, "full"),
        f"--identity={history.identity}",
        f"--binlogs={logs / 'log'}",
        f"--until-time={history.dropped_at}",
    )
    assert record.reason is None, record.reason
    assert record.restored_to == f"{history.dropped_at} UTC"
    assert restored_checksums(tmp_path, record) == history.at_drop


def test_a_verification_compares_every_table_and_says_so_beside_the_backup(history: History, tmp_path: Path) -> None:
    identity = f"--identity={history.identity}"
    record = run_job("verify", *common(tmp_path, "v1"), *chain(history.volume, "full", "inc1"), identity)
    assert record.reason is None, record.reason
    assert (record.state, record.kind, record.parent, record.tables) == (State.VERIFIED, Kind.VERIFY, "inc1", 3)
    assert {path.name for path in (tmp_path / "v1").iterdir()} == {"record.json"}
    beside = history.volume / "inc1.verified.json"
    assert Record.from_json(beside.read_text()) == record
    assert "vdbmon_backup_last_verified_timestamp_seconds " in (tmp_path / "metrics/verified.prom").read_text()


def test_a_backup_without_table_sums_is_checked_all_the_same(history: History, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    record = backup(history.server, volume, "plain", f"--tables={TableDetail.NONE}")
    assert record.tables == 0
    assert not (volume / "plain/tables.json").exists()
    verified = run_job("verify", *common(tmp_path, "v1"), *chain(volume, "plain"))
    assert (verified.state, verified.tables) == (State.VERIFIED, 0)
