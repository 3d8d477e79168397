"""Rules about one query of a panel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from dashboards.linter.document import Document, place_of
from dashboards.linter.promql import matched_labels, parse, problem_of, selectors

Json = dict[str, Any]
Found = tuple[str, str, str]  # rule, place, message

_RATES = frozenset({"rate", "irate", "increase"})
_RANGE_OF_RATE = re.compile(r"\b(rate|irate|increase)\([^[]*\[([^]:]*)\]")
_GRAFANAS_RANGES = frozenset({"$__rate_interval", "$__range"})
_NO_TARGETS_LABELS = re.compile(r"ALERTS(_FOR_STATE)?|.*:.*")
"""Alerts and recorded series keep what their rule keeps, and rules drop the job."""


def findings(document: Document, panel: Json, target: Json) -> Iterator[Found]:
    """What is wrong with it."""
    place = f"{place_of(panel)}, query {target.get('refId')}"
    if target.get("datasource", panel.get("datasource")) != panel.get("datasource"):
        yield "panel-datasource-rule", place, "asks another data source than its panel"
    if document.source_type == "prometheus":
        yield from _promql(str(target.get("expr", "")), place)
    elif document.source_type == "influxdb":
        yield from _influxql(str(target.get("query", "")), place)


def _promql(expr: str, place: str) -> Iterator[Found]:
    problem = problem_of(expr)
    if problem:
        yield "target-promql-rule", place, problem
        return
    for selector, function in selectors(parse(expr)):
        name = selector.name or ""
        if _NO_TARGETS_LABELS.fullmatch(name):
            continue
        labels = matched_labels(selector)
        for label in ("job", "instance"):
            if label not in labels:
                yield f"target-{label}-rule", place, f"{name} is not matched by {label}"
        if name.endswith("_total") and function not in _RATES:
            yield "target-counter-agg-rule", place, f"{name} is a counter outside of rate, irate and increase"
    for function, window in _RANGE_OF_RATE.findall(expr):
        if window not in _GRAFANAS_RANGES:
            yield "target-rate-interval-rule", place, f"{function} over {window}, not over $__rate_interval"


def _influxql(query: str, place: str) -> Iterator[Found]:
    if not query.startswith("SELECT "):
        yield "target-influxql-rule", place, "is no SELECT"
    if "$timeFilter" not in query:
        yield "target-influxql-rule", place, "asks for all times, not for those shown"
    if "GROUP BY time(" in query and "$__interval" not in query:
        yield "target-influxql-rule", place, "has a fixed interval, not $__interval"
