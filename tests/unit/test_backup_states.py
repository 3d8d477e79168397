from dataclasses import replace

import pytest

from orchestrator.backup.entries import PHYSICAL, Backup
from orchestrator.backup.feeding import job_of_kind
from orchestrator.backup.progress import Progress
from orchestrator.backup.runner.record import Kind, State
from orchestrator.backup.states import state_of, under_way
from orchestrator.backup.upkeep import catalogue_samples, newest_samples
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


def test_prometheus_is_told_what_no_agent_sees_any_more() -> None:
    verified = replace(backup("f2", 3 * DAY), verified_at=3 * DAY + 60)
    gone = replace(backup("f3", 4 * DAY, removed_at=5 * DAY), verified_at=4 * DAY + 60)
    lost = replace(backup("f4", 5 * DAY), made=State.FAILED, reason="lost")
    earlier = replace(lost, id="f0", volume="v-f0", started_at=DAY)
    elsewhere = replace(backup("f5", 6 * DAY), host="db2")
    copy = replace(backup("c1", 7 * DAY, removed_at=8 * DAY), kind=Kind.COPY)
    bad_copy = replace(copy, id="c2", made=State.FAILED, finished_at=9 * DAY)
    check = replace(backup("v1", 8 * DAY), kind=Kind.VERIFY, made=State.VERIFIED)
    known = (FULL, verified, gone, lost, earlier, elsewhere, copy, bad_copy, check)
    samples = {
        (metric.name.removeprefix("vdbmon_catalogue_"), labels): at for metric, labels, at in newest_samples(known)
    }
    assert samples == {
        ("last_success_timestamp_seconds", ("db1", "demo", "backup")): 3 * DAY,
        ("last_verified_timestamp_seconds", ("db1", "demo")): 3 * DAY + 60,
        ("last_failure_timestamp_seconds", (lost.volume, "db1", "demo", "backup")): lost.started_at,
        ("last_success_timestamp_seconds", ("db2", "demo", "backup")): 6 * DAY,
        ("last_success_timestamp_seconds", ("db1", "demo", "copy")): 7 * DAY,
        ("last_copy_timestamp_seconds", ("db1", "demo")): 7 * DAY,
    }


def test_an_increment_is_made_by_a_backup_and_every_other_kind_by_a_job_of_its_own() -> None:
    assert {kind: job_of_kind(kind) for kind in Kind} == {
        Kind.FULL: "backup",
        Kind.INCREMENTAL: "backup",
        **{kind: kind.value for kind in Kind if kind not in PHYSICAL},
    }


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
