from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import ConfigError
from orchestrator.decision.decide import decide
from orchestrator.decision.request import Window
from orchestrator.decision.resources import ResourceClass
from orchestrator.decision.snapshot import PlacedJob
from orchestrator.decision.windows import best_start, parse_window, peak
from tests.support.placing import LARGE, NOW, host, job, request, snapshot

HOUR = 3600.0
HALF = {ResourceClass.READ_BPS: LARGE[ResourceClass.READ_BPS].sellable // 2}
MOST = {ResourceClass.READ_BPS: LARGE[ResourceClass.READ_BPS].sellable * 2 // 3}


def running(begin: float, end: float, number: int = 1) -> PlacedJob:
    return replace(job(number, HALF), window=(NOW + begin * HOUR, NOW + end * HOUR))


def window(begin: float, end: float, hours: float = 1.0) -> Window:
    return Window(not_before=NOW + begin * HOUR, deadline=NOW + end * HOUR, duration=hours * HOUR)


def start_in_hours(given: Window, *jobs: PlacedJob) -> float | None:
    start = best_start(given, HALF, replace(host("db1"), jobs=jobs), NOW)
    return None if start is None else (start.at - NOW) / HOUR


def test_empty_host_starts_at_once_and_not_before_its_time() -> None:
    assert start_in_hours(window(-5, 5)) == 0
    assert start_in_hours(window(2, 5)) == 2


def test_start_waits_for_the_reader_that_is_there_or_ends_before_the_next_one() -> None:
    assert start_in_hours(window(0, 6), running(0, 2)) == 2
    assert start_in_hours(window(0, 6), running(1, 6)) == 0
    assert start_in_hours(window(0, 9, hours=2), running(0, 1), running(3, 9, 2)) == 1


def test_peaks_meet_where_the_window_leaves_no_choice_and_never_beyond_what_is_offered() -> None:
    assert start_in_hours(window(0, 2), running(0, 2)) == 0
    assert start_in_hours(window(0, 2), running(0, 2), running(0, 2, 2)) is None
    assert start_in_hours(window(0, 2), job(1, HALF), job(2, HALF)) is None
    assert start_in_hours(window(0, 1, hours=2)) is None


def test_decision_has_the_start_and_refuses_where_there_is_none() -> None:
    busy = replace(host("db1"), jobs=(running(0, 2),))
    assert decide(snapshot(busy), replace(request("b1", HALF), window=window(0, 6))).start_at == NOW + 2 * HOUR
    free = decide(snapshot(host("db1")), replace(request("b1", HALF), window=window(0, 6)))
    assert (free.host, free.start_at) == ("db1", None)
    refused = decide(snapshot(busy), replace(request("b1", MOST), window=window(0, 2)))
    assert refused.codes("db1") == {"window.no_start"}


spans = st.tuples(st.integers(-3, 10), st.integers(1, 5)).map(lambda pair: running(pair[0], pair[0] + pair[1]))


@given(st.lists(spans, max_size=4), st.integers(0, 5), st.integers(1, 8))
def test_no_other_hour_of_the_window_has_a_lower_peak(jobs: list[PlacedJob], begin: int, length: int) -> None:
    given_window, busy = window(begin, begin + length), replace(host("db1"), jobs=tuple(jobs))
    best = best_start(given_window, HALF, busy, NOW)
    peaks = [peak(NOW + hour * HOUR, HOUR, HALF, busy) for hour in range(begin, begin + length)]
    if best is None:
        assert min(peaks) > 1
    else:
        assert given_window.not_before <= best.at <= given_window.deadline - given_window.duration
        assert best.peak <= min(peaks)


AT = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)


def test_times_are_the_next_of_that_hour_or_whole_dates() -> None:
    assert parse_window(not_before=None, deadline=None, duration="1h", now=AT) is None
    found = parse_window(not_before="22:00", deadline="06:00", duration="90m", now=AT)
    assert found == Window(not_before=AT.timestamp() + HOUR, deadline=AT.timestamp() + 9 * HOUR, duration=1.5 * HOUR)
    found = parse_window(not_before="2026-12-01T02:00", deadline=None, duration="1h", now=AT)
    assert found is not None
    assert found.not_before == datetime(2026, 12, 1, 2, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("not_before", "deadline", "duration", "said"),
    [
        ("25:00", None, "1h", "25:00"),
        ("soon", None, "1h", "soon"),
        (None, "22:00", "0h", "out of range"),
        (None, "22:00", "2h", "doesn't end by 22:00"),
    ],
)
def test_windows_that_are_none_are_refused(
    not_before: str | None, deadline: str | None, duration: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        parse_window(not_before=not_before, deadline=deadline, duration=duration, now=AT)
    assert caught.value.code == "request.window"
