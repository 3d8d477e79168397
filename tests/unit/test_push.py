import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.outputs.push import Backoff, Batch, Pusher, PushStats
from collector.outputs.sink import OutputError

PATIENCE = 10.0
AWAY = OutputError("http://far.example: no answer", retryable=True)
BAD = OutputError("http://far.example: answered 400: bad line", retryable=False)


class FarEnd:
    """What a pusher writes to: answers as told, then accepts; the test goes on when enough was tried."""

    def __init__(self, *answers: Exception | None) -> None:
        self._answers = iter(answers)
        self._changed = threading.Condition()
        self.tried: list[Batch] = []
        self.accepted: list[Batch] = []

    def write(self, batch: Batch) -> None:
        with self._changed:
            answer = next(self._answers, None)
            self.tried.append(batch)
            if answer is None:
                self.accepted.append(batch)
            self._changed.notify_all()
        if answer is not None:
            raise answer

    def wait_for_attempts(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.tried) >= count, PATIENCE)


@pytest.fixture
def pushers() -> Iterator[list[Pusher]]:
    made: list[Pusher] = []
    yield made
    for pusher in made:
        pusher.close(PATIENCE)


def lines(*numbers: int) -> list[bytes]:
    return [b"m f=%di 5" % number for number in numbers]


def make(
    far_end: FarEnd, *, batch_size: int = 10, limit: int = 100, sleep: Callable[[float], object] = lambda _: None
) -> Pusher:
    return Pusher("far", far_end.write, batch_size=batch_size, buffer_limit=limit, sleep=sleep)


def test_lines_are_written_in_order_and_in_batches(pushers: list[Pusher]) -> None:
    far_end = FarEnd()
    pusher = make(far_end, batch_size=2)
    pushers.append(pusher)
    pusher.put(lines(1, 2, 3))
    pusher.put(lines(4))
    pusher.start()
    far_end.wait_for_attempts(3)
    pusher.close(PATIENCE)
    assert far_end.accepted == [tuple(lines(1, 2)), tuple(lines(3)), tuple(lines(4))]
    assert pusher.stats() == PushStats(up=True, written=4, dropped=0, queued=0)


def test_before_the_first_write_nothing_is_claimed() -> None:
    pusher = make(FarEnd())
    pusher.put(lines(1))
    assert pusher.stats() == PushStats(up=False, written=0, dropped=0, queued=1)


def test_a_far_end_that_is_away_gets_the_same_lines_again(pushers: list[Pusher]) -> None:
    far_end, waits = FarEnd(AWAY, AWAY), list[float]()
    pusher = make(far_end, sleep=waits.append)
    pushers.append(pusher)
    pusher.start()
    pusher.put(lines(1, 2))
    far_end.wait_for_attempts(3)
    pusher.close(PATIENCE)
    assert far_end.tried == [tuple(lines(1, 2))] * 3
    assert pusher.stats() == PushStats(up=True, written=2, dropped=0, queued=0)
    assert len(waits) == 2


@pytest.mark.parametrize("answer", [BAD, RuntimeError("a bug")])
def test_a_bad_batch_is_given_up_and_does_not_hold_up_the_next(pushers: list[Pusher], answer: Exception) -> None:
    far_end = FarEnd(answer)
    pusher = make(far_end, batch_size=2)
    pushers.append(pusher)
    pusher.put(lines(1, 2, 3))
    pusher.start()
    far_end.wait_for_attempts(2)
    pusher.close(PATIENCE)
    assert far_end.tried == [tuple(lines(1, 2)), tuple(lines(3))]
    assert pusher.stats() == PushStats(up=True, written=1, dropped=2, queued=0)


def test_while_the_far_end_is_away_the_oldest_are_dropped_and_counted(pushers: list[Pusher]) -> None:
    failing, go_on = threading.Event(), threading.Event()

    def sleep(_seconds: float) -> None:
        failing.set()
        assert go_on.wait(PATIENCE)

    far_end = FarEnd(AWAY)
    pusher = make(far_end, batch_size=2, limit=4, sleep=sleep)
    pushers.append(pusher)
    pusher.start()
    pusher.put(lines(1, 2))
    assert failing.wait(PATIENCE)
    pusher.put(lines(3, 4, 5))
    pusher.put(lines(6))
    assert pusher.stats() == PushStats(up=False, written=0, dropped=2, queued=4)
    go_on.set()
    far_end.wait_for_attempts(4)
    pusher.close(PATIENCE)
    assert far_end.accepted == [tuple(lines(3, 4)), tuple(lines(5)), tuple(lines(6))]


def test_closing_delivers_what_waits_and_ends_the_wait_between_attempts() -> None:
    far_end = FarEnd(AWAY)
    pusher = Pusher("far", far_end.write, batch_size=10, buffer_limit=100, backoff=Backoff(first=3600, limit=3600))
    pusher.start()
    pusher.put(lines(1))
    far_end.wait_for_attempts(1)
    pusher.put(lines(2))
    pusher.close(PATIENCE)
    assert far_end.accepted == [tuple(lines(1)), tuple(lines(2))]


def test_closing_tries_once_more_and_gives_up_on_a_far_end_that_is_away() -> None:
    far_end = FarEnd(*[AWAY] * 100)
    pusher = Pusher("far", far_end.write, batch_size=10, buffer_limit=100, backoff=Backoff(first=3600, limit=3600))
    pusher.start()
    pusher.put(lines(1, 2))
    pusher.close(PATIENCE)
    assert pusher.stats() == PushStats(up=False, written=0, dropped=2, queued=0)
    assert len(far_end.tried) <= 2


def test_closing_does_not_wait_longer_than_its_deadline() -> None:
    entered, leave = threading.Event(), threading.Event()

    def write(_batch: Batch) -> None:
        entered.set()
        leave.wait(PATIENCE)

    pusher = Pusher("far", write, batch_size=10, buffer_limit=100)
    pusher.start()
    pusher.put(lines(1))
    assert entered.wait(PATIENCE)
    pusher.close(0.01)
    assert pusher.stats().queued == 0
    leave.set()


@given(
    st.lists(st.lists(st.integers(0, 99), max_size=7), max_size=8),
    st.integers(1, 5),
    st.integers(1, 12),
    st.lists(st.sampled_from([None, AWAY, BAD]), max_size=8),
)
def test_every_point_is_written_or_counted(
    collections: list[list[int]], batch_size: int, limit: int, answers: list[Exception | None]
) -> None:
    far_end = FarEnd(*answers)
    pusher = make(far_end, batch_size=batch_size, limit=limit)
    for numbers in collections:
        pusher.put(lines(*numbers))
        assert pusher.stats().queued <= limit
    pusher.start()
    pusher.close(PATIENCE)
    stats = pusher.stats()
    assert stats.written == sum(map(len, far_end.accepted))
    assert stats.written + stats.dropped == sum(map(len, collections))
    assert all(len(batch) <= batch_size for batch in far_end.tried)


def test_waits_double_up_to_a_limit_and_vary() -> None:
    steady = Backoff(first=1, limit=10, chance=lambda: 0.0)
    assert [steady.wait(failures) for failures in (1, 2, 3, 4, 5, 2000)] == [1, 2, 4, 8, 10, 10]
    assert Backoff(first=1, limit=10, chance=lambda: 1.0).wait(5) == 5
