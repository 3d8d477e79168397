"""Inputs with an interval of their own, with filters, and inputs that are closed."""

import threading
from collections.abc import Sequence

import pytest

from collector.agent.agent import Collector
from collector.agent.runner import InputRunner
from collector.inputs.host import LOAD1, LOAD5
from collector.metrics import Sample
from collector.sample_filter import compile_sample_filter
from collector.settings import CommonSettings

PATIENCE = 10.0


class Counting:
    """Counts its gatherings; can be told to fail, or to wait."""

    name = "counting"

    def __init__(self) -> None:
        self.gathered = 0
        self.closed = threading.Event()
        self.fails = False
        self.free = threading.Event()
        self.free.set()

    def gather(self) -> Sequence[Sample]:
        self.gathered += 1
        number = self.gathered
        self.free.wait(PATIENCE)
        if self.fails:
            raise OSError("torn")
        return [LOAD1.sample(number), LOAD5.sample(5)]

    def close(self) -> None:
        self.closed.set()


class Hand:
    """A runner by hand, the time that passes, and how far from it the clock on the wall is."""

    def __init__(self, interval: float | None) -> None:
        self.now = 1000.0
        self.apart = 0.0
        self.source = Counting()
        self.runner = InputRunner(
            self.source, lambda: self.now + self.apart, monotonic=lambda: self.now, interval=interval
        )

    def collect(self, at: float, *, ends: bool = True) -> list[float]:
        self.now = at
        if self.runner.begin() and ends:
            self.runner.gather()
        return [sample.value for sample in self.runner.finish() if sample.metric is LOAD1]


def test_the_last_result_is_given_again_until_the_interval_is_over() -> None:
    hand = Hand(interval=30)
    assert [hand.collect(at) for at in (1000, 1010, 1020, 1029.6, 1040)] == [[1], [1], [1], [2], [2]]
    assert hand.runner.held_since == 1029.6
    assert hand.runner.state().last_success == 1029.6


def test_without_an_interval_every_collection_gathers() -> None:
    hand = Hand(interval=None)
    assert [hand.collect(at) for at in (1000, 1000.1)] == [[1], [2]]
    assert hand.runner.held_since is None


@pytest.mark.parametrize("apart", [-3600.0, 3600.0])
def test_a_clock_that_is_set_changes_no_interval_and_no_duration(apart: float) -> None:
    hand = Hand(interval=30)
    assert hand.collect(1000) == [1]
    hand.apart = apart
    assert [hand.collect(at) for at in (1010, 1030)] == [[1], [2]]
    assert (hand.runner.held_since, hand.runner.state().duration) == (1030 + apart, 0.0)


def test_a_gathering_that_failed_has_nothing_to_give_again() -> None:
    hand = Hand(interval=30)
    hand.source.fails = True
    assert [hand.collect(at) for at in (1000, 1010)] == [[], []]
    assert not hand.runner.state().up
    hand.source.fails = False
    assert hand.collect(1030) == [2]


def test_what_comes_late_is_given_until_the_next_gathering() -> None:
    hand = Hand(interval=30)
    assert hand.collect(1000, ends=False) == []
    hand.runner.gather()
    assert hand.collect(1010) == [1]
    assert hand.collect(1020) == [1]


def test_a_filter_leaves_samples_out_and_out_of_the_count() -> None:
    only = compile_sample_filter(CommonSettings(namepass=("node_load5",)))
    runner = InputRunner(Counting(), lambda: 0.0, sample_filter=only)
    assert runner.begin()
    runner.gather()
    assert runner.finish() == [LOAD5.sample(5)]
    assert runner.state().samples == 1


def test_a_closed_collector_gives_its_last_collection_and_its_inputs_end() -> None:
    source, now = Counting(), [0.0]
    collector = Collector(
        [[InputRunner(source, lambda: now[0])]], deadline=PATIENCE, min_age=1.0, monotonic=lambda: now[0]
    )
    assert collector.age is None
    last = collector.collect()
    now[0] = 5.0
    assert collector.age == 5.0
    collector.close()
    assert collector.collect() is last
    assert source.closed.wait(PATIENCE)


@pytest.mark.parametrize("interval", [0.2, 3600.0])
def test_scrapes_may_come_a_little_early(interval: float) -> None:
    hand = Hand(interval)
    early = min(interval / 10, 0.5) * 0.99
    assert hand.collect(0.0) == [1]
    assert hand.collect(interval - early) == [2]
