import threading
import time

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

    answers = ask_all({**quick, 99: hang}, seconds=30, stragglers=Stragglers(0.1, frozenset({0})))
    assert not ended.is_set()
    assert answers == dict.fromkeys(quick, 1)
    assert ask_all({**quick, 99: slow}, seconds=30, stragglers=Stragglers(0.1, frozenset({99})))[99] == 2
    assert ask_all({1: lambda: 1, 99: slow}, seconds=30, stragglers=Stragglers(0.0, frozenset()))[99] == 2
    release.set()
