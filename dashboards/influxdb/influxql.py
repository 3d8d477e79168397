"""Builds InfluxQL about declared metrics, under the names that telegraf's projection gives them.

Where a metric goes (measurement, field, tags) is asked of the projection, so that a rename breaks at import. A counter
can only be had as a rate, a gauge only as it is. Source of the language: InfluxDB 1.8, "Influx Query Language"; 2.x
serves it at /query.
"""

from __future__ import annotations

from dataclasses import dataclass

from collector.metrics import Kind, Metric
from collector.projections.telegraf_names import rules_of
from collector.projections.telegraf_rule import Rule

_OVER_TIME = "time($__interval)"
_HOST_TAG = "host"


@dataclass(frozen=True, slots=True)
class Stored:
    """Where values are: a field of a measurement, with the tags that its series have, in `scale` units of ours."""

    measurement: str
    field: str
    tags: frozenset[str]
    scale: float
    kind: Kind


def stored(metric: Metric, measurement: str = "", **words: str) -> Stored:
    """Where a metric's values are; `words` fill the template of the field, `measurement` chooses among several.

    Raises:
        ValueError: the projection doesn't put it there.
    """
    for rule in rules_of(metric):
        if measurement in ("", rule.measurement):
            field = rule.field.format_map(words)
            if field.startswith("_"):
                raise ValueError(f"{metric.name} is only read to compute others: {field} is never written")
            return Stored(rule.measurement, field, _tags(rule), rule.scale, metric.kind)
    raise ValueError(f"{metric.name} does not go to {measurement or 'InfluxDB'}")


def computed(metric: Metric, field: str, measurement: str = "") -> Stored:
    """A field that the projection computes beside those of the metric, a gauge in telegraf's unit.

    Raises:
        ValueError: the projection doesn't put the metric there.
    """
    for rule in rules_of(metric):
        if measurement in ("", rule.measurement):
            return Stored(rule.measurement, field, _tags(rule), 1, Kind.GAUGE)
    raise ValueError(f"{metric.name} does not go to {measurement or 'InfluxDB'}")


def _tags(rule: Rule) -> frozenset[str]:
    return frozenset(name for name, _ in rule.tags) | {_HOST_TAG}


@dataclass(frozen=True, slots=True)
class Scope:
    """The condition that all queries of a dashboard carry, besides the time shown."""

    condition: str

    def gauge(
        self,
        value: Stored,
        *by: str,
        where: str = "",
        function: str = "mean",
        divide: float = 0,
        rest_of_one: bool = False,
    ) -> str:
        """A value over time, one series per combination of the tags `by`; in our units unless `divide` says others.

        `rest_of_one` gives what a share leaves of the whole.

        Raises:
            ValueError: it is a counter, or has no such tag.
        """
        _check(value, by, counter=False)
        shown = f'{function}("{value.field}"){_divided(divide or value.scale)}'
        shown = f"1 - {shown}" if rest_of_one else shown
        return _over_time(shown, self._source(value, where), by)

    def rate(self, value: Stored, *by: str, where: str = "") -> str:
        """Growth of a counter per second, in our units.

        Raises:
            ValueError: it is no counter, or has no such tag.
        """
        _check(value, by, counter=True)
        shown = f"{_growth(value)}{_divided(value.scale)}"
        return _over_time(shown, self._source(value, where), by)

    def ratio_of_rates(self, part: Stored, whole: Stored, *by: str, where: str = "") -> str:
        """Growth of one counter to that of another in the same measurement.

        Raises:
            ValueError: not counters, not of one measurement, or without such a tag.
        """
        _check(part, by, counter=True)
        _check(whole, by, counter=True)
        _check_together(part, whole)
        shown = f"{_growth(part)} / {_growth(whole)}{_divided(part.scale / whole.scale)}"
        return _over_time(shown, self._source(part, where), by)

    def ratio(self, part: Stored, whole: Stored, *by: str, where: str = "") -> str:
        """One gauge to another in the same measurement.

        Raises:
            ValueError: not gauges, not of one measurement, or without such a tag.
        """
        _check(part, by, counter=False)
        _check(whole, by, counter=False)
        _check_together(part, whole)
        shown = f'mean("{part.field}") / mean("{whole.field}"){_divided(part.scale / whole.scale)}'
        return _over_time(shown, self._source(part, where), by)

    def least_ratio(self, part: Stored, whole: Stored, each: tuple[str, ...], *by: str, where: str = "") -> str:
        """The smallest of the ratios that differ in the tags `each`.

        Raises:
            ValueError: not gauges, not of one measurement, or without such a tag.
        """
        shown = f'mean("{part.field}") / mean("{whole.field}"){_divided(part.scale / whole.scale)} AS "ratio"'
        _check(part, (*by, *each), counter=False)
        _check_together(part, whole)
        inner = _over_time(shown, self._source(part, where), tuple(dict.fromkeys((*by, *each))))
        return _over_time('min("ratio")', f"({inner}) WHERE $timeFilter", by)

    def sum_of_rates(self, value: Stored, each: tuple[str, ...], *by: str, where: str = "") -> str:
        """Rates of the series that differ in the tags `each`, summed up to one per combination of `by`.

        Raises:
            ValueError: it is no counter, or has no such tag.
        """
        _check(value, (*by, *each), counter=True)
        shown = f'{_growth(value)}{_divided(value.scale)} AS "rate"'
        inner = _over_time(shown, self._source(value, where), tuple(dict.fromkeys((*by, *each))))
        return _over_time('sum("rate") AS "sum"', f"({inner}) WHERE $timeFilter", by)

    def latest(
        self,
        value: Stored,
        title: str,
        *by: str,
        where: str = "",
        function: str = "last",
        divide: float = 0,
    ) -> str:
        """The current value in a column of that title, one row per combination of the tags `by`.

        Raises:
            ValueError: it is a counter, or has no such tag.
        """
        _check(value, by, counter=False)
        shown = f'{function}("{value.field}"){_divided(divide or value.scale)} AS "{title}"'
        return _select(shown, self._source(value, where), by)

    def latest_rate(self, value: Stored, title: str, *by: str, each: tuple[str, ...] = (), where: str = "") -> str:
        """The current growth of a counter in a column of that title, summed over the tags `each`.

        Raises:
            ValueError: it is no counter, or has no such tag.
        """
        rates = self.sum_of_rates(value, each or (_HOST_TAG,), *by, where=where)
        return _select(f'last("sum") AS "{title}"', f"({rates}) WHERE $timeFilter", by)

    def count(self, value: Stored, *by: str) -> str:
        """How many combinations of the tags `by` have had a value in the time shown.

        Raises:
            ValueError: it has no such tag.
        """
        _check(value, by, counter=False)
        inner = _select(f'last("{value.field}") AS "seen"', self._source(value, ""), by)
        return _select('count("seen")', f"({inner}) WHERE $timeFilter", ())

    def _source(self, value: Stored, where: str) -> str:
        conditions = " AND ".join(part for part in (self.condition, where, "$timeFilter") if part)
        return f'"{value.measurement}" WHERE {conditions}'


def tag_values(value: Stored, tag: str, condition: str = "") -> str:
    """The query of a variable: the values of a tag.

    Raises:
        ValueError: it has no such tag.
    """
    _check(value, (tag,), counter=value.kind is Kind.COUNTER)
    where = f" WHERE {condition}" if condition else ""
    return f'SHOW TAG VALUES FROM "{value.measurement}" WITH KEY = "{tag}"{where}'


def _growth(value: Stored) -> str:
    return f'non_negative_derivative(last("{value.field}"), 1s)'


def _select(shown: str, source: str, by: tuple[str, ...]) -> str:
    """One value for each combination of the tags."""
    words = ["SELECT", shown, "FROM", source]
    if by:
        words += ["GROUP BY", ", ".join(f'"{tag}"' for tag in by)]
    return " ".join(words)


def _over_time(shown: str, source: str, by: tuple[str, ...]) -> str:
    """Values over time for each combination of the tags."""
    words = ["SELECT", shown, "FROM", source]
    words += ["GROUP BY", ", ".join((_OVER_TIME, *(f'"{tag}"' for tag in by))), "fill(none)"]
    return " ".join(words)


def _divided(scale: float) -> str:
    """InfluxQL has no numbers with exponents."""
    if scale == 1:
        return ""
    return f" / {scale:.0f}" if scale > 1 else f" * {1 / scale:.0f}"


def _check(value: Stored, by: tuple[str, ...], *, counter: bool) -> None:
    if (value.kind is Kind.COUNTER) is not counter:
        raise ValueError(f"{value.measurement} {value.field} is a {value.kind}")
    missing = sorted(set(by) - value.tags)
    if missing:
        raise ValueError(f"{value.measurement} {value.field} has no tag {', '.join(missing)}")


def _check_together(part: Stored, whole: Stored) -> None:
    if part.measurement != whole.measurement:
        raise ValueError(f"{part.field} is in {part.measurement}, {whole.field} in {whole.measurement}")
