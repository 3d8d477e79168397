import threading
from collections.abc import Callable

import pytest

from orchestrator.backup.side_by_side import SideBySide


def named(*calls: Callable[[], object]) -> dict[str, Callable[[], object]]:
    return {str(number): call for number, call in enumerate(calls)}


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

    assert SideBySide(3).run(named(*[call] * 9)) == frozenset()
    assert (done, most) == (9, 3)


def test_one_that_fails_costs_no_other_and_is_raised_in_the_end() -> None:
    done: list[int] = []

    def fail() -> None:
        raise ValueError("boom")

    side_by_side = SideBySide(2)
    with pytest.raises(ValueError, match="boom"):
        side_by_side.run(named(fail, *[lambda: done.append(1)] * 4))
    assert done == [1] * 4
    assert side_by_side.run({}) == frozenset(), "it is raised once"


def test_one_that_hangs_is_neither_waited_for_nor_begun_again_and_holds_up_no_other() -> None:
    release, begun, done = threading.Event(), [], []

    def hang() -> None:
        begun.append(1)
        release.wait(10)

    side_by_side = SideBySide(2)
    for _ in range(3):
        calls = {"hangs": hang, "other": lambda: done.append(1)}
        assert side_by_side.run(calls, seconds=0.2) == {"hangs"}
    assert (begun, done) == ([1], [1] * 3)
    release.set()
    assert side_by_side.run({}) == frozenset()
    assert side_by_side.run({"hangs": hang}) == frozenset(), "and then it is begun again"
    assert begun == [1, 1]


def test_what_waits_for_a_place_is_begun_when_there_is_one() -> None:
    release, done = threading.Event(), []
    side_by_side = SideBySide(1)
    assert side_by_side.run({"a": lambda: release.wait(10)}, seconds=0.1) == {"a"}
    assert side_by_side.run({"b": lambda: done.append(1)}, seconds=0.1) == {"a", "b"}
    assert done == []
    release.set()
    assert side_by_side.run({}) == frozenset()
    assert done == [1]
