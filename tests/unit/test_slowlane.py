import threading

from collector.slowlane import Outcome, SlowLane

PATIENCE = 10.0


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_work_is_done_when_it_is_due_and_its_result_kept_between() -> None:
    clock, calls = Clock(), iter(range(10))
    lane = SlowLane("lane", lambda: next(calls), 5.0, clock)
    assert lane.poll(PATIENCE) == Outcome(0, None, 100.0)
    clock.now = 104.9
    assert lane.poll(PATIENCE) == Outcome(0, None, 100.0)
    clock.now = 105.0
    assert lane.poll(PATIENCE) == Outcome(1, None, 105.0)


def test_a_run_that_hangs_is_not_joined_by_another_and_holds_nobody() -> None:
    clock, release, calls = Clock(), threading.Event(), []

    def hang() -> int:
        calls.append(1)
        release.wait(PATIENCE)
        return 7

    lane = SlowLane("lane", hang, 5.0, clock)
    for now in (100.0, 110.0, 120.0):
        clock.now = now
        assert lane.poll() == Outcome()
    assert len(calls) == 1
    release.set()
    clock.now = 120.1
    assert lane.poll(PATIENCE) == Outcome(7, None, 120.1)


def test_a_failure_is_told_with_what_was_known_and_ends_with_the_next_success() -> None:
    clock = Clock()
    results: list[int | Exception] = [1, OSError("torn"), 3]

    def work() -> int:
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    lane = SlowLane("lane", work, 5.0, clock)
    lane.poll(PATIENCE)
    clock.now = 110.0
    failed = lane.poll(PATIENCE)
    assert (failed.value, str(failed.error), failed.last_success) == (1, "torn", 100.0)
    clock.now = 120.0
    assert lane.poll(PATIENCE) == Outcome(3, None, 120.0)


def test_a_clock_that_is_set_back_stops_no_lane() -> None:
    clock, calls = Clock(), iter(range(10))
    lane = SlowLane("lane", lambda: next(calls), 5.0, clock)
    lane.poll(PATIENCE)
    clock.now = 40.0
    assert lane.poll(PATIENCE).value == 1
