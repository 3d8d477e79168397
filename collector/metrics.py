"""What a metric and a sample are.

A metric is declared once, as data, in the file of the input that emits it. Its identity is its Prometheus name;
the telegraf names are a projection (`collector.projections.telegraf`). Values are in base units: seconds, bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """How a value behaves over time; the words are those of the Prometheus exposition format."""

    COUNTER = "counter"
    GAUGE = "gauge"
    INFO = "info"


class Unit(StrEnum):
    """Base units. `NONE` is a plain count or a state."""

    NONE = ""
    BYTES = "bytes"
    SECONDS = "seconds"
    TIMESTAMP = "timestamp seconds"
    CORES = "cores"
    MICROSECONDS = "microseconds"


class Stability(StrEnum):
    """What a reader may rely on: a stable name is not changed without a major version."""

    STABLE = "stable"
    ALPHA = "alpha"


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One declared metric. Compared by identity: there is one object per name.

    Attributes:
        name: the Prometheus name, unit and `_total` included.
        labels: label names in the order in which samples give the values. The outputs add `host` to all.
        help: one sentence for the exposition and `docs/metrics.md`.
    """

    name: str
    kind: Kind
    help: str
    unit: Unit = Unit.NONE
    labels: tuple[str, ...] = ()
    stability: Stability = Stability.STABLE

    def sample(self, value: float, *labels: str) -> Sample:
        """One value of this metric, with label values in the order of `self.labels`."""
        return Sample(self, labels, value)


class Sample(NamedTuple):
    """One measured value; `labels` are the values that belong to `metric.labels`."""

    metric: Metric
    labels: tuple[str, ...]
    value: float


class PartialGathering(Exception):  # noqa: N818 - it brings a result
    """Raised by an input that could read only a part of its sources: that gathering has failed, and has samples."""

    def __init__(self, reason: str, samples: Sequence[Sample]) -> None:
        super().__init__(reason)
        self.samples = samples


def declared(namespace: Iterable[object]) -> tuple[Metric, ...]:
    """The metrics among the values of a module's namespace, in their order of declaration."""
    found: list[Metric] = []
    for value in namespace:
        if isinstance(value, Metric):
            found.append(value)
        elif isinstance(value, tuple):
            found.extend(item for item in value if isinstance(item, Metric))
        elif isinstance(value, dict):
            found.extend(item for item in value.values() if isinstance(item, Metric))
    return tuple(dict.fromkeys(found))


def counter(name: str, text: str, *labels: str, unit: Unit = Unit.NONE) -> Metric:
    """Declare a value that only grows while its source lives."""
    return Metric(name, Kind.COUNTER, text, unit, labels)


def gauge(name: str, text: str, *labels: str, unit: Unit = Unit.NONE) -> Metric:
    """Declare a value that goes up and down."""
    return Metric(name, Kind.GAUGE, text, unit, labels)


def info(name: str, text: str, *labels: str) -> Metric:
    """Declare a constant 1 whose labels carry what must not label a data series (ids, pids, versions)."""
    return Metric(name, Kind.INFO, text, Unit.NONE, labels)
