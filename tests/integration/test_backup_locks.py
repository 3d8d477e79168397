"""What a backup's lock costs a source that is written to: as long as the record says, and no longer than it must."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.backup.runner.errors import Code, JobFailedError
from orchestrator.backup.runner.jobs import BackupRequest, Server, TableDetail
from orchestrator.backup.runner.locks import LockLimits
from orchestrator.backup.runner.mariadb_backup import produce_backup
from tests.support.mariadb import MariaDB, backup, fill, source

COMMITS = """
BEGIN NOT ATOMIC
    DECLARE begun DATETIME(6);
    DECLARE took, longest BIGINT DEFAULT 0;
    REPEAT
        SET begun = SYSDATE(6);
        START TRANSACTION;
        UPDATE shop.items SET name = UUID() WHERE id = 1 + FLOOR(RAND() * 900);
        COMMIT;
        SET took = TIMESTAMPDIFF(MICROSECOND, begun, SYSDATE(6)), longest = GREATEST(longest, took);
    UNTIL (SELECT stop FROM shop.control) END REPEAT;
    SELECT longest / 1000000;
END
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, empty_data: Path) -> Iterator[MariaDB]:
    """A source that flushes its log once a second: its commits wait for that at the end of a backup."""
    with source(tmp_path_factory.mktemp("source"), empty_data) as server:
        fill(server, 5000)
        yield server


class Heard:
    """What a backup says of itself."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def progress(self, raw: int, expected: int | None, /) -> None:
        """Say nothing."""

    def say(self, text: str, /) -> None:
        self.said.append(text)

    def copied(self) -> None:
        """Say nothing."""


def test_the_record_says_how_long_the_longest_commit_was_held_up(shop: MariaDB, tmp_path: Path) -> None:
    client = ["mariadb", "--no-defaults", f"--socket={shop.socket}", "--user=root", "-BN", "--delimiter=//"]
    with subprocess.Popen([*client, "-e", COMMITS], stdout=subprocess.PIPE, text=True) as commits:
        try:
            record = backup(shop, tmp_path, "b1")
        finally:
            shop.sql("UPDATE shop.control SET stop = 1")
        assert commits.stdout is not None
        longest = float(commits.stdout.read())
    assert record.lock_seconds == pytest.approx(longest, abs=0.3)


def test_a_source_that_another_backup_holds_is_given_up_after_a_while(shop: MariaDB) -> None:
    heard, server = Heard(), Server(defaults_file=shop.credentials, socket=shop.socket)
    request = BackupRequest(table_detail=TableDetail.NONE)
    with shop.holding("BACKUP STAGE START"), pytest.raises(JobFailedError) as caught:
        produce_backup(server, request, lambda _: None, heard, limits=LockLimits(turn=3.0))
    assert caught.value.code is Code.SOURCE_LOCKED
    assert caught.value.reason.startswith(
        "another backup of this source, or a LOCK TABLES, held its backup lock for 3 s; "
    )
    assert heard.said == ["waiting: another backup of this source, or a LOCK TABLES, holds its backup lock"]
