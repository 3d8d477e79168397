"""Tasks and the beat that runs them: one that hangs or fails costs itself only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import pytest

from collector.errors import VdbmonError
from orchestrator.placement.scheduler import Scheduler
from orchestrator.serve.beat import Beat, Watch
from orchestrator.serve.findings import Findings
from orchestrator.serve.tasks import Task, TaskRunner
from tests.support.wait import wait_until

NOBODY = cast("Scheduler", None)
DEADLINE = 10.0


def hang_until(leave: threading.Event, _: Scheduler) -> None:
    leave.wait(DEADLINE)


class Times:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def runner(run: Callable[[Any], None], times: Times, **more: Any) -> TaskRunner:
    return TaskRunner(Task(name="task", run=run, **more), clock=lambda: 5.0, monotonic=times)


def test_one_that_went_well_waits_for_its_time() -> None:
    times, runs = Times(), list[float]()
    task = runner(lambda _: runs.append(times.now), times, every=60.0)
    for _ in range(3):
        task.start_if_due(NOBODY)
        assert task.wait(DEADLINE)
        times.now += 30
    assert runs == [1000.0, 1060.0]
    assert (task.state().error, task.state().last_success, task.state().errors) == (None, 5.0, 0)


def test_one_that_failed_is_tried_again_on_the_next_beat(caplog: pytest.LogCaptureFixture) -> None:
    times = Times()
    answers = iter([VdbmonError("x", "the ledger is away"), RuntimeError("a bug"), None])

    def run(_: Any) -> None:
        error = next(answers)
        if error is not None:
            raise error

    task = runner(run, times, every=3600.0)
    said = []
    for _ in range(3):
        task.start_if_due(NOBODY)
        assert task.wait(DEADLINE)
        said.append(task.state().error)
        times.now += 1
    assert said == ["the ledger is away", "RuntimeError('a bug')", None]
    assert task.state().errors == 2
    assert [record.getMessage() for record in caplog.records] == [
        "task task: the ledger is away",
        "task task: RuntimeError('a bug')",
    ]


def test_one_that_hangs_is_not_repeated_and_counts_once() -> None:
    times, leave = Times(), threading.Event()
    runs = list[int]()

    def hang(_: Any) -> None:
        runs.append(1)
        assert leave.wait(DEADLINE)

    task = runner(hang, times)
    task.start_if_due(NOBODY)
    for _ in range(3):
        times.now += 10
        task.note_overrun(10.0)
        task.start_if_due(NOBODY)
    state = task.state()
    assert (state.error, state.errors, state.duration, state.last_success) == ("no end within 10 s", 1, 30.0, None)
    leave.set()
    assert task.wait(DEADLINE)
    assert len(runs) == 1
    assert (task.state().error, task.state().last_success) == (None, 5.0)


def test_a_task_with_a_longer_deadline_may_outlast_a_beat() -> None:
    times, leave = Times(), threading.Event()
    task = runner(partial(hang_until, leave), times, deadline=120.0)
    task.start_if_due(NOBODY)
    times.now += 119
    task.note_overrun(10.0)
    assert task.state().error is None
    times.now += 1
    task.note_overrun(10.0)
    assert task.state().error == "no end within 120 s"
    leave.set()
    assert task.wait(DEADLINE)


@pytest.fixture
def leave() -> Iterator[threading.Event]:
    """Set at the end, so that nothing hangs on."""
    event = threading.Event()
    yield event
    event.set()


def watch(*tasks: Task, token: int = 1) -> Watch:
    findings = Findings(stale_after=60.0, leaks_stale_after=60.0, history_stale_after=60.0)
    return Watch(token, NOBODY, findings, [TaskRunner(task) for task in tasks])


def test_the_beat_goes_on_beside_a_task_that_hangs(leave: threading.Event) -> None:
    runs = list[int]()
    tasks = (
        Task(name="hangs", run=partial(hang_until, leave)),
        Task(name="works", run=lambda _: runs.append(1)),
    )
    now = watch(*tasks)
    beat = Beat(lambda: now, 0.05)
    beat.start()
    wait_until(lambda: len(runs) >= 3, deadline=DEADLINE, what="three beats")
    state = wait_until(beat.state, deadline=DEADLINE, what="a beat ended")
    assert not state.successful
    assert {task.name: task.error for task in beat.tasks()} == {"hangs": "no end within 0.05 s", "works": None}
    leave.set()
    wait_until(lambda: (last := beat.state()) and last.successful, deadline=DEADLINE, what="all is well again")
    beat.stop(DEADLINE)


def test_without_the_lease_nothing_is_run_and_what_was_is_not_told() -> None:
    runs = list[int]()
    held: list[Watch | None] = [watch(Task(name="works", run=lambda _: runs.append(1)))]
    beat = Beat(lambda: held[0], 0.01)
    beat.start()
    wait_until(beat.state, deadline=DEADLINE, what="a beat")
    held[0] = None
    wait_until(lambda: beat.state() is None, deadline=DEADLINE, what="the lease is gone")
    count = len(runs)
    assert beat.tasks() == ()
    assert beat.turned(within=DEADLINE)
    held[0] = watch(Task(name="works", run=lambda _: runs.append(1)), token=2)
    wait_until(lambda: len(runs) > count, deadline=DEADLINE, what="it beats again")
    beat.stop(DEADLINE)


def test_stopping_waits_for_the_run_under_way(leave: threading.Event) -> None:
    entered, ended = threading.Event(), threading.Event()

    def work(_: Any) -> None:
        entered.set()
        leave.wait(DEADLINE)
        ended.set()

    now = watch(Task(name="works", run=work))
    beat = Beat(lambda: now, 0.01)
    beat.start()
    assert entered.wait(DEADLINE)
    threading.Timer(0.1, leave.set).start()
    beat.stop(DEADLINE)
    assert ended.is_set()
