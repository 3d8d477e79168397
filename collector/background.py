"""Work that is too slow for a scrape: done apart, one run at a time, the last result kept with its time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from collector.clock import Clock

Result = TypeVar("Result")

BEHIND = 0.1  # seconds: the scrape that finds a run due is over by then, and shares no CPU with it

log = logging.getLogger(__name__)


class Background(Generic[Result]):
    """Runs `work` in a thread of its own when it is due; a run that hangs is waited for and not repeated.

    It begins a moment later, unless somebody waits for it.

    Args:
        every: seconds between the starts of two runs.
        monotonic: says when the next run is due; a clock that is set back must not delay it.

    Attributes:
        result: of the last run that ended well; None before that.
        last_success: when that was, Unix seconds.
        error: how the last run failed; None where it ended well, and before the first.
        duration: of the last run that ended, well or not, in seconds; None before that.
    """

    def __init__(
        self,
        name: str,
        every: float,
        work: Callable[[], Result],
        clock: Clock,
        *,
        monotonic: Clock = time.monotonic,
    ) -> None:
        self.result: Result | None = None
        self.last_success: float | None = None
        self.error: Exception | None = None
        self.duration: float | None = None
        self._name = name
        self._every = every
        self._work = work
        self._clock = clock
        self._monotonic = monotonic
        self._started: float | None = None
        self._wanted = threading.Event()
        self._idle = threading.Event()
        self._idle.set()

    @property
    def running_for(self) -> float:
        """Seconds since the run under way began; 0 where there is none."""
        return 0.0 if self._started is None or self._idle.is_set() else self._monotonic() - self._started

    def start_if_due(self) -> None:
        """Start the next run when its time has come and the last one is over."""
        now = self._monotonic()
        if not self._idle.is_set() or (self._started is not None and now - self._started < self._every):
            return
        self._started = now
        self._idle.clear()
        self._wanted.clear()
        try:
            threading.Thread(target=self._run_behind, name=self._name, daemon=True).start()
        except RuntimeError as error:  # no thread is to be had now
            self._failed(error)
            self._idle.set()

    def expire(self) -> None:
        """Make the next run due at once: what the last one found is of the past."""
        self._started = None

    def wait(self, seconds: float) -> None:
        """Give the run under way that much time: one that is quick is then no scrape behind."""
        self._wanted.set()
        self._idle.wait(seconds)

    def _run_behind(self) -> None:
        self._wanted.wait(BEHIND)
        self.run()

    def run(self) -> None:
        """One run; what fails keeps the last result, whose age then tells."""
        began = self._monotonic()
        try:
            self.result = self._work()
        except Exception as error:  # noqa: BLE001 - ends this run only, as it would end a gathering
            self._failed(error)
        else:
            self.error = None
            self.last_success = self._clock()
        finally:
            self.duration = self._monotonic() - began
            self._idle.set()

    def _failed(self, error: Exception) -> None:
        if self.error is None:
            log.warning("%s failed: %s", self._name, error)
        self.error = error
