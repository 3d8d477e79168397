"""Runs one input apart from the others: a thread of its own, a deadline, and a record of how it fares."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from collector.inputs.internal import InputState
from collector.metrics import PartialGathering, Sample

log = logging.getLogger(__name__)

Clock = Callable[[], float]


class Input(Protocol):
    """A source of samples. A gathering may be slow, fail or hang; it costs no other input anything."""

    @property
    def name(self) -> str:
        """Its name in the configuration and in `vdbmon_input_*`."""
        ...

    def gather(self) -> Sequence[Sample]:
        """Read the source now. Any exception is the end of this gathering only; PartialGathering saves a part of it."""
        ...


class InputRunner:
    """Gathers one input on demand. While a gathering hangs, later ones are refused instead of queued.

    Threads isolate what fails or is slow. What can hang in the kernel is in child processes (`collector.statvfs`).
    """

    def __init__(self, source: Input, deadline: float, clock: Clock) -> None:
        self.source = source
        self._deadline = deadline
        self._clock = clock
        self._asked = threading.Event()
        self._done = threading.Event()
        self._started: float | None = None
        self._result: Sequence[Sample] | None = None
        self._begun = False
        self._duration = 0.0
        self._last_success: float | None = None
        self._samples = 0
        self._errors = 0
        self._up = False
        threading.Thread(target=self._loop, name=f"input-{source.name}", daemon=True).start()

    def begin(self) -> None:
        """Start a gathering, unless the last one still hangs; what that one brings in the end is old and dropped."""
        self._begun = self._started is None or self._done.is_set()
        if self._begun:
            self._started = self._clock()
            self._result = None
            self._done.clear()
            self._asked.set()

    def finish(self, remaining: float) -> Sequence[Sample]:
        """Samples of the gathering that `begin` started; none if it failed or does not end in `remaining` seconds."""
        if not self._begun or not self._done.wait(max(remaining, 0.0)):
            if self._up:
                log.warning("input %s hangs: no result after %.1f s", self.source.name, self._deadline)
            self._errors += 1
            self._up = False
            return ()
        self._started = None
        result, self._result = self._result, None
        return result or ()

    def state(self) -> InputState:
        """How it fares now; a gathering under way counts with the time it has taken so far."""
        waiting = 0.0 if self._started is None else max(self._clock() - self._started, 0.0)
        return InputState(
            name=self.source.name,
            up=self._up,
            duration=max(self._duration, waiting),
            last_success=self._last_success,
            samples=self._samples,
            errors=self._errors,
        )

    def _loop(self) -> None:
        while True:
            self._asked.wait()
            self._asked.clear()
            began = self._clock()
            try:
                self._result = self.source.gather()
            except Exception as error:  # noqa: BLE001 - an input's failure is its own
                if self._up or self._errors == 0:
                    log.warning("input %s failed: %s: %s", self.source.name, type(error).__name__, error)
                self._result = error.samples if isinstance(error, PartialGathering) else None
                self._samples = len(self._result or ())
                self._errors += 1
                self._up = False
            else:
                self._up = True
                self._last_success = self._clock()
                self._samples = len(self._result)
            self._duration = max(self._clock() - began, 0.0)
            self._done.set()
