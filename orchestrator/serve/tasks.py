"""Periodic tasks: each in a thread of its own while it runs, so that one that hangs costs itself only."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from collector.errors import VdbmonError
from collector.quantities import Seconds
from orchestrator.placement.scheduler import Scheduler

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Something that serve does again and again while it holds the lease.

    Attributes:
        name: the label of its metrics.
        every: from one start to the next after a run that went well; one that failed is tried again on the next beat.
        deadline: how long a run may take before it counts as failed; the beat goes on meanwhile. None for one beat.
        run: the work; its scheduler acts only as long as the lease is held. What it raises ends this run only.
    """

    name: str
    every: Seconds = 0.0
    deadline: Seconds | None = None
    run: Callable[[Scheduler], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """How a task fares; times in seconds.

    Attributes:
        error: why the last run failed, or that one hangs; None where all is well.
        last_success: Unix time.
    """

    name: str
    error: str | None
    duration: Seconds
    last_success: float | None
    errors: int


class TaskRunner:
    """Runs one task when it is due; a run that hangs is waited for and not repeated."""

    def __init__(
        self,
        task: Task,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._task = task
        self._clock = clock
        self._monotonic = monotonic
        self._idle = threading.Event()
        self._idle.set()
        self._started: float | None = None
        self._late = False
        self._duration: Seconds = 0.0
        self._error: str | None = None
        self._errors = 0
        self._last_success: float | None = None

    def start_if_due(self, scheduler: Scheduler) -> None:
        """Begin a run when its time has come and the last one is over."""
        now = self._monotonic()
        waits = self._started is not None and self._error is None and now - self._started < self._task.every
        if not self._idle.is_set() or waits:
            return
        self._started, self._late = now, False
        self._idle.clear()
        threading.Thread(target=self._run, args=(scheduler,), name=self._task.name, daemon=True).start()

    def wait(self, seconds: Seconds) -> bool:
        """Wait for the run under way; whether there is none any more."""
        return self._idle.wait(max(seconds, 0.0))

    def state(self) -> TaskState:
        """How it fares now."""
        return TaskState(
            name=self._task.name,
            error=self._error,
            duration=max(self._duration, self._running()),
            last_success=self._last_success,
            errors=self._errors,
        )

    def note_overrun(self, beat: Seconds) -> None:
        """Note once that the run under way takes too long; how it ends counts again."""
        deadline = beat if self._task.deadline is None else self._task.deadline
        if not self._idle.is_set() and not self._late and self._running() >= deadline:
            self._late = True
            self._fail(f"no end within {deadline:g} s")

    def _running(self) -> Seconds:
        return 0.0 if self._idle.is_set() or self._started is None else self._monotonic() - self._started

    def _run(self, scheduler: Scheduler) -> None:
        began = self._monotonic()
        try:
            self._task.run(scheduler)
        except VdbmonError as error:
            self._fail(str(error))
        except Exception as error:
            logger.debug("task %s", self._task.name, exc_info=True)
            self._fail(repr(error))
        else:
            self._succeed()
        finally:
            self._duration = self._monotonic() - began
            self._idle.set()

    def _succeed(self) -> None:
        if self._error is not None:
            logger.info("task %s is well again", self._task.name)
        self._error = None
        self._last_success = self._clock()

    def _fail(self, reason: str) -> None:
        self._errors += 1
        if reason != self._error:
            logger.warning("task %s: %s", self._task.name, reason)
        self._error = reason
