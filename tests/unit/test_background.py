import threading

import pytest

from collector.background import Background
from tests.support.limits import no_more_threads
from tests.support.wait import wait_until


@pytest.mark.parametrize("error", [OSError("no disk"), KeyError("no disk"), RecursionError("no disk")])
def test_the_last_good_result_stays_with_its_time(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    wall, answers = [100.0], [1]

    def work() -> int:
        if not answers:
            raise error
        return answers.pop()

    source = Background("files", 5, work, lambda: wall[0])
    source.run()
    wall[0] = 200.0
    source.run()
    source.run()
    assert (source.result, source.last_success) == (1, 100.0)
    assert caplog.text.count("no disk") == 1, "said once, not at every run"


def test_a_failure_is_told_until_the_next_success() -> None:
    results: list[int | Exception] = [1, OSError("torn"), 3]

    def work() -> int:
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    source = Background("files", 5, work, lambda: 100.0)
    seen = []
    for _ in range(3):
        source.run()
        seen.append((source.result, str(source.error)))
    assert seen == [(1, "None"), (1, "torn"), (3, "None")]


def test_one_run_at_a_time_and_the_next_when_it_is_due() -> None:
    now, release, runs = [0.0], threading.Event(), []

    def work() -> int:
        runs.append(1)
        release.wait(10)
        return len(runs)

    source = Background("slow", 5, work, lambda: 0.0, monotonic=lambda: now[0])
    source.start_if_due()
    now[0] = 60.0
    source.start_if_due()
    release.set()
    wait_until(lambda: source.result == 1 and source.running_for == 0, deadline=10, what="the run ends")
    assert len(runs) == 1
    source.start_if_due()
    wait_until(lambda: source.result == 2 and source.running_for == 0, deadline=10, what="the second run")
    now[0] = 64.0
    source.start_if_due()
    assert len(runs) == 2


def test_a_run_that_is_quick_can_be_waited_for() -> None:
    source = Background("quick", 60, lambda: 7, lambda: 100.0)
    source.start_if_due()
    source.wait(10)
    assert (source.result, source.last_success) == (7, 100.0)
    assert source.duration is not None


def test_a_run_that_can_get_no_thread_has_failed_and_comes_again() -> None:
    now = [0.0]
    source = Background("quick", 5, lambda: 7, lambda: 100.0, monotonic=lambda: now[0])
    with no_more_threads():
        source.start_if_due()
    assert (str(source.error), source.running_for, source.result) == ("can't start new thread", 0.0, None)
    now[0] = 5.0
    source.start_if_due()
    source.wait(10)
    assert (source.error, source.result) == (None, 7)


def test_a_run_tells_how_long_it_takes() -> None:
    now, began, release = [0.0], threading.Event(), threading.Event()

    def work() -> bool:
        began.set()
        return release.wait(10)

    source = Background("slow", 5, work, lambda: 100.0, monotonic=lambda: now[0])
    source.start_if_due()
    source.wait(0.0)
    assert began.wait(10)
    now[0] = 7.0
    assert (source.running_for, source.duration, source.result) == (7.0, None, None)
    release.set()
    source.wait(10)
    assert (source.running_for, source.duration) == (0.0, 7.0)
