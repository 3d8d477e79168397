"""Samples as telegraf's points: its measurements, tags, fields and units.

Which metric becomes which field is data (`telegraf_names`), what is computed from several readings stands in
`telegraf_computed`. Here is what brings both together at little cost: 3,500 samples, those of 50 containers, every ten
seconds. What doesn't change between two collections is kept: where each series' value goes, and the tags of the points.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from collector.constant_tags import TagsOf, no_tags, with_constant
from collector.metrics import Metric, Sample
from collector.projections.point import Point, Tags
from collector.projections.telegraf_computed import COMPARED, COMPUTED, Compare, Fields, Moment, Tag
from collector.projections.telegraf_names import rules_of
from collector.projections.telegraf_rule import NANO, Facts, Form, Rule, gather_facts, label_context

_SUMS = {Form.WHOLE_SUM, Form.REAL_SUM}
_WHOLE, _REAL, _FLAG = range(3)
_KINDS = {Form.REAL: _REAL, Form.REAL_SUM: _REAL, Form.FLAG: _FLAG}
_NOTHING: Mapping[str, float] = {}
_Labels = tuple[str, ...]


class _Reading(NamedTuple):
    """What a series read, when, and what it told together with the reading before."""

    read_ns: int
    fields: Fields
    told: Fields


class _Series:
    """The points of one measurement with the same tags.

    Attributes:
        turn: the collection that `fields` are of.
        last: what was read last, if that is to be compared with the next reading.
        last_turn: the collection that `last` is of.
    """

    __slots__ = ("compared", "compute", "fields", "last", "last_turn", "measurement", "tags", "turn", "variants")

    def __init__(self, measurement: str, tags: Tags) -> None:
        self.measurement = measurement
        self.tags = tags
        self.compute = COMPUTED.get(measurement)
        self.compared = COMPARED.get(measurement)
        self.variants: dict[Tag, Tags] = {}
        self.turn = self.last_turn = 0
        self.fields: Fields = {}
        self.last: _Reading | None = None

    def with_tag(self, tag: Tag) -> Tags:
        """The tags and one more, whose value is a reading."""
        tags = self.variants.get(tag)
        if tags is None:
            tags = self.variants[tag] = tuple(sorted((*self.tags, tag)))
        return tags


# Where a value goes: series, field, scale, kind, whether it is added to what is there, what takes its place (or None).
_Target = tuple[_Series, str, float, int, bool, str | int | None]


class TelegrafProjection:
    """Projects collections of one host; remembers the last one for what needs two readings.

    Args:
        host: value of the tag `host`.
    """

    def __init__(self, host: str, tags_of: TagsOf = no_tags) -> None:
        self._host = host
        self._tags_of = tags_of
        self._targets: dict[Metric, dict[_Labels, tuple[_Target, ...]]] = {}
        self._kept = 0
        self._series: dict[tuple[str, Tags], _Series] = {}
        self._turn = 0
        self._memory: _Series | None = None
        self._cpu_total: _Series | None = None

    def project(
        self, samples: Iterable[Sample], timestamp_ns: int, gathered: Mapping[str, float] = _NOTHING
    ) -> list[Point]:
        """The points of one collection that was taken at `timestamp_ns` (Unix time).

        `gathered` is when inputs were gathered whose last result is given again, in Unix seconds, by name.
        """
        self._turn += 1
        collection = tuple(samples)
        touched = self._fill(collection)
        if self._kept != len(collection):
            self._forget_others_than(collection)
        moment = Moment(timestamp_ns, self._fields_of(self._memory), self._fields_of(self._cpu_total))
        points = [self._point(series, moment, gathered) for series in touched]
        return [point for point in points if point.fields]

    def _fill(self, samples: tuple[Sample, ...]) -> list[_Series]:
        """Put every value into its fields; the series that got any, in the order of their first."""
        turn, known, touched = self._turn, self._targets, list[_Series]()
        facts: Facts | None = None
        for metric, labels, value in samples:
            by_labels = known.get(metric)
            if by_labels is None:
                by_labels = known[metric] = {}
            targets = by_labels.get(labels)
            if targets is None:
                facts = facts or gather_facts(samples)
                targets = by_labels[labels] = tuple(self._make_targets(metric, labels, facts))
                self._kept += 1
            for series, field, scale, kind, adds, constant in targets:
                if constant is not None:
                    number: Any = constant
                elif kind:
                    number = float(value * scale) if kind == _REAL else value > 0
                elif scale == 1 and type(value) is int:
                    number = value
                elif math.isfinite(value):
                    number = round(value * scale)
                else:
                    continue
                if series.turn != turn:
                    series.fields, series.turn = {}, turn
                    touched.append(series)
                fields = series.fields
                fields[field] = fields.get(field, 0) + number if adds else number
        return touched

    def _point(self, series: _Series, moment: Moment, gathered: Mapping[str, float]) -> Point:
        fields, tags = series.fields, series.tags
        told = None
        if series.compared is not None:
            source, compare = series.compared
            read_ns = round(gathered[source] * NANO) if source in gathered else moment.timestamp_ns
            told = self._compare(series, compare, read_ns)
        if series.compute is not None:
            tag = series.compute(fields, moment)
            if tag is not None:
                tags = series.with_tag(tag)
        if told:
            fields.update(told)
        return Point(series.measurement, tags, fields, moment.timestamp_ns)

    def _compare(self, series: _Series, compare: Compare, read_ns: int) -> Fields:
        """What two readings tell. One that is given again tells what it told before."""
        before = series.last if series.last_turn == self._turn - 1 else None
        series.last_turn = self._turn
        if before is not None and before.read_ns == read_ns:
            return before.told
        told: Fields = {}
        if before is not None and read_ns > before.read_ns:
            told = compare(series.fields, before.fields, read_ns - before.read_ns)
        series.last = _Reading(read_ns, dict(series.fields), told)
        return told

    def _fields_of(self, series: _Series | None) -> Fields:
        return series.fields if series is not None and series.turn == self._turn else {}

    def _make_targets(self, metric: Metric, labels: _Labels, facts: Facts) -> Iterator[_Target]:
        context = label_context(metric, labels, self._host, facts)
        constant_tags = (*self._tags_of(metric), ("host", self._host))
        for rule in rules_of(metric):
            if not rule.counts(context):
                continue
            constant = _constant(rule, context)
            if constant == "":
                continue
            filled = [(name, template.format_map(context)) for name, template in rule.tags]
            series = self._series_of(rule.measurement, tuple(sorted(with_constant(filled, constant_tags))))
            field = rule.field.format_map(context)
            yield series, field, rule.scale, _KINDS.get(rule.form, _WHOLE), rule.form in _SUMS, constant

    def _series_of(self, measurement: str, tags: Tags) -> _Series:
        series = self._series.get((measurement, tags))
        if series is None:
            series = self._series[measurement, tags] = _Series(measurement, tags)
        if measurement == "mem":
            self._memory = series
        elif measurement == "cpu" and ("cpu", "cpu-total") in tags:
            self._cpu_total = series
        return series

    def _forget_others_than(self, samples: tuple[Sample, ...]) -> None:
        """Keep what this collection used and nothing else: containers come and go."""
        used: dict[Metric, dict[_Labels, tuple[_Target, ...]]] = {}
        for metric, labels, _ in samples:
            used.setdefault(metric, {})[labels] = self._targets[metric][labels]
        self._targets = used
        self._kept = sum(map(len, used.values()))
        series = {target[0] for targets in used.values() for kept in targets.values() for target in kept}
        self._series = {(one.measurement, one.tags): one for one in series}


def _constant(rule: Rule, context: dict[str, str]) -> str | int | None:
    """The value of a field that doesn't come from the sample's; empty where there is none."""
    if rule.form is Form.TEXT:
        return rule.text.format_map(context)
    if rule.form is Form.NUMBER_IN_TEXT:
        text = rule.text.format_map(context)
        return int(text) if text.isdecimal() else ""
    return None
