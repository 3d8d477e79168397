import threading
import time

import pytest

from collector.errors import VdbmonError
from orchestrator.deadline import ask_all


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
