"""The beat: while the lease is held, the tasks that are due are run, side by side, again and again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from collector.quantities import Seconds
from orchestrator.placement.scheduler import Scheduler
from orchestrator.serve.findings import Findings
from orchestrator.serve.tasks import TaskRunner, TaskState

_LOOK_EVERY: Seconds = 0.5  # for the lease, and that nobody told this thread to stop


@dataclass(frozen=True, slots=True, kw_only=True)
class BeatState:
    """The last beat.

    Attributes:
        ended_at: seconds since the epoch.
        successful: every task that was due ended well and in time, and no older run hangs.
    """

    ended_at: float
    duration: Seconds
    successful: bool


@dataclass(frozen=True, slots=True)
class Watch:
    """One time of holding the lease: its token, the scheduler that acts under it, its tasks and what they found."""

    token: int
    scheduler: Scheduler
    findings: Findings
    runners: Sequence[TaskRunner]


class Beat:
    """Runs in a thread of its own.

    Args:
        watch: the one of now; None while the lease isn't held.
        interval: from one beat to the next, and the longest that a beat waits for its tasks.
    """

    def __init__(
        self,
        watch: Callable[[], Watch | None],
        interval: Seconds,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._watch = watch
        self._interval = interval
        self._clock = clock
        self._monotonic = monotonic
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="beat", daemon=True)
        self._turned_at = monotonic()
        self._current: Watch | None = None
        self._state: BeatState | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, deadline: Seconds) -> None:
        """Begin no further run, and wait that long for those under way."""
        self._stop.set()
        until = self._monotonic() + deadline
        self._thread.join(deadline)
        for runner in self._current.runners if self._current else ():
            runner.wait(self._left(until))

    def turned(self, within: Seconds) -> bool:
        """Whether the loop has gone round in the last seconds, with the lease or without."""
        return self._monotonic() - self._turned_at <= within

    def state(self) -> BeatState | None:
        """The last beat since the lease is held; None before the first."""
        return self._state if self._current is not None else None

    def tasks(self) -> tuple[TaskState, ...]:
        """How the tasks fare; none while the lease isn't held."""
        current = self._current
        return tuple(runner.state() for runner in current.runners) if current else ()

    def _run(self) -> None:
        due = self._monotonic()
        while not self._stop.wait(_LOOK_EVERY if self._current is None else min(self._left(due), _LOOK_EVERY)):
            self._turned_at = self._monotonic()
            watch = self._watch()
            if watch is not self._current:
                self._current, self._state, due = watch, None, self._monotonic()
            if watch is not None and self._left(due) == 0:
                due = self._monotonic() + self._interval
                self._beat(watch)

    def _left(self, until: float) -> Seconds:
        return max(until - self._monotonic(), 0.0)

    def _beat(self, watch: Watch) -> None:
        began = self._monotonic()
        for runner in watch.runners:
            runner.start_if_due(watch.scheduler)
        until = began + self._interval
        for runner in watch.runners:
            while not runner.wait(min(self._left(until), _LOOK_EVERY)):
                self._turned_at = self._monotonic()
                if self._stop.is_set():
                    return
                if self._left(until) == 0:
                    runner.note_overrun(self._interval)
                    break
        self._state = BeatState(
            ended_at=self._clock(),
            duration=self._monotonic() - began,
            successful=all(runner.state().error is None for runner in watch.runners),
        )
