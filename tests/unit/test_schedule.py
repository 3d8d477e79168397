import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.agent.schedule import Schedule, schedule_of
from collector.settings import AgentSettings


def test_collections_are_at_multiples_of_the_interval() -> None:
    schedule = Schedule(interval=10)
    assert schedule.after(None, 1003.0) == (1010.0, 7.0)
    assert schedule.after(1010.0, 1010.25) == (1020.0, 9.75)


def test_a_wait_that_ended_early_does_not_bring_the_same_tick_again() -> None:
    assert Schedule(interval=10).after(1010.0, 1009.875) == (1020.0, 10.125)


def test_a_collection_that_took_longer_than_the_interval_skips_ticks() -> None:
    assert Schedule(interval=10).after(1010.0, 1034.0) == (1040.0, 6.0)


def test_a_clock_that_is_set_back_begins_anew() -> None:
    assert Schedule(interval=10).after(5000.0, 1003.0) == (1010.0, 7.0)


def test_offset_and_jitter_make_late() -> None:
    schedule = Schedule(interval=10, offset=3, jitter=4, chance=lambda: 0.5)
    assert schedule.after(None, 1003.5) == (1013.0, 11.5)
    assert schedule.after(1013.0, 1015.0) == (1023.0, 10.0)


def test_what_is_not_rounded_begins_at_the_start() -> None:
    schedule = schedule_of(AgentSettings(round_interval=False), now=1003.0)
    assert schedule.after(None, 1003.0) == (1013.0, 10.0)
    assert schedule_of(AgentSettings(), now=1003.0).after(None, 1003.0) == (1010.0, 7.0)


@given(
    st.floats(0.5, 100),
    st.floats(0, 0.45),
    st.floats(0, 0.45),
    st.lists(st.floats(0, 0.999), min_size=2, max_size=20),
)
def test_each_tick_comes_once_whatever_the_jitter(
    interval: float, offset: float, jitter: float, chances: list[float]
) -> None:
    draws = iter(chances)
    schedule = Schedule(
        interval=interval, offset=offset * interval, jitter=jitter * interval, chance=lambda: next(draws)
    )
    now, last, ticks = 1e6, None, []
    for _ in chances:
        last, wait = schedule.after(last, now)
        assert wait > 0
        now += wait
        ticks.append(last)
    gaps = [later - earlier for earlier, later in itertools.pairwise(ticks)]
    assert gaps == pytest.approx([interval] * len(gaps))
