import math
import threading
import time
from collections.abc import Iterator

import pytest

from collector.errors import VdbmonError
from orchestrator.survey.deadline import Stragglers, ask_all


def test_answers_and_errors_come_by_key_and_a_hung_call_is_absent() -> None:
    release = threading.Event()
    failure = VdbmonError("x.y", "no")

    def fail() -> str:
        raise failure

    def hang() -> str:
        release.wait(30)
        return "late"

    started = time.monotonic()
    answers = ask_all({"a": lambda: "one", "b": fail, "c": hang}, seconds=0.2)
    release.set()
    assert answers == {"a": "one", "b": failure}
    assert time.monotonic() - started < 5


def test_no_time_is_lost_when_all_have_answered() -> None:
    started = time.monotonic()
    assert ask_all({number: lambda: 1 for number in range(50)}, seconds=30) == dict.fromkeys(range(50), 1)
    assert time.monotonic() - started < 5


def test_a_fault_of_ours_is_not_taken_for_an_answer() -> None:
    def broken() -> str:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        ask_all({"a": broken}, seconds=5)


def test_nobody_to_ask() -> None:
    assert ask_all({}, seconds=5) == {}


class Slow:
    """Answers after so many seconds, or when the test ends."""

    def __init__(self, release: threading.Event, seconds: float) -> None:
        self._release, self._seconds = release, seconds

    def __call__(self) -> float:
        self._release.wait(self._seconds)
        return self._seconds


@pytest.fixture
def release() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


FEW = Stragglers(last_tenth=0.3, others={"slow": 2.0}.get, awaited=frozenset({"watched"}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answered", "missing", "patience"),
    [
        ({"watched"}, {"alone"}, math.inf),
        ({"watched"}, {"a", "b"}, math.inf),
        ({"a", "b"}, {"watched"}, math.inf),
        ({"watched", "a"}, {"slow"}, 2.0),
        ({"watched", *map(str, range(9))}, {"slow"}, 0.3),
        ({"watched", *map(str, range(7))}, {"slow"}, 2.0),
    ],
)
def test_who_is_behind_and_how_long_he_is_waited_for(answered: set[str], missing: set[str], patience: float) -> None:
    assert FEW.patience(answered, answered | missing) == patience


def test_those_who_may_take_longer_are_waited_for_longer() -> None:
    stragglers: Stragglers[str] = Stragglers(last_tenth=0.0, others={"quick": 1.0, "slow": 2.0}.__getitem__)
    assert stragglers.patience({"a"}, {"a", "quick"}) == 1.0
    assert stragglers.patience({"a"}, {"a", "quick", "slow"}) == 2.0


@pytest.mark.parametrize("others", [1, 2, 5])
def test_one_of_a_few_that_hangs_is_left_behind(release: threading.Event, others: int) -> None:
    calls = {"hangs": Slow(release, 60), **{f"host{number}": Slow(release, 0) for number in range(others)}}
    stragglers: Stragglers[str] = Stragglers(last_tenth=0.05, others=lambda _: 0.2)
    assert ask_all(calls, seconds=60.0, stragglers=stragglers).keys() == calls.keys() - {"hangs"}


def test_each_answer_renews_the_patience(release: threading.Event) -> None:
    calls = {f"host{number}": Slow(release, number * 0.5) for number in range(5)}
    stragglers: Stragglers[str] = Stragglers(last_tenth=0.05, others=lambda _: 1.8)
    assert ask_all(calls, seconds=60.0, stragglers=stragglers).keys() == calls.keys()


def test_stragglers_are_not_waited_for_unless_they_are_awaited() -> None:
    release, ended = threading.Event(), threading.Event()
    quick = {number: lambda: 1 for number in range(20)}

    def hang() -> int:
        release.wait(30)
        ended.set()
        return 2

    def slow() -> int:
        release.wait(1.0)
        return 2

    answers = ask_all({**quick, 99: hang}, seconds=30, stragglers=Stragglers(last_tenth=0.1, awaited=frozenset({0})))
    assert not ended.is_set()
    assert answers == dict.fromkeys(quick, 1)
    assert (
        ask_all({**quick, 99: slow}, seconds=30, stragglers=Stragglers(last_tenth=0.1, awaited=frozenset({99})))[99]
        == 2
    )
    assert ask_all({1: lambda: 1, 99: slow}, seconds=30, stragglers=Stragglers(last_tenth=0.0))[99] == 2
    release.set()
