"""Work that is too slow for a scrape: done apart, one run at a time, the last result kept with its time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")
Clock = Callable[[], float]

log = logging.getLogger(__name__)


class Background(Generic[Result]):
    """Runs `work` in a thread of its own when it is due; a run that hangs is waited for and not repeated.

    Args:
        every: seconds between the starts of two runs.
        monotonic: says when the next run is due; a clock that is set back must not delay it.

    Attributes:
        result: of the last run that ended well; None before that.
        last_success: when that was, Unix seconds.
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
        self._name = name
        self._every = every
        self._work = work
        self._clock = clock
        self._monotonic = monotonic
        self._started: float | None = None
        self._running = False
        self._failing = False

    def start_if_due(self) -> None:
        """Start the next run when its time has come and the last one is over."""
        now = self._monotonic()
        if self._running or (self._started is not None and now - self._started < self._every):
            return
        self._started = now
        self._running = True
        threading.Thread(target=self.run, name=self._name, daemon=True).start()

    def run(self) -> None:
        """One run; what fails keeps the last result, whose age then tells."""
        try:
            self.result = self._work()
        except (OSError, ValueError) as error:
            if not self._failing:
                log.warning("%s failed: %s", self._name, error)
            self._failing = True
        else:
            self._failing = False
            self.last_success = self._clock()
        finally:
            self._running = False
