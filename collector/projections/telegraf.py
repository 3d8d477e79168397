"""Samples as telegraf's points: its measurements, tags, fields and units.

Which metric becomes which field is data (`telegraf_names`), what is computed from several readings stands in
`telegraf_computed`. Here is what brings both together at little cost: 3,500 samples, those of 50 containers, every ten
seconds. What doesn't change between two collections is kept: where each series' value goes, and the tags of the points.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Any

from collector.metrics import Metric, Sample
from collector.projections.point import Point
from collector.projections.telegraf_computed import COMPARED, COMPUTED, Compare, Fields, Moment, Tag
from collector.projections.telegraf_names import rules_of
from collector.projections.telegraf_rule import Facts, Form, Rule, Tags, gather_facts, label_context

_SUMS = {Form.WHOLE_SUM, Form.REAL_SUM}
_WHOLE, _REAL, _FLAG = range(3)
_KINDS = {Form.REAL: _REAL, Form.REAL_SUM: _REAL, Form.FLAG: _FLAG}
_Labels = tuple[str, ...]


class _Series:
    """The points of one measurement with the same tags.

    Attributes:
        turn: the collection that `fields` are of.
        read, read_turn: what is to be compared with the next collection, and the collection that it is of.
    """

    __slots__ = ("compare", "compute", "fields", "measurement", "read", "read_turn", "tags", "turn", "variants")

    def __init__(self, measurement: str, tags: Tags) -> None:
        self.measurement = measurement
        self.tags = tags
        self.compute = COMPUTED.get(measurement)
        self.compare = COMPARED.get(measurement)
        self.variants: dict[Tag, Tags] = {}
        self.turn = self.read_turn = 0
        self.fields: Fields = {}
        self.read: Fields = {}

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

    def __init__(self, host: str) -> None:
        self._host = host
        self._targets: dict[Metric, dict[_Labels, tuple[_Target, ...]]] = {}
        self._kept = 0
        self._series: dict[tuple[str, Tags], _Series] = {}
        self._turn = 0
        self._before_ns = 0

    def project(self, samples: Collection[Sample], timestamp_ns: int) -> list[Point]:
        """The points of one collection that was taken at `timestamp_ns` (Unix time)."""
        self._turn += 1
        touched = self._fill(samples)
        if self._kept != len(samples):
            self._forget_others_than(samples)
        host = (("host", self._host),)
        moment = Moment(
            timestamp_ns,
            self._fields_of("mem", host),
            self._fields_of("cpu", (("cpu", "cpu-total"), *host)),
        )
        points = [self._point(series, moment) for series in touched]
        self._before_ns = timestamp_ns
        return [point for point in points if point.fields]

    def _fill(self, samples: Collection[Sample]) -> list[_Series]:
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

    def _point(self, series: _Series, moment: Moment) -> Point:
        fields, tags, found = series.fields, series.tags, None
        if series.compare is not None:
            found = self._compared(series, series.compare, moment.timestamp_ns - self._before_ns)
        if series.compute is not None:
            tag = series.compute(fields, moment)
            if tag is not None:
                tags = series.with_tag(tag)
        if found:
            fields.update(found)
        return Point(series.measurement, tags, fields, moment.timestamp_ns)

    def _compared(self, series: _Series, compare: Compare, elapsed_ns: int) -> Fields | None:
        now, before = dict(series.fields), series.read
        had_before = series.read_turn == self._turn - 1
        series.read, series.read_turn = now, self._turn
        return compare(now, before, elapsed_ns) if had_before and before and elapsed_ns > 0 else None

    def _fields_of(self, measurement: str, tags: Tags) -> Fields:
        series = self._series.get((measurement, tags))
        return series.fields if series is not None and series.turn == self._turn else {}

    def _make_targets(self, metric: Metric, labels: _Labels, facts: Facts) -> Iterator[_Target]:
        context = label_context(metric, labels, self._host, facts)
        for rule in rules_of(metric):
            if not rule.counts(context):
                continue
            constant = _constant(rule, context)
            if constant == "":
                continue
            filled = [(name, template.format_map(context)) for name, template in rule.tags]
            tags = tuple(sorted((name, value) for name, value in (*filled, ("host", self._host)) if value))
            key = (rule.measurement, tags)
            series = self._series.get(key)
            if series is None:
                series = self._series[key] = _Series(*key)
            field = rule.field.format_map(context)
            yield series, field, rule.scale, _KINDS.get(rule.form, _WHOLE), rule.form in _SUMS, constant

    def _forget_others_than(self, samples: Collection[Sample]) -> None:
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
