"""One input apart from the others: when it is due, what its last gathering brought, and how it fares."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from collector.clock import Clock
from collector.inputs.internal import InputState
from collector.metrics import PartialGathering, Sample
from collector.sample_filter import SampleFilter

log = logging.getLogger(__name__)


_EARLY = 0.5  # seconds that a collection may come before an interval has passed: scrapes are not that punctual


class Input(Protocol):
    """A source of samples. A gathering may be slow, fail or hang; it costs no other input anything."""

    @property
    def name(self) -> str:
        """Its name in the configuration and in `vdbmon_input_*`."""
        ...

    def gather(self) -> Sequence[Sample]:
        """Read the source now. Any exception is the end of this gathering only; PartialGathering saves a part of it."""
        ...


@runtime_checkable
class Closeable(Protocol):
    """An input that holds descriptors or connections."""

    def close(self) -> None:
        """Give them back; it is gathered no more."""
        ...


class InputRunner:
    """Gathers one input on demand. While a gathering hangs, later ones are refused instead of queued.

    `begin` and `finish` are called by the collecting thread, `gather` by any thread in between. Threads isolate what
    fails or is slow (`collector.agent.lanes`); what can hang in the kernel is in child processes (`collector.statvfs`).

    Args:
        clock: Unix seconds, for what is told; what is measured and waited for is in seconds of `monotonic`.
        interval: seconds from one gathering to the next, between which the last result is given again; None to gather
            whenever it is asked for.
        sample_filter: which samples there are; None for all.
    """

    def __init__(
        self,
        source: Input,
        clock: Clock,
        *,
        monotonic: Clock = time.monotonic,
        interval: float | None = None,
        sample_filter: SampleFilter | None = None,
    ) -> None:
        self.source = source
        self._clock = clock
        self._monotonic = monotonic
        self._interval = interval
        self._filter = sample_filter
        self._last_begun: float | None = None
        self._last_started = float("-inf")
        self._held: Sequence[Sample] = ()
        self._resting = False
        self._ending = threading.Lock()
        self._closing = False
        self._done = False
        self._started: float | None = None
        self._result: Sequence[Sample] | None = None
        self._begun = False
        self._duration = 0.0
        self._last_success: float | None = None
        self._samples = 0
        self._errors = 0
        self._up = False

    @property
    def held_since(self) -> float | None:
        """When the gathering began whose result is given again; None where there is no interval."""
        return None if self._interval is None else self._last_begun

    def begin(self) -> bool:
        """Whether `gather` is to be called now: one is due, and the last one does not hang.

        What that one brings in the end is old and dropped, if it is not to be given until the next one anyway.
        """
        free = self._started is None or self._done
        self._resting = free and self._is_fresh()
        self._begun = free and not self._resting
        if self._begun:
            self._last_begun = self._clock()
            self._started = self._last_started = self._monotonic()
            self._result = None
            self._done = False
        return self._begun

    def gather(self) -> None:
        """Gather once; what goes wrong is kept for `finish` and `state`."""
        began = self._monotonic()
        try:
            self._result = self._filtered(self.source.gather())
        except Exception as error:  # noqa: BLE001 - an input's failure is its own
            if self._up or self._errors == 0:
                log.warning("input %s failed: %s: %s", self.source.name, type(error).__name__, error)
            self._result = self._filtered(error.samples) if isinstance(error, PartialGathering) else None
            self._samples = len(self._result or ())
            self._errors += 1
            self._up = False
        else:
            self._up = True
            self._last_success = self._clock()
            self._samples = len(self._result)
        self._duration = self._monotonic() - began
        with self._ending:
            self._done = True
            if self._closing:
                self._close_source()

    def finish(self) -> Sequence[Sample]:
        """Samples of the last gathering; none if it failed or has not ended by now."""
        if self._resting and self._started is None:
            return self._held
        if not (self._begun or self._resting) or not self._done:
            if self._up:
                log.warning("input %s hangs: no result after %.1f s", self.source.name, self.state().duration)
            self._errors += 1
            self._up = False
            return ()
        self._started = None
        result, self._result = self._result or (), None
        self._held = () if self._interval is None else result
        return result

    def close(self) -> None:
        """Give back what the input holds, as soon as no gathering is under way; it is gathered no more."""
        with self._ending:
            under_way = self._started is not None and not self._done
            self._closing = True
            if not under_way:
                self._close_source()

    def _close_source(self) -> None:
        if isinstance(self.source, Closeable):
            self.source.close()

    def _is_fresh(self) -> bool:
        """Whether the last gathering is younger than the interval."""
        if self._interval is None:
            return False
        early = min(self._interval / 10, _EARLY)
        return self._monotonic() - self._last_started < self._interval - early

    def state(self) -> InputState:
        """How it fares now; a gathering under way counts with the time it has taken so far."""
        waiting = 0.0 if self._started is None else self._monotonic() - self._started
        return InputState(
            name=self.source.name,
            up=self._up,
            duration=max(self._duration, waiting),
            last_success=self._last_success,
            samples=self._samples,
            errors=self._errors,
        )

    def _filtered(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        return samples if self._filter is None else self._filter(samples)
