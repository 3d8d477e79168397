"""Dumps in SQL of a real server, whole and of one table, and what goes wrong with them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.backup.runner.errors import Code
from orchestrator.backup.runner.record import Kind, Record
from tests.support.mariadb import (
    MariaDB,
    chain,
    checksums,
    common,
    fill,
    restored_checksums,
    run_job,
    running,
    source,
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, empty_data: Path) -> Iterator[MariaDB]:
    with source(tmp_path_factory.mktemp("source"), empty_data) as server:
        fill(server, 2000)
        server.sql(
            "CREATE VIEW shop.open_orders AS SELECT id FROM shop.orders WHERE state > 0",
            "CREATE TRIGGER shop.t BEFORE INSERT ON shop.items FOR EACH ROW SET NEW.name = CONCAT(NEW.name, '!')",
        )
        yield server


@pytest.fixture(scope="module")
def dump(shop: MariaDB, age_key: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A volume with the encrypted dump `d1`."""
    volume = tmp_path_factory.mktemp("volume")
    recipients = f"--recipients={age_key.parent / 'recipients'}"
    record = run_job("logical", *common(volume, "d1"), *shop.reach(), recipients)
    assert record.reason is None, record.reason
    assert (record.kind, record.tables) == (Kind.LOGICAL, 3)
    position = shop.sql("SHOW MASTER STATUS").split("\t")
    assert (record.binlog_file, str(record.binlog_position)) == (position[0], position[1])
    assert [file.name for file in record.files] == ["SHA256SUMS"]
    assert (volume / "d1/shop.orders.sql.zst.age").stat().st_size > 500_000
    assert not (volume / "d1/plain").exists()
    return volume


def restore(dump: Path, age_key: Path, target: Path, *more: str) -> Record:
    return run_job("restore", *common(target, "r1"), *chain(dump, "d1"), f"--identity={age_key}", *more)


def test_a_whole_dump_restores_to_the_same_rows(shop: MariaDB, dump: Path, age_key: Path, tmp_path: Path) -> None:
    record = restore(dump, age_key, tmp_path)
    assert record.reason is None, record.reason
    assert restored_checksums(tmp_path, record) == checksums(shop.socket)
    with running(tmp_path / "r1") as server:
        assert server.sql("SELECT COUNT(*) FROM shop.open_orders") == "2000\n"
        server.sql("INSERT INTO shop.items (name) VALUES ('new')")
        assert server.sql("SELECT name FROM shop.items ORDER BY id DESC LIMIT 1") == "new!\n"


def test_a_single_table_comes_back_alone(shop: MariaDB, dump: Path, age_key: Path, tmp_path: Path) -> None:
    record = restore(dump, age_key, tmp_path, "--table=shop.items")
    assert record.reason is None, record.reason
    with running(tmp_path / "r1") as server:
        assert server.sql("SHOW TABLES IN shop") == "items\n"
        assert server.sql("CHECKSUM TABLE shop.items") == shop.sql("CHECKSUM TABLE shop.items")


def test_a_table_that_is_not_in_the_dump_is_named(dump: Path, age_key: Path, tmp_path: Path) -> None:
    record = restore(dump, age_key, tmp_path, "--table=shop.nothing")
    assert (record.code, record.reason) == (
        Code.BACKUP_CHAIN,
        "the dump has no table shop.nothing; name one of its SHA256SUMS",
    )


def test_one_flipped_byte_is_found(dump: Path, age_key: Path, tmp_path: Path) -> None:
    shutil.copytree(dump, tmp_path / "damaged")
    path = tmp_path / "damaged/d1/shop.items.sql.zst.age"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    record = restore(tmp_path / "damaged", age_key, tmp_path)
    assert record.code == Code.BACKUP_DAMAGED
    assert (record.reason or "").startswith(f"{path} is not what was written: its SHA-256 differs; ")
    assert not (tmp_path / "r1").exists()


@pytest.mark.parametrize(
    ("grants", "reason"),
    [
        ("PROCESS", "sees no table to dump; grant it SELECT"),
        ("SELECT, PROCESS, SHOW VIEW, EVENT, TRIGGER, BINLOG MONITOR", "Couldn't acquire global lock"),
    ],
    ids=["nothing", "no-lock"],
)
def test_a_user_with_too_few_rights_makes_no_dump(grants: str, reason: str, shop: MariaDB, tmp_path: Path) -> None:
    """mydumper waits forever for the first, and dumps something inconsistent for the second."""
    credentials = tmp_path / "poor.cnf"
    credentials.touch(mode=0o600)
    credentials.write_text("[client]\nuser=poor\npassword=p\n")
    shop.sql("CREATE OR REPLACE USER poor@localhost IDENTIFIED BY 'p'", f"GRANT {grants} ON *.* TO poor@localhost")
    reach = (f"--socket={shop.socket}", f"--defaults-file={credentials}")
    record = run_job("logical", *common(tmp_path, "d1"), *reach)
    assert record.code == Code.SOURCE_DENIED, record.reason
    assert reason in (record.reason or "")
    assert not (tmp_path / "d1").exists()
