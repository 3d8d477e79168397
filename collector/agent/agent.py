"""The agent: one collection shared by the scrapes and the pushes that come close together."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from collector.agent.lanes import Lanes
from collector.agent.runner import InputRunner
from collector.clock import Clock
from collector.inputs.internal import InputState
from collector.metrics import Sample

LEAST_FOR_A_STAGE = 0.2  # seconds, also after one that hangs: what says so comes last


@dataclass(frozen=True, slots=True)
class Collection:
    """All samples of one moment; times are Unix seconds.

    Attributes:
        gathered: when the inputs with an interval of their own were gathered, by name; the others were at `taken_at`.
    """

    taken_at: float
    samples: tuple[Sample, ...]
    gathered: Mapping[str, float] = field(default_factory=dict)


class Collector:
    """Gathers the stages one after the other, the inputs of a stage without waiting for slow ones among them.

    The first stage refreshes what later stages read (the container index); the last one reports on all others.

    Args:
        deadline: seconds that a whole collection may take; inputs that are not ready by then are left out of it. A
            stage has LEAST_FOR_A_STAGE in any case.
        min_age: seconds in which a collection is given again instead of made anew.
    """

    def __init__(
        self,
        stages: Sequence[Sequence[InputRunner]],
        *,
        deadline: float,
        min_age: float,
        clock: Clock = time.time,
        monotonic: Clock = time.monotonic,
    ) -> None:
        self._stages = stages
        self._deadline = deadline
        self._min_age = min_age
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._last: tuple[float, Collection] | None = None
        self._closed = False
        self._lanes = Lanes()

    def collect(self) -> Collection:
        """A collection not older than `min_age`."""
        with self._lock:
            now = self._monotonic()
            if self._last is not None and (self._closed or now - self._last[0] < self._min_age):
                return self._last[1]
            taken_at = self._clock()
            samples: list[Sample] = []
            for stage in self._stages:
                due = [runner.gather for runner in stage if runner.begin()]
                self._lanes.run(due, max(self._deadline - (self._monotonic() - now), LEAST_FOR_A_STAGE))
                for runner in stage:
                    samples.extend(runner.finish())
            collection = Collection(taken_at, tuple(samples), self._gathered())
            self._last = (now, collection)
            return collection

    @property
    def age(self) -> float | None:
        """Seconds since the last collection began that has ended; None before that."""
        return None if self._last is None else self._monotonic() - self._last[0]

    def close(self) -> None:
        """End the inputs once no collection is under way; whoever still asks gets the last one."""
        with self._lock:
            self._closed = True
            self._last = self._last or (0.0, Collection(self._clock(), ()))
            for stage in self._stages:
                for runner in stage:
                    runner.close()
            self._lanes.close()

    def _gathered(self) -> dict[str, float]:
        runners = [runner for stage in self._stages for runner in stage]
        return {runner.source.name: since for runner in runners if (since := runner.held_since) is not None}

    def states(self) -> list[InputState]:
        """How every input fares."""
        return [runner.state() for stage in self._stages for runner in stage]
