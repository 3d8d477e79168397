"""What one scrape of an agent said, of the families that are asked for.

Source of the format: prometheus.io/docs/instrumenting/exposition_formats, version 0.0.4. prometheus_client's parser
builds an object for each of an agent's thousands of values, of which `top` shows a tenth, and takes 80 ms for a host
with five containers; this one looks at the name of a family first and takes 1 to 2. The library is its oracle in the
tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from collector.metrics import Metric

Labels = tuple[str, ...]
Values = Mapping[Labels, float]
Selection = Mapping[Metric, tuple[str, ...]]
"""Which metrics are read. Where texts are given, a series counts if its labels hold one of them (`mode="idle"`)."""

_HOST = "host"
_FAMILY = "\n# TYPE "  # an agent begins every family with it
_PAIR = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n"}


@dataclass(frozen=True, slots=True)
class Exposition:
    """Values by metric and label values, these in the order in which the metric declares them.

    Attributes:
        host: the label that every series of an agent carries; empty if none did.
    """

    host: str
    values: Mapping[Metric, Values]

    def of(self, metric: Metric) -> Values:
        """All series of a metric."""
        return self.values.get(metric, {})

    def value(self, metric: Metric, *labels: str) -> float | None:
        """One value; None where there is none."""
        return self.of(metric).get(labels)


def parse_exposition(text: str, selection: Selection) -> Exposition:
    """The selected series; a line that can't be understood is passed over, like a family that isn't known.

    Labels that a metric doesn't declare are dropped: the host's, and those that `docker_label_include` adds.
    """
    by_name = {metric.name: (metric, texts) for metric, texts in selection.items()}
    values: dict[Metric, dict[Labels, float]] = {}
    known: dict[str, dict[str, str]] = {}  # most families of a container repeat the same labels
    for family in f"\n{text}".split(_FAMILY):
        found = by_name.get(family.partition(" ")[0])
        if found is None:
            continue
        metric, texts = found
        series = values.setdefault(metric, {})
        for written, value in _series(family, metric.name):
            if texts and not any(map(written.__contains__, texts)):
                continue
            labels = known.get(written)
            if labels is None:
                labels = known[written] = {key: _unescaped(value) for key, value in _PAIR.findall(written)}
            series[tuple([labels.get(key, "") for key in metric.labels])] = value
    host = next((labels[_HOST] for labels in known.values() if _HOST in labels), "")
    return Exposition(host, values)


def _series(family: str, name: str) -> Iterator[tuple[str, float]]:
    """Labels as they are written and the value, of each line of the family."""
    for line in family.split("\n"):
        if not line.startswith(name):
            continue
        written, brace, number = line.removeprefix(name).rpartition("} ")
        if brace != "" and written[:1] != "{":
            continue
        try:
            value = float(number.split()[0])  # a time may stand behind it
        except (ValueError, IndexError):
            continue
        yield written[1:], value


def _unescaped(value: str) -> str:
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), value) if "\\" in value else value
