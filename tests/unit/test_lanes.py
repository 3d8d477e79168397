import threading
from collections.abc import Iterator
from functools import partial

import pytest

from collector.agent.lanes import Lanes
from tests.support.limits import no_more_threads
from tests.support.wait import wait_until


@pytest.fixture
def lanes() -> Iterator[Lanes]:
    made = Lanes("lanes-under-test", patience=0.02)
    yield made
    made.close()
    wait_until(lambda: gathering_threads(made) == 0, deadline=5, what="the threads are gone")


def gathering_threads(lanes: Lanes) -> int:
    return sum(lanes.name == thread.name for thread in threading.enumerate())


def test_quick_work_is_done_in_order_by_one_thread(lanes: Lanes) -> None:
    done: list[tuple[int, str]] = []

    def piece(number: int) -> None:
        done.append((number, threading.current_thread().name))

    for _ in range(3):
        lanes.run([partial(piece, number) for number in range(5)], 5.0)
    assert done == [(n, lanes.name) for _ in range(3) for n in range(5)]
    assert gathering_threads(lanes) == 1


def test_work_that_hangs_keeps_its_thread_and_the_others_go_on(lanes: Lanes) -> None:
    released = threading.Event()
    done: list[str] = []

    def hang() -> None:
        released.wait(30)
        done.append("hung")

    lanes.run([hang, lambda: done.append("a"), lambda: done.append("b")], 2.0)
    assert done == ["a", "b"]
    lanes.run([lambda: done.append("c")], 5.0)
    assert done == ["a", "b", "c"], "the next run is not held up either"
    released.set()
    wait_until(lambda: "hung" in done, deadline=5, what="what hung ends")
    wait_until(lambda: gathering_threads(lanes) == 1, deadline=5, what="the thread more is gone")


def test_every_piece_may_hang_and_each_costs_a_thread_only(lanes: Lanes) -> None:
    released = threading.Event()
    began: list[int] = []

    def hang(number: int) -> None:
        began.append(number)
        released.wait(30)

    lanes.run([partial(hang, number) for number in range(4)], 2.0)
    assert began == [0, 1, 2, 3]
    released.set()
    wait_until(lambda: gathering_threads(lanes) == 1, deadline=5, what="their threads are gone")


def test_nothing_to_do_is_done_at_once(lanes: Lanes) -> None:
    lanes.run([], 5.0)
    assert gathering_threads(lanes) == 0


def test_without_a_thread_to_be_had_the_work_is_done_all_the_same(lanes: Lanes) -> None:
    done: list[str] = []
    with no_more_threads():
        lanes.run([lambda: done.append("a"), lambda: done.append("b")], 5.0)
    assert done == ["a", "b"]
    lanes.run([lambda: done.append(threading.current_thread().name)], 5.0)
    assert done == ["a", "b", lanes.name]


def test_closed_lanes_leave_no_thread() -> None:
    lanes = Lanes("lanes-that-close")
    lanes.run([lambda: None], 5.0)
    lanes.close()
    wait_until(lambda: gathering_threads(lanes) == 0, deadline=5, what="the thread is gone")
