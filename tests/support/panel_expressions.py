"""What all panels and marks ask, and how a test asks it of a server that has no Grafana before it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping

from dashboards.generated import all_dashboards
from dashboards.spec import Dashboard, Source

CGROUP2_ONLY = r"vdbmon-container/((cpu|memory|io)-pressure|memory-parts/3)"
"""Places of expressions that only a kernel with cgroup v2 gives values: pressure of containers, and their slab."""

Values = list[float]
Expression = tuple[str, str]
"""Where it stands (dashboard, panel, number), and what it is."""


def dashboards(source: Source) -> list[Dashboard]:
    """Those of one data source."""
    return [dashboard for dashboard in all_dashboards() if dashboard.source is source]


def expressions(source: Source) -> Iterator[Expression]:
    """All of one data source."""
    for dashboard in dashboards(source):
        for panel in dashboard.panels():
            for number, each in enumerate(panel.expressions()):
                yield f"{dashboard.uid}/{panel.slug}/{number}", each.expr
        for mark in dashboard.annotations:
            yield f"{dashboard.uid}/{mark.name}", mark.expr


def substituted(text: str, substitutes: Mapping[str, str]) -> str:
    """The text with Grafana's variables filled in."""
    for variable, value in substitutes.items():
        text = text.replace(variable, value)
    return text


def without_values(found: Iterable[Expression], ask: Callable[[str], Values]) -> dict[str, str]:
    """Expressions that have none, or one that is no number, by where they stand."""
    wrong = {}
    for where, expr in found:
        values = ask(expr)
        if not values or not all(map(math.isfinite, values)):
            wrong[where] = f"{expr} -> {values}"
    return wrong
