from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.schedule_metrics import MAX_AGE, MISSED, NEXT, REFUSING, SINCE, WAITING
from orchestrator.backup.job_names import JobName
from orchestrator.backup.schedules import (
    FIRST_RETRY,
    LONGEST_RETRY,
    Due,
    due,
    due_times,
    next_due,
    retry_after,
    run_id,
    run_name,
    verification_id,
)
from orchestrator.backup.settings import ScheduleSettings
from orchestrator.backup.standings import Standing, schedule_samples
from orchestrator.ledger import Hindrance, Miss, ScheduleProgress
from tests.support.backups import DAY, HOUR

NIGHTLY = ScheduleSettings(name="orders-nightly", source="orders", cron="30 2 * * *")


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_a_run_is_due_when_its_time_has_come_and_not_before() -> None:
    settled = at("2026-11-22 02:30")
    assert due(NIGHTLY, settled_until=settled, now=at("2026-11-23 02:29")) == Due()
    assert due(NIGHTLY, settled_until=settled, now=at("2026-11-23 02:30")) == Due(run=at("2026-11-23 02:30"))
    assert due(NIGHTLY, settled_until=at("2026-11-23 02:30"), now=at("2026-11-23 02:31")) == Due()


def test_a_run_that_could_not_start_for_too_long_is_missed() -> None:
    settled, moment = at("2026-11-22 02:30"), at("2026-11-23 02:30")
    assert due(NIGHTLY, settled_until=settled, now=moment + HOUR) == Due(run=moment)
    assert due(NIGHTLY, settled_until=settled, now=moment + HOUR + 1) == Due(missed=1, missed_until=moment)


def test_after_days_without_a_scheduler_only_the_last_run_is_made_up_for() -> None:
    found = due(NIGHTLY, settled_until=at("2026-11-18 02:30"), now=at("2026-11-23 02:45"))
    assert found == Due(run=at("2026-11-23 02:30"), missed=4, missed_until=at("2026-11-22 02:30"))
    late = due(NIGHTLY, settled_until=at("2026-11-18 02:30"), now=at("2026-11-23 05:00"))
    assert late == Due(missed=5, missed_until=at("2026-11-23 02:30"))


def test_the_time_zone_is_the_schedule_s_over_a_change_of_the_clock() -> None:
    berlin = ScheduleSettings(name="x", source="orders", cron="30 2 * * *", timezone="Europe/Berlin")
    times = list(islice(due_times(berlin, after=at("2026-10-23 12:00")), 3))
    # summer time until 2026-10-25 03:00, when 02:30 comes twice
    assert times == [at("2026-10-24 00:30"), at("2026-10-25 00:30"), at("2026-10-26 01:30")]


@settings(deadline=None)
@given(st.integers(0, 400), st.integers(0, 10 * 86400), st.integers(900, 3 * 86400))
def test_every_due_time_is_settled_once(days: int, later: int, step: int) -> None:
    """However often somebody looks, each run is placed or missed, once."""
    begin = at("2026-01-01 00:00") + days * DAY
    settled, placed, missed, now = begin, 0, 0, begin
    while now < begin + later:
        now += step
        found = due(NIGHTLY, settled_until=settled, now=now)
        missed += found.missed
        if found.run is not None:
            placed += 1
        settled = found.run or found.missed_until or settled
    all_due = due(NIGHTLY, settled_until=begin, now=now)
    assert placed + missed == all_due.missed + (all_due.run is not None)


def test_a_run_is_known_by_its_schedule_and_its_time() -> None:
    moment = at("2026-11-23 02:30")
    assert run_name("orders-nightly", moment) == "orders-nightly-20261123-0230"
    assert len(run_name("x" * 30, moment)) + 2 <= 48
    ids = {run_id("a", moment), run_id("b", moment), run_id("a", moment + 60), verification_id("a")}
    ids |= {run_id("a", moment, 1), run_id("a", moment, 2), verification_id("a", 1)}
    assert len(ids) == 7
    assert all(len(item) == 32 for item in ids)
    assert run_id("a", moment) == run_id("a", moment)
    assert next_due(NIGHTLY, after=moment) == moment + DAY


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "Orders Nightly"}, "no name of a schedule"),
        ({"name": "x" * 31}, "no name of a schedule"),
        ({"cron": "30 25 * * *"}, "cron '30 25"),
        ({"cron": "nightly"}, "cron 'nightly'"),
        ({"timezone": "Mars/Base"}, "no time zone"),
        ({"size": "large"}, "give auto"),
        ({"job": JobName.STANDBY}, "can't come again"),
        ({"job": JobName.VERIFY, "incremental": True}, "are for job backup"),
    ],
)
def test_a_schedule_that_is_none_says_what_is_wrong(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ScheduleSettings(**{"name": "x", "source": "orders", "cron": "0 1 * * *", **change})  # type: ignore[arg-type]


def test_prometheus_is_told_the_strictest_promise_of_a_source() -> None:
    now = at("2026-11-23 12:00")
    weekly = ScheduleSettings(name="weekly", source="orders", cron="0 1 * * 0", fresh=8 * DAY, verify=9 * DAY)
    nightly = ScheduleSettings(name="nightly", source="orders", cron="30 2 * * *", fresh=26 * HOUR)
    found = (
        Standing(weekly, ScheduleProgress(name="weekly", since=100.0, settled_until=now, missed=1)),
        Standing(nightly, ScheduleProgress(name="nightly", since=200.0, settled_until=now, missed=2)),
    )
    samples = {(metric, labels): value for metric, labels, value in schedule_samples(found, now=now)}
    backups, verifications = ("orders", "backup"), ("orders", "verify")
    assert samples == {
        (MAX_AGE, backups): 26 * HOUR,
        (SINCE, backups): 100.0,
        (NEXT, backups): at("2026-11-24 02:30"),
        (MISSED, backups): 3,
        (MAX_AGE, verifications): 9 * DAY,
        (SINCE, verifications): 100.0,
    }


def test_the_pauses_between_tries_grow_up_to_a_limit() -> None:
    pauses = [retry_after(tries) for tries in range(1, 9)]
    assert pauses[:4] == [FIRST_RETRY, 2 * FIRST_RETRY, 4 * FIRST_RETRY, 8 * FIRST_RETRY]
    assert pauses[-1] == LONGEST_RETRY
    assert retry_after(10**6) == LONGEST_RETRY


FULL = Hindrance(
    why="full",
    against={
        "db1": (("capacity.slots", "slots: 1 needed, 0 free"), ("capacity.disk", "disk: 2 needed, 1 free")),
        "db2": (("capacity.slots", "slots: 1 needed, 0 free"),),
    },
)


def refused(progress: ScheduleProgress) -> dict[object, float]:
    found = schedule_samples((Standing(NIGHTLY, progress),), now=at("2026-11-23 12:00"))
    return {(metric, labels): value for metric, labels, value in found if metric in {WAITING, REFUSING}}


def test_prometheus_is_told_what_waits_and_how_many_hosts_refuse_it() -> None:
    key, begun = ("orders", "backup"), ScheduleProgress(name="orders-nightly", since=1.0, settled_until=2.0)
    refusals: dict[object, float] = {
        (REFUSING, (*key, "capacity.slots")): 2,
        (REFUSING, (*key, "capacity.disk")): 1,
    }
    assert refused(begun) == {}
    waiting = replace(begun, trying=3.0, tries=1, hindrance=FULL)
    assert refused(waiting) == {(WAITING, key): 3.0, **refusals}
    missed = replace(begun, last_miss=Miss(due=3.0, at=9.0, runs=1, tries=4, hindrance=FULL))
    assert refused(missed) == refusals
    assert refused(replace(missed, last_placed=4.0)) == {}, "a later one was placed"
