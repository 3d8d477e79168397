from dataclasses import replace

import pytest

from collector.errors import VdbmonError
from orchestrator.backup.chains import (
    ChainError,
    binlogs_for,
    by_id,
    chain_of,
    children_of,
    newest_restorable,
    parent_for,
)
from orchestrator.backup.entries import Backup
from orchestrator.backup.runner.record import Kind, State
from tests.support.backups import DAY, HOUR, backup, increment

FULL = backup("f1", DAY)
FIRST = increment("i1", 2 * DAY, FULL)
SECOND = increment("i2", 3 * DAY, FIRST)
ALL = (FULL, FIRST, SECOND)


def without(gone: Backup, **changes: object) -> tuple[Backup, ...]:
    return tuple(replace(item, **changes) if item is gone else item for item in ALL)  # type: ignore[arg-type]


def test_an_increment_is_restored_from_its_full_one_on() -> None:
    assert chain_of(SECOND, by_id(ALL)) == ALL
    assert chain_of(FULL, by_id(ALL)) == (FULL,)


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ((FIRST, SECOND), "the catalogue has no f1"),
        (without(FULL, made=State.FAILED, reason="the disk is gone"), "f1 is failed: the disk is gone"),
        (without(FIRST, damage="table shop.orders differs"), "i1 is failed: table shop.orders differs"),
        (without(FULL, removed_at=9.0), "f1 was removed"),
        (without(FIRST, condemned_at=9.0), "i1 is being removed"),
        (without(FIRST, from_lsn=7), "i1 begins at LSN 7, f1 ends at 86400"),
        (without(FULL, host="db2"), "f1 is on db2, not on db1"),
        (without(FULL, source="other"), "i1 can't build on f1"),
        (without(FULL, kind=Kind.LOGICAL), "i1 can't build on f1"),
        (without(FIRST, parent="i2", from_lsn=SECOND.to_lsn), "i1 can't build on i2"),
    ],
)
def test_a_chain_that_is_not_whole_says_where_it_breaks(known: tuple[Backup, ...], said: str) -> None:
    with pytest.raises(ChainError, match="i2 can't be restored") as caught:
        chain_of(by_id(known)["i2"], by_id(known))
    assert said in caught.value.message
    assert caught.value.code == "backup.chain_broken"


def test_the_newest_that_can_be_restored_is_not_one_with_a_broken_chain() -> None:
    assert newest_restorable(ALL, "demo") == SECOND
    broken = without(FIRST, damage="a byte is flipped")
    assert newest_restorable(broken, "demo") == FULL
    assert newest_restorable(ALL, "other") is None
    assert newest_restorable(ALL, "demo", until=2 * DAY + HOUR) == FIRST
    assert newest_restorable(ALL, "demo", kinds=frozenset({Kind.LOGICAL})) is None


def test_an_increment_builds_on_the_newest_until_a_full_one_is_due() -> None:
    now = 3 * DAY + HOUR
    assert parent_for(ALL, "demo", now=now) == SECOND
    assert parent_for(ALL, "demo", now=now, full_every=7 * DAY) == SECOND
    assert parent_for(ALL, "demo", now=now, full_every=2 * DAY) is None, "the full one is two days old"
    assert parent_for((), "demo", now=now) is None
    assert parent_for(without(FULL, removed_at=1.0), "demo", now=now) is None


def test_children_are_those_that_are_there() -> None:
    assert children_of(FULL, ALL) == (FIRST,)
    assert children_of(FIRST, without(SECOND, removed_at=1.0)) == ()


BASE = replace(FULL, binlog_file="binlog.000003", binlog_position=1192)


def logs(name: str, first: str, last: str, at: float = 4 * DAY, **changes: object) -> Backup:
    return replace(backup(name, at, Kind.BINLOG, first_binlog_file=first, binlog_file=last), **changes)  # type: ignore[arg-type]


def test_binary_logs_lead_on_from_the_backup_s_position() -> None:
    older = logs("b0", "binlog.000001", "binlog.000002")
    wanted = logs("b1", "binlog.000002", "binlog.000004")
    later = logs("b2", "binlog.000005", "binlog.000009", 5 * DAY)
    assert binlogs_for(BASE, (older, wanted, later)) == (wanted, later)


@pytest.mark.parametrize(
    ("base", "found", "said"),
    [
        (FULL, (), "names no position"),
        (BASE, (), "there are none on its host"),
        (BASE, (logs("b1", "binlog.000004", "binlog.000009"),), "those there are begin at binlog.000004"),
        (BASE, (logs("b1", "binlog.000001", "binlog.000009", host="db2"),), "there are none on its host"),
        (BASE, (logs("b1", "binlog.000001", "binlog.000009", removed_at=1.0),), "there are none on its host"),
    ],
)
def test_logs_that_do_not_join_are_refused(base: Backup, found: tuple[Backup, ...], said: str) -> None:
    with pytest.raises(VdbmonError, match=said) as caught:
        binlogs_for(base, found)
    assert caught.value.code == "backup.no_binlogs"
