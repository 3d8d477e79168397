"""Samples as Prometheus text, format 0.0.4, and as OpenMetrics text 1.0.0.

Sources of the formats: prometheus.io/docs/instrumenting/exposition_formats and the OpenMetrics specification. The names
and units are those of the declared metrics; this projection adds the `host` label, the tags of the configuration and
the Docker labels that were asked for. No timestamps: a series must end with its source.

The formats differ in what stands above a family and in OpenMetrics' last line; the lines of the samples are the same,
so that what a store keeps does not depend on the format that it asked for. OpenMetrics demands `_total` of a counter:
one that has another name by tradition is of type `unknown` there, and keeps its name. So is what a command printed.

prometheus_client renders the same text and its parser is the oracle in the tests, but it builds its objects and escapes
every label anew in each scrape: 36-93 ms for 5,000 samples where this module takes 4-5 (measured side by side by
`tests/bench/exposition.py`). That would be most of what the agent costs, so the renderer is ours.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from enum import StrEnum

from collector.constant_tags import TagsOf, no_tags, with_constant
from collector.foreign import ForeignMetric
from collector.metrics import Kind, Metric, Sample, Unit
from collector.projections.point import Tags
from collector.projections.text import well_formed


class TextFormat(StrEnum):
    """The formats, by their content types."""

    PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


_LABEL_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_HELP_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n"})
_TYPE_WORDS = {Kind.COUNTER: "counter", Kind.GAUGE: "gauge", Kind.INFO: "gauge"}
_END = {TextFormat.PROMETHEUS: "", TextFormat.OPENMETRICS: "# EOF\n"}
_SUFFIXES = {Kind.COUNTER: "_total", Kind.INFO: "_info"}  # OpenMetrics leaves them out of the family's name
_UNIT_WORDS = {Unit.BYTES: "bytes", Unit.SECONDS: "seconds", Unit.TIMESTAMP: "seconds"}

_CONTAINER = ("name", "image")  # the labels that begin those of every container's series

_ContainerLabels = Mapping[tuple[str, str], Tags]


class Exposition:
    """Renders samples; keeps what doesn't change between two renderings.

    The line of each series of the last rendering is kept, and of no other, so what is kept can't grow while containers
    come and go. `render` may be called by several threads; one of them renders at a time.

    Args:
        host: the label on all series; None where the samples say themselves which host they are about.
        tags_of: what else is put on the series of a metric.

    Attributes:
        duplicates: samples of the last rendering that were left out because their series was there already. Prometheus
            refuses a second value of a series; the first one stays.
    """

    def __init__(self, host: str | None, tags_of: TagsOf = no_tags) -> None:
        self._host: Tags = () if host is None else (("host", host),)
        self._tags_of = tags_of
        self._families: dict[Metric, _Family] = {}
        self._container_labels: _ContainerLabels = {}
        self._turn = 0
        self._lock = threading.Lock()
        self.duplicates = 0

    def render(
        self,
        samples: Iterable[Sample],
        container_labels: _ContainerLabels | None = None,
        text_format: TextFormat = TextFormat.PROMETHEUS,
    ) -> bytes:
        """The exposition of these samples, families in the order of their first sample, each in one piece.

        `container_labels` are added to the series of a container, by its name and image.
        """
        with self._lock:
            more = container_labels or {}
            if more != self._container_labels:
                # A container made anew under its old name may have other labels: what was kept doesn't hold any more.
                self._families.clear()
                self._container_labels = more
            self._turn += 1
            text = "".join(
                "\n".join((family.header(metric, text_format), *family.lines, ""))
                for metric, family in self._group(samples)
            )
            self._forget()
        return (text + _END[text_format]).encode()

    def _group(self, samples: Iterable[Sample]) -> list[tuple[Metric, _Family]]:
        """The families of these samples with their lines. This loop is most of what a scrape costs."""
        turn, families = self._turn, self._families
        found: list[tuple[Metric, _Family]] = []
        duplicates = 0
        for metric, labels, value in samples:
            family = families.get(metric)
            if family is None:
                family = families[metric] = _Family()
            if family.turn != turn:
                family.turn, family.lines = turn, []
                found.append((metric, family))
            series = family.series.get(labels)
            if series is None:
                constant = (*self._tags_of(metric), *self._host)
                series = family.series[labels] = _Series(_prefix(metric, labels, constant, self._container_labels))
            elif series.turn == turn:
                duplicates += 1
                continue
            series.turn = turn
            if value != series.value:
                series.value = value
                number = repr(value)
                series.line = series.prefix + (number if number[-1] <= "9" else _spelled(value))
            family.lines.append(series.line)
        self.duplicates = duplicates
        return found

    def _forget(self) -> None:
        """Drop what this rendering did not have."""
        for metric, family in list(self._families.items()):
            if family.turn != self._turn:
                del self._families[metric]
            elif len(family.series) != len(family.lines):
                family.series = {key: series for key, series in family.series.items() if series.turn == self._turn}


class _Series:
    """One series: the text before the number, and the line of its last value."""

    __slots__ = ("line", "prefix", "turn", "value")

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.value: float | None = None
        self.line = ""
        self.turn = 0


class _Family:
    """The series of one metric, by their labels, and the lines of the last rendering."""

    __slots__ = ("_headers", "lines", "series", "turn")

    def __init__(self) -> None:
        self.series: dict[tuple[str, ...], _Series] = {}
        self.lines: list[str] = []
        self.turn = 0
        self._headers: dict[TextFormat, str] = {}

    def header(self, metric: Metric, text_format: TextFormat) -> str:
        """What stands before the lines."""
        header = self._headers.get(text_format)
        if header is None:
            header = self._headers[text_format] = _HEADERS[text_format](metric)
        return header


def _header(metric: Metric) -> str:
    text = metric.help.translate(_HELP_ESCAPES)
    return f"# HELP {metric.name} {text}\n# TYPE {metric.name} {_TYPE_WORDS[metric.kind]}"


def _openmetrics_header(metric: Metric) -> str:
    suffix = _SUFFIXES.get(metric.kind, "")
    if metric.name.endswith(suffix) and not isinstance(metric, ForeignMetric):
        family, word = metric.name.removesuffix(suffix), metric.kind.value
    else:
        family, word = metric.name, "unknown"
    unit = _UNIT_WORDS.get(metric.unit, "")
    lines = [f"# TYPE {family} {word}"]
    if unit and family.endswith(f"_{unit}"):
        lines.append(f"# UNIT {family} {unit}")
    lines.append(f"# HELP {family} {metric.help.translate(_LABEL_ESCAPES)}")
    return "\n".join(lines)


_HEADERS = {TextFormat.PROMETHEUS: _header, TextFormat.OPENMETRICS: _openmetrics_header}


def _prefix(metric: Metric, labels: tuple[str, ...], constant: Tags, container_labels: _ContainerLabels) -> str:
    """The text before the number. An empty label equals an absent one in Prometheus, so it is left out."""
    added: Tags = ()
    if container_labels and metric.labels[:2] == _CONTAINER:
        added = container_labels.get((labels[0], labels[1]), ())
    pairs = [
        f'{name}="{well_formed(value).translate(_LABEL_ESCAPES)}"'
        for name, value in with_constant((*zip(metric.labels, labels, strict=True), *added), constant)
    ]
    return f"{metric.name}{{{','.join(pairs)}}} "


def _spelled(value: float) -> str:
    """What `repr` doesn't spell as the format does: NaN, infinities, and booleans."""
    if value != value:  # noqa: PLR0124 - only NaN differs from itself
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value))
