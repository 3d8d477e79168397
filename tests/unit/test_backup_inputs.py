from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from collector.errors import VdbmonError
from orchestrator.backup.inputs import NO_INPUTS, JobOptions, StoredBackup, require_present, resolve
from orchestrator.backup.runner.record import Kind
from tests.support.backups import DAY, backup, increment

TIME = "1970-01-04 12:00:00"
FULL = replace(backup("f1", DAY), binlog_file="binlog.000001", binlog_position=400)
FIRST = replace(increment("i1", 2 * DAY, FULL), binlog_file="binlog.000002", binlog_position=800)
SECOND = replace(increment("i2", 4 * DAY, FIRST), binlog_file="binlog.000003", binlog_position=300)
DUMP = backup("d1", 3 * DAY, Kind.LOGICAL)
LOGS = backup("b1", 5 * DAY, Kind.BINLOG, first_binlog_file="binlog.000001", binlog_file="binlog.000009")
ALL = (FULL, FIRST, DUMP, SECOND, LOGS)


def shifted(text: str) -> str:
    """The same moment on a clock that is an hour before UTC."""
    return f"{datetime.fromisoformat(text) + timedelta(hours=1)}+01:00"


def stored(*names: str) -> tuple[StoredBackup, ...]:
    return tuple(StoredBackup(id=name, volume=name) for name in names)


def inputs(job: str, known: tuple[Any, ...] = ALL, **options: Any) -> Any:
    return resolve(job, "demo", JobOptions(**options), known, now=5 * DAY)


def test_jobs_that_read_their_source_alone_take_no_backups() -> None:
    assert inputs("backup") is NO_INPUTS
    assert inputs("logical") is NO_INPUTS
    assert inputs("binlog") is NO_INPUTS


def test_an_increment_begins_where_the_last_good_backup_ends() -> None:
    found = inputs("backup", incremental=True)
    assert (found.parent, found.from_lsn, found.host, found.ids) == ("i2", SECOND.to_lsn, "db1", ("i2",))
    assert inputs("backup", (), incremental=True, or_full=True) is NO_INPUTS


def test_a_restore_reads_the_whole_chain() -> None:
    found = inputs("restore")
    assert (found.backups, found.host, found.serve) == (stored("f1", "i1", "i2"), "db1", False)
    assert inputs("restore", backup="i1", serve=True).backups == stored("f1", "i1")
    assert inputs("verify").backups == stored("f1", "i1", "i2")
    assert inputs("verify", backup="d1").backups == stored("d1")
    assert inputs("copy", backup="f").backups == stored("f1"), "the beginning of an id will do"


def test_a_point_in_time_is_reached_from_the_last_backup_before_it() -> None:
    found = inputs("restore", until=TIME)
    assert found.backups == stored("f1", "i1")
    assert found.binlogs == stored("b1")
    assert (found.until_time, found.until_position) == (TIME, None)
    assert set(found.ids) == {"f1", "i1", "b1"}


@pytest.mark.parametrize(
    "until",
    [f"{TIME} UTC", TIME.replace(" ", "T"), f"{TIME}+00:00", f"{TIME}Z", f"{TIME}.999", shifted(TIME)],
)
def test_a_point_in_time_can_be_given_with_its_offset_from_utc(until: str) -> None:
    assert inputs("restore", until=until).until_time == TIME


def test_a_position_is_reached_from_the_last_backup_before_it() -> None:
    found = inputs("restore", until="binlog.000003:299")
    assert (found.backups, found.until_position, found.until_time) == (stored("f1", "i1"), "binlog.000003:299", None)
    assert inputs("restore", until="binlog.000003:300").backups == stored("f1", "i1", "i2")


def test_the_end_of_the_logs_is_reached_from_the_newest() -> None:
    found = inputs("restore", until="end")
    assert (found.backups, found.binlogs) == (stored("f1", "i1", "i2"), stored("b1"))
    assert (found.until_time, found.until_position) == (None, None)


def test_one_table_comes_from_a_logical_dump() -> None:
    found = inputs("restore", table="shop.orders")
    assert (found.backups, found.table) == (stored("d1"), "shop.orders")


def test_a_standby_begins_with_a_physical_backup_and_stays_up() -> None:
    found = inputs("standby")
    assert (found.backups, found.serve) == (stored("f1", "i1", "i2"), True)


@pytest.mark.parametrize(
    ("job", "options", "code"),
    [
        ("backup", {"backup": "f1"}, "request.job_option"),
        ("verify", {"incremental": True}, "request.job_option"),
        ("verify", {"until": TIME}, "request.job_option"),
        ("backup", {"serve": True}, "request.job_option"),
        ("restore", {"until": "yesterday"}, "request.job_option"),
        ("restore", {"until": "2026-11-23"}, "request.job_option"),
        ("restore", {"until": "2026-13-23 05:00:00"}, "request.job_option"),
        ("restore", {"until": "2026-11-23 05:00:00 CET"}, "request.job_option"),
        ("restore", {"until": "binlog.000001:x"}, "request.job_option"),
        ("restore", {"table": "orders"}, "request.job_option"),
        ("restore", {"table": "shop.orders", "until": TIME}, "request.job_option"),
        ("restore", {"table": "shop.orders", "backup": "f1"}, "request.job_option"),
        ("restore", {"backup": "zz"}, "backup.not_found"),
        ("restore", {"backup": "i"}, "backup.not_found"),
        ("restore", {"backup": "i2", "until": TIME}, "backup.too_new"),
        ("restore", {"until": "1970-01-01 12:00:00"}, "backup.none_good"),
        ("restore", {"until": "binlog.000001:10"}, "backup.none_good"),
    ],
)
def test_what_cannot_end_well_is_refused_first(job: str, options: dict[str, Any], code: str) -> None:
    with pytest.raises(VdbmonError) as caught:
        inputs(job, **options)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)


def test_without_a_good_backup_there_is_nothing_to_read() -> None:
    for job in ("restore", "verify", "standby", "copy"):
        with pytest.raises(VdbmonError, match="no good backup"):
            inputs(job, (replace(FULL, damage="x"),))
    with pytest.raises(VdbmonError, match="no good backup to build on"):
        inputs("backup", (), incremental=True)


def test_a_backup_of_another_source_is_refused() -> None:
    with pytest.raises(VdbmonError) as caught:
        inputs("restore", (replace(FULL, source="other"),), backup="f1")
    assert caught.value.code == "request.source"


def test_a_backup_that_is_being_removed_meanwhile_stops_the_launch() -> None:
    found = inputs("restore")
    require_present(found, ALL)
    with pytest.raises(VdbmonError, match="i1 is being removed") as caught:
        require_present(found, (FULL, replace(FIRST, condemned_at=1.0), SECOND))
    assert caught.value.code == "backup.gone"
