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

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from collector.constant_tags import TagsOf, no_tags, with_constant
from collector.foreign import ForeignMetric
from collector.metrics import Kind, Metric, Sample, Unit
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

_Prefixes = dict[tuple[str, ...], str]
_Pairs = tuple[tuple[str, str], ...]
_ContainerLabels = Mapping[tuple[str, str], _Pairs]


class Exposition:
    """Renders samples; keeps what doesn't change between two renderings.

    The text before a number (`name{labels} `) is kept for the series of the last rendering and for no other, so what is
    kept can't grow while containers come and go. `render` may be called by several threads.

    Attributes:
        duplicates: samples of the last rendering that were left out because their series was there already. Prometheus
            refuses a second value of a series; the first one stays.
    """

    def __init__(self, host: str, tags_of: TagsOf = no_tags) -> None:
        self._host = host
        self._tags_of = tags_of
        self._known: dict[Metric, _Prefixes] = {}
        self._container_labels: _ContainerLabels = {}
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
        more = container_labels or {}
        # A container made anew under its old name may have other labels: what was kept then doesn't hold any more.
        before = self._known if more == self._container_labels else {}
        self._container_labels = more
        header = _HEADERS[text_format]
        families: dict[Metric, _Family] = {}
        duplicates = 0
        for metric, labels, value in samples:
            family = families.get(metric)
            if family is None:
                family = families[metric] = _Family({}, before.get(metric, {}), [header(metric)])
            prefixes, known, lines = family
            if labels in prefixes:
                duplicates += 1
                continue
            prefix = known.get(labels) or _prefix(metric, labels, (*self._tags_of(metric), ("host", self._host)), more)
            prefixes[labels] = prefix
            number = repr(value)
            lines.append(prefix + number if number[-1] <= "9" else prefix + _spelled(value))
        self._known = {metric: family.prefixes for metric, family in families.items()}
        self.duplicates = duplicates
        text = "".join("\n".join(family.lines) + "\n" for family in families.values())
        return (text + _END[text_format]).encode()


class _Family(NamedTuple):
    """One family of a rendering under way; `known` are the prefixes of the rendering before."""

    prefixes: _Prefixes
    known: _Prefixes
    lines: list[str]


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


def _prefix(metric: Metric, labels: tuple[str, ...], constant: _Pairs, container_labels: _ContainerLabels) -> str:
    """The text before the number. An empty label equals an absent one in Prometheus, so it is left out."""
    added: _Pairs = ()
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
