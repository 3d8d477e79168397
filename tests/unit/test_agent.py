import threading
from collections.abc import Callable, Sequence

import pytest

from collector.agent.agent import Collector
from collector.agent.runner import InputRunner
from collector.inputs.host import LOAD1, LOAD5
from collector.metrics import Metric, PartialGathering, Sample

PATIENCE = 10.0


class Source:
    """An input whose behaviour the test decides."""

    def __init__(self, name: str, gather: Callable[[], Sequence[Sample]]) -> None:
        self.name = name
        self.gather = gather


def runner_of(gather: Callable[[], Sequence[Sample]], name: str = "source") -> InputRunner:
    return InputRunner(Source(name, gather), clock=lambda: 100.0)


def collector_of(*runners: InputRunner, deadline: float = PATIENCE, min_age: float = 0.0) -> Collector:
    return Collector([list(runners)], deadline=deadline, min_age=min_age)


def values(samples: Sequence[Sample]) -> dict[Metric, float]:
    return {sample.metric: sample.value for sample in samples}


def wait_for(event: threading.Event) -> Sequence[Sample]:
    event.wait(PATIENCE)
    return []


def test_an_input_that_fails_costs_its_own_samples() -> None:
    def fail() -> Sequence[Sample]:
        raise OSError("torn")

    bad, good = runner_of(fail, "bad"), runner_of(lambda: [LOAD1.sample(1)], "good")
    collector = collector_of(bad, good)
    assert values(collector.collect().samples) == {LOAD1: 1}
    assert {state.name: (state.up, state.errors) for state in collector.states()} == {
        "bad": (False, 1),
        "good": (True, 0),
    }


def test_an_input_that_read_a_part_has_failed_and_gives_the_part() -> None:
    def half() -> Sequence[Sample]:
        raise PartialGathering("no meminfo", [LOAD1.sample(1)])

    collector = collector_of(runner_of(half, "half"))
    assert values(collector.collect().samples) == {LOAD1: 1}
    (state,) = collector.states()
    assert (state.up, state.errors, state.samples, state.last_success) == (False, 1, 1, None)


def test_an_input_that_hangs_is_left_out_and_comes_back() -> None:
    release, calls = threading.Event(), []

    def hang() -> Sequence[Sample]:
        calls.append(1)
        if len(calls) == 1:
            release.wait(PATIENCE)
        return [LOAD1.sample(len(calls))]

    stuck, good = runner_of(hang, "stuck"), runner_of(lambda: [LOAD5.sample(5)], "good")
    collector = collector_of(stuck, good, deadline=0.05)
    assert values(collector.collect().samples) == {LOAD5: 5}
    assert values(collector.collect().samples) == {LOAD5: 5}
    assert len(calls) == 1, "a gathering that hangs is not asked again"
    assert not stuck.state().up
    release.set()
    patient = collector_of(stuck, good)
    # What the hanging call brings in the end is old and thrown away; the next gathering is new.
    seen = values(patient.collect().samples)
    while LOAD1 not in seen:
        seen = values(patient.collect().samples)
    assert seen == {LOAD1: 2, LOAD5: 5}
    assert stuck.state().up


def test_collections_close_together_are_shared() -> None:
    calls: list[int] = []

    def count() -> Sequence[Sample]:
        calls.append(1)
        return [LOAD1.sample(len(calls))]

    now = [0.0]
    collector = Collector([[runner_of(count)]], deadline=PATIENCE, min_age=1.0, monotonic=lambda: now[0])
    assert collector.collect() is collector.collect()
    now[0] = 1.5
    assert values(collector.collect().samples) == {LOAD1: 2}


def test_the_state_tells_how_long_a_call_has_been_under_way() -> None:
    now = [100.0]
    runner = InputRunner(Source("slow", list), lambda: 5.0, monotonic=lambda: now[0])
    assert runner.begin()
    now[0] = 107.0
    assert runner.state().duration == 7.0
    assert runner.finish() == ()
    assert not runner.begin(), "it is not asked again while it hangs"
    runner.gather()
    assert runner.begin()


def test_what_hangs_is_told_in_the_same_collection() -> None:
    release = threading.Event()
    stuck = runner_of(lambda: wait_for(release), "stuck")

    def say() -> Sequence[Sample]:
        release.wait(0.02)  # it takes a moment, as on a busy host
        return [LOAD1.sample(stuck.state().duration >= 0)]

    collector = Collector([[stuck], [runner_of(say, "says")]], deadline=0.05, min_age=0.0)
    assert values(collector.collect().samples) == {LOAD1: 1}
    release.set()


@pytest.mark.parametrize("late", [0.0, -1.0])
def test_no_time_left_is_no_error_of_ours(late: float) -> None:
    release = threading.Event()
    collector = collector_of(runner_of(lambda: wait_for(release)), deadline=late)
    assert collector.collect().samples == ()
    release.set()


def test_an_input_that_hangs_is_closed_when_it_ends() -> None:
    closed = threading.Event()

    class Holding(Source):
        def close(self) -> None:
            closed.set()

    release = threading.Event()
    runner = InputRunner(Holding("holding", lambda: wait_for(release)), clock=lambda: 100.0)
    collector = collector_of(runner, deadline=0.1)
    collector.collect()
    collector.close()
    assert not closed.is_set()
    release.set()
    assert closed.wait(PATIENCE)
