import os
import signal
import threading

import pytest

from collector.errors import VdbmonError
from orchestrator.launch import STEP_SECONDS, StepOverdueError
from orchestrator.launch.deadlines import act_within
from orchestrator.reconcile import SILENT_AFTER


def test_an_act_that_ends_in_time_is_done() -> None:
    done: list[int] = []
    act_within(5.0, lambda: done.append(1))
    assert done == [1]


def test_an_error_of_the_act_is_the_callers() -> None:
    def fail() -> None:
        raise VdbmonError("volume.busy", "in use")

    with pytest.raises(VdbmonError) as caught:
        act_within(5.0, fail)
    assert caught.value.code == "volume.busy"


def test_a_timeout_of_the_act_itself_is_no_overdue_step() -> None:
    def fail() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        act_within(5.0, fail)


def test_an_act_that_hangs_costs_its_deadline_and_no_more() -> None:
    go_on = threading.Event()

    def hang() -> None:
        go_on.wait(60.0)

    with pytest.raises(StepOverdueError, match=r"within 0.05 s"):
        act_within(0.05, hang)
    go_on.set()


def test_an_interrupt_lets_the_act_end_first() -> None:
    begun, ended = threading.Event(), threading.Event()

    def act() -> None:
        begun.set()
        os.kill(os.getpid(), signal.SIGINT)  # to the waiting thread
        ended.wait(0.2)
        ended.set()

    with pytest.raises(KeyboardInterrupt):
        act_within(10.0, act)
    assert begun.is_set()
    assert ended.is_set()


def test_an_owner_is_taken_for_dead_only_after_his_longest_step() -> None:
    assert max(STEP_SECONDS.values()) + 60.0 <= SILENT_AFTER
