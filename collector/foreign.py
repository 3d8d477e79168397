"""Metrics that nobody declared: what the commands of the exec input print.

Inputs emit only what is declared, so that rules and panels can rely on names. A command's names are not known before it
runs; they are the one exception, and kept apart: a foreign metric is made when its name comes up, is of alpha
stability, in no catalogue, and no rule or panel of ours can refer to it. It may not begin as a declared one does
(`vdbmon_`, `container_`, `node_`, ...), so it can neither pass for one of ours nor stand in the way of one to come.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from collector.metrics import Kind, Metric, Sample, Stability, Unit
from collector.projections.point import Point

# Prometheus and our outputs set these themselves.
_RESERVED_LABELS = frozenset({"host", "job", "instance"})
_RESERVED_NAMES = frozenset({"up", "ALERTS", "ALERTS_FOR_STATE"})
_SCRAPE_PREFIX = "scrape_"
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_ODD_IN_NAME = re.compile(r"[^a-zA-Z0-9_:]")
_ODD_IN_LABEL = re.compile(r"[^a-zA-Z0-9_]")
_HELP = "Printed by a command of the exec input."


@dataclass(frozen=True, slots=True, eq=False)
class ForeignMetric(Metric):
    """A metric made while the agent runs.

    Attributes:
        measurement: where it goes in InfluxDB, with `field`; empty for what has no place of its own there.
        whole: whether InfluxDB has it as an integer.
    """

    measurement: str = ""
    field: str = ""
    whole: bool = False


@dataclass(frozen=True, slots=True)
class ForeignValue:
    """One value that a command printed, by its Prometheus name; `measurement` and `field` if it came as such."""

    name: str
    labels: Mapping[str, str]
    value: float
    kind: Kind = Kind.GAUGE
    measurement: str = ""
    field: str = ""
    whole: bool = False


def values_of_point(point: Point, prefix: str = "") -> tuple[list[ForeignValue], int]:
    """The numbers of a point as Prometheus names them, and how many of its fields are none or have doubtful tags.

    As telegraf's prometheus_client output does: measurement and field joined, `value` left out, other characters than
    Prometheus allows replaced by underscores.
    """
    labels = {_label(name): value for name, value in point.tags}
    if len(labels) < len(point.tags):
        return [], len(point.fields)
    values = []
    for field, number in point.fields.items():
        if not isinstance(number, str):
            measurement = prefix + point.measurement
            name = _ODD_IN_NAME.sub("_", measurement if field == "value" else f"{measurement}_{field}")
            whole = isinstance(number, int) and not isinstance(number, bool)
            values.append(
                ForeignValue(_not_a_number(name), labels, float(number), Kind.GAUGE, measurement, field, whole)
            )
    return values, len(point.fields) - len(values)


class ForeignMetrics:
    """Makes metrics for the values that commands print, and keeps those that are in use.

    Args:
        declared: the names of the catalogue.
    """

    def __init__(self, declared: Iterable[str]) -> None:
        self._prefixes = tuple({f"{name.partition('_')[0]}_" for name in declared} | {_SCRAPE_PREFIX})
        self._known: dict[tuple[object, ...], ForeignMetric] = {}

    def refusal(self, value: ForeignValue) -> str | None:
        """Why this value can't be a sample, in one word; None if it can."""
        if not _NAME.fullmatch(value.name):
            return "bad_name"
        if value.name in _RESERVED_NAMES or value.name.startswith(self._prefixes):
            return "reserved_name"
        if any(label in _RESERVED_LABELS or label.startswith("__") for label in value.labels):
            return "reserved_label"
        if value.kind is Kind.COUNTER and value.value < 0:
            return "negative_counter"
        return None

    def samples(self, values: Iterable[ForeignValue]) -> tuple[list[Sample], int]:
        """The samples of values that `refusal` lets pass, and how many clashed: of two of a series the first stays."""
        by_name: dict[str, list[ForeignValue]] = {}
        clashes = 0
        for value in values:
            by_name.setdefault(value.name, []).append(value)
        samples: dict[tuple[Metric, tuple[str, ...]], Sample] = {}
        known: dict[tuple[object, ...], ForeignMetric] = {}
        for namesakes in by_name.values():
            metric = self._metric(namesakes, known)
            for value in namesakes:
                labels = tuple(value.labels.get(name, "") for name in metric.labels)
                if (metric, labels) in samples or (value.measurement, value.field) != (
                    metric.measurement,
                    metric.field,
                ):
                    clashes += 1
                else:
                    samples[metric, labels] = Sample(metric, labels, value.value)
        self._known = known
        return list(samples.values()), clashes

    def _metric(self, values: list[ForeignValue], known: dict[tuple[object, ...], ForeignMetric]) -> ForeignMetric:
        """The one metric of all values of a name, the same object as long as nothing about it changes."""
        first = values[0]
        labels = tuple(sorted({label for value in values for label in value.labels}))
        whole = all(value.whole for value in values)
        key = (first.name, first.kind, labels, first.measurement, first.field, whole)
        known[key] = self._known.get(key) or ForeignMetric(
            *(first.name, first.kind, _HELP, Unit.NONE, labels, Stability.ALPHA),
            measurement=first.measurement,
            field=first.field,
            whole=whole,
        )
        return known[key]


def _label(name: str) -> str:
    return _not_a_number(_ODD_IN_LABEL.sub("_", name))


def _not_a_number(name: str) -> str:
    return f"_{name}" if name[:1].isdigit() else name
