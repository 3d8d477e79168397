import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.outputs.push import SPLITS, Backoff, Flush, Pusher
from collector.outputs.sink import OutputError
from collector.outputs.spool import Cause, Spool
from tests.support.wait import wait_until

PATIENCE = 10.0
LONG = 3600.0
AWAY = OutputError("http://far.example: no answer", retryable=True)
BAD = OutputError("http://far.example: answered 400: bad line", retryable=False)
QUICK = Backoff(first=0.001, limit=0.01)
NEVER = Backoff(first=LONG, limit=LONG)

MakePusher = Callable[..., Pusher]


class FarEnd:
    """What a pusher writes to: answers as told, then accepts all but the records that are bad."""

    def __init__(self, *answers: Exception | None, bad: Sequence[bytes] = ()) -> None:
        self._answers = iter(answers)
        self._bad = set(bad)
        self.tried: list[list[bytes]] = []
        self.accepted: list[list[bytes]] = []

    def write(self, batch: Sequence[bytes]) -> None:
        answer = next(self._answers, None)
        self.tried.append(list(batch))
        if answer is None and self._bad & set(batch):
            answer = BAD
        if answer is not None:
            raise answer
        self.accepted.append(list(batch))

    def wait_for_attempts(self, count: int) -> None:
        wait_until(lambda: len(self.tried) >= count, deadline=PATIENCE, what=f"{count} attempts", every=0.002)

    def wait_for_points(self, count: int) -> None:
        wait_until(
            lambda: sum(map(len, self.accepted)) >= count, deadline=PATIENCE, what=f"{count} points", every=0.002
        )


@pytest.fixture
def make(tmp_path: Path) -> Iterator[MakePusher]:
    made: list[Pusher] = []

    def make_one(far_end: FarEnd, *, batch_size: int = 10, interval: float = 0.001, backoff: Backoff = QUICK) -> Pusher:
        spool = Spool(tmp_path / str(len(made)), limit=2**20)
        made.append(Pusher("far", far_end.write, spool, Flush(batch_size=batch_size, interval=interval), backoff))
        return made[-1]

    yield make_one
    for pusher in made:
        if pusher._thread.is_alive():
            pusher.close(PATIENCE)


def lines(*numbers: int) -> list[bytes]:
    return [b"m f=%di 5" % number for number in numbers]


def figures(pusher: Pusher) -> tuple[bool, int, int, int]:
    """Up, written, waiting, rejected."""
    stats = pusher.stats()
    return stats.up, stats.written, stats.waiting.records, stats.waiting.dropped[Cause.REJECTED]


def test_lines_are_written_in_order_and_in_batches(make: MakePusher) -> None:
    far_end = FarEnd()
    pusher = make(far_end, batch_size=2)
    pusher.put(lines(1, 2, 3))
    pusher.put(lines(4))
    pusher.start()
    far_end.wait_for_points(4)
    pusher.close(PATIENCE)
    assert far_end.accepted == [lines(1, 2), lines(3, 4)]
    assert figures(pusher) == (True, 4, 0, 0)
    assert (pusher.stats().batches, pusher.stats().errors) == (2, 0)


def test_before_the_first_write_nothing_is_claimed(make: MakePusher) -> None:
    pusher = make(FarEnd())
    pusher.put(lines(1))
    assert figures(pusher) == (False, 0, 1, 0)


def test_a_full_batch_does_not_wait_for_the_flush(make: MakePusher) -> None:
    far_end = FarEnd()
    pusher = make(far_end, batch_size=3, interval=LONG)
    pusher.put(lines(0))
    pusher.start()
    far_end.wait_for_points(1)
    pusher.put(lines(1, 2))
    pusher.put(lines(3))
    far_end.wait_for_points(4)
    assert far_end.accepted == [lines(0), lines(1, 2, 3)]


def test_a_far_end_that_is_away_gets_the_same_lines_again(make: MakePusher) -> None:
    far_end = FarEnd(AWAY, AWAY)
    pusher = make(far_end)
    pusher.start()
    pusher.put(lines(1, 2))
    far_end.wait_for_points(2)
    pusher.close(PATIENCE)
    assert far_end.tried == [lines(1, 2)] * 3
    assert figures(pusher) == (True, 2, 0, 0)
    assert (pusher.stats().batches, pusher.stats().errors) == (1, 2)


def test_the_far_end_may_ask_for_a_longer_wait(make: MakePusher) -> None:
    far_end = FarEnd(OutputError("answered 429", retryable=True, retry_after=0.2))
    pusher = make(far_end)
    begin = time.monotonic()
    pusher.put(lines(1))
    pusher.start()
    far_end.wait_for_points(1)
    assert time.monotonic() - begin >= 0.2


@pytest.mark.parametrize("bad", [(3,), (0,), (99,), (0, 50, 99), (10, 11)])
def test_a_bad_record_loses_itself_alone(make: MakePusher, bad: tuple[int, ...]) -> None:
    far_end = FarEnd(bad=lines(*bad))
    pusher = make(far_end, batch_size=100)
    pusher.put(lines(*range(100)))
    pusher.put(lines(100))
    pusher.start()
    far_end.wait_for_points(101 - len(bad))
    pusher.close(PATIENCE)
    good = [number for number in range(101) if number not in bad]
    assert [line for batch in far_end.accepted for line in batch] == lines(*good), "in order too"
    assert figures(pusher) == (True, len(good), 0, len(bad))


def test_a_batch_of_bad_records_costs_a_bounded_number_of_requests(make: MakePusher) -> None:
    bad = lines(*range(1000))
    far_end = FarEnd(bad=bad)
    pusher = make(far_end, batch_size=1000)
    pusher.put(bad)
    pusher.put(lines(1000))
    pusher.start()
    far_end.wait_for_points(1)
    pusher.close(PATIENCE)
    assert figures(pusher) == (True, 1, 0, 1000)
    assert len(far_end.tried) <= 2 * SPLITS + 2


def test_a_bug_in_a_sink_does_not_end_the_delivery(make: MakePusher) -> None:
    far_end = FarEnd(RuntimeError("a bug"), RuntimeError("a bug"))
    pusher = make(far_end, batch_size=2)
    pusher.put(lines(1, 2))
    pusher.put(lines(3))
    pusher.start()
    far_end.wait_for_points(2)
    pusher.close(PATIENCE)
    assert figures(pusher) == (True, 2, 0, 1)


def test_a_far_end_that_goes_away_amid_the_halving_gets_the_rest_later(make: MakePusher) -> None:
    far_end = FarEnd(BAD, None, AWAY, BAD, bad=lines(3))
    pusher = make(far_end, batch_size=4)
    pusher.put(lines(1, 2, 3, 4))
    pusher.start()
    far_end.wait_for_points(3)
    pusher.close(PATIENCE)
    assert far_end.accepted == [lines(1, 2), lines(4)]
    assert figures(pusher) == (True, 3, 0, 1)


@pytest.mark.parametrize(("answers", "synced"), [([], False), ([AWAY], True)])
def test_the_disk_is_synced_only_for_what_stays_behind(
    make: MakePusher,
    monkeypatch: pytest.MonkeyPatch,
    answers: list[Exception],
    synced: bool,  # noqa: FBT001 - a parameter
) -> None:
    calls: list[int] = []
    monkeypatch.setattr("collector.outputs.spool.os.fsync", calls.append)
    far_end = FarEnd(*answers)
    pusher = make(far_end)
    pusher.put(lines(1, 2))
    pusher.start()
    far_end.wait_for_points(2)
    pusher.close(PATIENCE)
    assert bool(calls) is synced
    assert len(calls) <= 2, "the segment, and the folder that got its name"


def test_closing_delivers_what_waits_and_ends_the_wait_between_attempts(make: MakePusher) -> None:
    far_end = FarEnd(AWAY)
    pusher = make(far_end, backoff=NEVER)
    pusher.put(lines(1))
    pusher.start()
    far_end.wait_for_attempts(1)
    pusher.put(lines(2))
    pusher.close(PATIENCE)
    assert far_end.accepted == [lines(1, 2)]


def test_what_a_far_end_that_is_away_did_not_get_stays_for_the_next_agent(make: MakePusher, tmp_path: Path) -> None:
    far_end = FarEnd(*[AWAY] * 100)
    pusher = make(far_end, backoff=NEVER)
    pusher.put(lines(1, 2))
    pusher.start()
    far_end.wait_for_attempts(1)
    pusher.close(PATIENCE)
    assert len(far_end.tried) == 2, "tried once more at the end"
    assert figures(pusher) == (False, 0, 2, 0)
    spool = Spool(tmp_path / "0", limit=2**20)
    batch = spool.take(10)
    spool.close()
    assert batch is not None
    assert list(batch.records) == lines(1, 2)


def test_closing_does_not_wait_longer_than_its_deadline(tmp_path: Path) -> None:
    entered, leave = threading.Event(), threading.Event()

    def write(_batch: Sequence[bytes]) -> None:
        entered.set()
        leave.wait(PATIENCE)

    pusher = Pusher("far", write, Spool(tmp_path, limit=2**20))
    pusher.put(lines(1))
    pusher.start()
    assert entered.wait(PATIENCE)
    pusher.close(0.01)
    leave.set()
    pusher._thread.join(PATIENCE)
    assert not pusher._thread.is_alive(), "it ends although the spool is closed"
    assert figures(pusher) == (True, 0, 1, 0), "kept: nobody could note that it arrived"


@given(
    st.lists(st.lists(st.integers(0, 99), max_size=7), max_size=8),
    st.integers(1, 5),
    st.integers(1, 12),
    st.lists(st.sampled_from([None, AWAY, BAD]), max_size=8),
)
def test_every_point_is_written_or_counted_or_kept(
    tmp_path_factory: pytest.TempPathFactory,
    collections: list[list[int]],
    batch_size: int,
    limit: int,
    answers: list[Exception | None],
) -> None:
    far_end = FarEnd(*answers)
    spool = Spool(tmp_path_factory.mktemp("spool"), limit=2**20, record_limit=limit)
    pusher = Pusher("far", far_end.write, spool, Flush(batch_size=batch_size, interval=LONG), NEVER)
    for numbers in collections:
        pusher.put(lines(*numbers))
        assert pusher.stats().waiting.records <= limit
    pusher.start()
    pusher.close(PATIENCE)
    stats = pusher.stats()
    assert stats.written == sum(map(len, far_end.accepted))
    assert stats.written + sum(stats.waiting.dropped.values()) + stats.waiting.records == sum(map(len, collections))
    assert all(len(batch) <= batch_size for batch in far_end.tried)


def test_waits_double_up_to_a_limit_and_vary() -> None:
    steady = Backoff(first=1, limit=10, chance=lambda: 0.0)
    assert [steady.wait(failures) for failures in (1, 2, 3, 4, 5, 2000)] == [1, 2, 4, 8, 10, 10]
    assert Backoff(first=1, limit=10, chance=lambda: 1.0).wait(5) == 5


def test_what_the_far_end_asks_for_is_granted_within_reason() -> None:
    backoff = Backoff(first=2, limit=10, chance=lambda: 0.0)
    assert [backoff.wait(1, asked) for asked in (None, 1, 30, 1e9)] == [2, 2, 30, 600]
