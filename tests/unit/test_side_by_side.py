import threading

import pytest

from orchestrator.backup.side_by_side import run_side_by_side


def test_all_are_run_so_many_at_once_and_no_more() -> None:
    together = threading.Barrier(3)
    lock = threading.Lock()
    running = most = done = 0

    def call() -> None:
        nonlocal running, most, done
        with lock:
            running += 1
            most = max(most, running)
        together.wait(timeout=10)
        with lock:
            running -= 1
            done += 1

    run_side_by_side([call] * 9, at_once=3)
    assert (done, most) == (9, 3)


def test_one_that_fails_costs_no_other_and_is_raised_in_the_end() -> None:
    done: list[int] = []

    def fail() -> None:
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        run_side_by_side([fail, *(lambda: done.append(1) for _ in range(4))], at_once=2)
    assert done == [1] * 4


def test_of_nothing_nothing_is_run() -> None:
    run_side_by_side([], at_once=8)
