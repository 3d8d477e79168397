import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from collector.errors import VdbmonError
from vdbmon.stack.lock import exclusive
from vdbmon.stack.steps import Steps
from vdbmon.stack.wait import wait_for


def test_a_step_is_one_line_with_its_time_and_what_was_waited_for() -> None:
    output = io.StringIO()
    moments = iter([10.0, 12.5])
    steps = Steps(Console(file=output), clock=lambda: next(moments))
    with steps.step("servers [agent]") as tell:
        tell("waiting for agent")
    assert output.getvalue().splitlines() == ["           waiting for agent", "    2.5 s  servers [agent]"]


def test_a_step_that_fails_claims_nothing() -> None:
    output = io.StringIO()
    steps = Steps(Console(file=output))
    with pytest.raises(VdbmonError), steps.step("servers"):
        raise VdbmonError("x", "broken")
    assert output.getvalue() == ""


def test_waiting_asks_at_least_once_and_stops_at_the_deadline() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    asked: list[float] = []

    def never() -> None:
        asked.append(now[0])

    assert wait_for(never, 1.0, poll=0.25, clock=lambda: now[0], sleep=sleep) is None
    assert asked == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert wait_for(lambda: now[0], 0.0, clock=lambda: now[0], sleep=sleep) == 1.0


def test_a_second_command_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    lock = tmp_path / "var" / "stack.lock"
    with exclusive(lock), pytest.raises(VdbmonError, match=f"pid {os.getpid()}") as caught, exclusive(lock):
        pass
    assert caught.value.code == "stack.locked"
    with exclusive(lock):
        pass
