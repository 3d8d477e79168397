from dataclasses import replace

import pytest

from orchestrator.backup.entries import Backup
from orchestrator.backup.progress import Progress
from orchestrator.backup.runner.record import Kind, State
from orchestrator.backup.states import state_of, under_way
from orchestrator.backup.upkeep import catalogue_samples
from orchestrator.ledger import LaunchState
from tests.support.backups import DAY, backup, increment
from tests.support.ledger import record

FULL = backup("f1", DAY, binlog_file="binlog.000003", binlog_position=500)


def logs(first: str, last: str, position: int, **changes: object) -> Backup:
    return backup(
        f"logs-{first}",
        2 * DAY,
        Kind.BINLOG,
        first_binlog_file=first,
        binlog_file=last,
        binlog_position=position,
        **changes,
    )


@pytest.mark.parametrize(
    ("known", "state"),
    [
        ((), State.DONE),
        ((logs("binlog.000001", "binlog.000003", 499),), State.WAITING_FOR_LOGS),
        ((logs("binlog.000001", "binlog.000003", 500),), State.DONE),
        ((logs("binlog.000001", "binlog.000004", 4),), State.DONE),
        ((logs("binlog.000004", "binlog.000009", 4),), State.WAITING_FOR_LOGS),
        ((logs("binlog.000001", "binlog.000004", 4, host="db2"),), State.WAITING_FOR_LOGS),
        ((logs("binlog.000001", "binlog.000003", 499, removed_at=3 * DAY),), State.DONE),
        ((logs("binlog.000001", "binlog.000003", 499, source="other"),), State.DONE),
    ],
    ids=["not fetched", "not there yet", "there", "beyond", "a gap", "on another host", "removed", "another source"],
)
def test_a_backup_waits_for_the_logs_that_lead_on_from_it_where_they_are_fetched(
    known: tuple[Backup, ...], state: State
) -> None:
    assert state_of(FULL, (FULL, *known)) is state


def test_only_a_good_physical_backup_with_a_position_waits_for_logs() -> None:
    behind = logs("binlog.000001", "binlog.000001", 4)
    for other, state in (
        (replace(FULL, verified_at=9.0), State.VERIFIED),
        (replace(FULL, damage="a table differs"), State.FAILED),
        (replace(FULL, binlog_file=None), State.DONE),
        (replace(FULL, kind=Kind.LOGICAL), State.DONE),
    ):
        assert state_of(other, (other, behind)) is state


RUNNING = replace(record("b1"), state=LaunchState.RUNNING, volume="b1-r1")


def test_jobs_under_way_are_started_until_all_is_copied() -> None:
    (begun,) = under_way([RUNNING], {}, ())
    assert (begun.id, begun.kind, begun.state, begun.good) == ("b1-r1", Kind.FULL, State.STARTED, False)
    told = {"b1": Progress(done=300, stored=100, state=State.COPIED)}
    (copied,) = under_way([RUNNING], told, ())
    assert (copied.state, copied.bytes_raw, copied.bytes_stored) == (State.COPIED, 300, 100)
    (more,) = under_way([replace(RUNNING, spec={"reads": ["f1"]})], {}, ())
    assert (more.kind, more.parent) == (Kind.INCREMENTAL, "f1")


def test_what_has_ended_is_known_or_makes_no_backup_is_not_under_way() -> None:
    ended = replace(RUNNING, state=LaunchState.DONE)
    verification = replace(RUNNING, job="verify")
    assert list(under_way([ended, verification], {}, ())) == []
    assert list(under_way([RUNNING], {}, {"b1-r1"})) == []


def test_prometheus_is_told_how_the_backups_are() -> None:
    child = replace(increment("i1", 2 * DAY, FULL), binlog_file="binlog.000004", binlog_position=9)
    known = (FULL, child, logs("binlog.000001", "binlog.000003", 900), backup("old", DAY, removed_at=2 * DAY))
    samples = {(metric.name, labels): value for metric, labels, value in catalogue_samples(known)}
    assert samples == {
        ("vdbmon_catalogue_backups", ("demo", "full", "done")): 1,
        ("vdbmon_catalogue_backups", ("demo", "incremental", "waiting_for_logs")): 1,
        ("vdbmon_catalogue_backups", ("demo", "binlog", "done")): 1,
        ("vdbmon_catalogue_logs_awaited_since_timestamp_seconds", ("demo",)): 2 * DAY,
    }
