"""Work that is slow or may hang, done apart from the scrapes: one run at a time, the last result kept.

A run that hangs is never joined by a second one. It costs one thread and what it was to bring; what can hang in the
kernel belongs into a child process that the run waits for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Found = TypeVar("Found")
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Found]):
    """What is known after the last finished run; times are Unix seconds.

    Attributes:
        value: what the last run that ended well found; None before.
        error: how the last run failed; None where it ended well.
        last_success: when a run last ended well.
    """

    value: Found | None = None
    error: Exception | None = None
    last_success: float | None = None


class SlowLane(Generic[Found]):
    """Runs `work` in a thread of its own whenever it is asked and the last start was `every` seconds ago or more."""

    def __init__(self, name: str, work: Callable[[], Found], every: float, clock: Clock) -> None:
        self._name = name
        self._work = work
        self._every = every
        self._clock = clock
        self._started: float | None = None
        self._idle = threading.Event()
        self._idle.set()
        self._outcome: Outcome[Found] = Outcome()

    def poll(self, wait: float = 0.0) -> Outcome[Found]:
        """Start a run if one is due, wait for it up to `wait` seconds, and give what is known then."""
        now = self._clock()
        # A clock that was set back makes a run due, or there would be none until it has caught up.
        due = self._started is None or not 0 <= now - self._started < self._every
        if due and self._idle.is_set():
            self._started = now
            self._idle.clear()
            threading.Thread(target=self._run, name=self._name, daemon=True).start()
        self._idle.wait(wait)
        return self._outcome

    def _run(self) -> None:
        before = self._outcome
        try:
            value = self._work()
        except Exception as error:  # noqa: BLE001 - told to whoever asks
            self._outcome = Outcome(before.value, error, before.last_success)
        else:
            self._outcome = Outcome(value, None, self._clock())
        finally:
            self._idle.set()
