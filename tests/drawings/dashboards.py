"""Draws docs/images/dashboard-*.svg: `.venv/bin/python -m tests.drawings.dashboards`, as root, about six minutes.

Real containers work under limits; a live agent, `vdbmon serve` and Prometheus watch them
(tests/support/watched_host.py), and near the end the Docker daemon is frozen. Then the panels' own queries are asked of
Prometheus, and its answers are drawn.
"""

from __future__ import annotations

import re
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dashboards.generated import all_dashboards
from dashboards.layout import Place, place_rows
from dashboards.spec import Dashboard, Panel, Query, Row, Stat, StateTimeline, Table, Text, TimeSeries
from tests.drawings.panels import (
    BACKGROUND,
    COLUMN,
    FAINT,
    LINE,
    Line,
    box_of,
    draw_series,
    draw_stat,
    draw_states,
    draw_table,
    draw_text,
    text,
)
from tests.support.servers import http_json
from tests.support.wait import wait_until
from tests.support.watched_fleet import HOST
from tests.support.watched_host import CONTAINER, WatchedHost, watched_host

FOLDER = Path("docs/images")
MINUTES = 5.0
HANG = 100.0  # seconds
STEP = 2
# By dashboard: the rows of the picture.
PICTURES = {
    "vdbmon-fleet": ("now", "headroom"),
    "vdbmon-host": ("cpu", "memory"),
    "vdbmon-container": ("now", "cpu", "memory", "disk", "volumes"),
    "vdbmon-docker": ("now",),
    "vdbmon-capacity": ("now", "hosts"),
}
SUBSTITUTES = {
    "$__rate_interval": "15s",
    "$__range": "5m",
    "$job": "vdbmon",
    '=~"$host': '=~".+',
    "$host": HOST,
    "$name": CONTAINER,
    "$source": ".+",
}
TITLE = 34


@dataclass(frozen=True, slots=True)
class Answers:
    """Asks Prometheus about the time that is drawn."""

    url: str
    start: float
    end: float

    def lines(self, query: Query) -> list[Line]:
        """Its series over time."""
        words = {"query": _filled(query.expr), "start": self.start, "end": self.end, "step": STEP}
        return [
            Line(
                _named(query.legend, series["metric"]),
                tuple((float(when), float(value)) for when, value in series["values"]),
                query.is_limit,
            )
            for series in self._ask("query_range", words)
        ]

    def values(self, expr: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Its series now."""
        answer = self._ask("query", {"query": _filled(expr), "time": self.end})
        return {tuple(sorted(series["metric"].items())): float(series["value"][1]) for series in answer}

    def _ask(self, path: str, words: dict[str, object]) -> list[dict[str, Any]]:
        answer = http_json(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(words)}", timeout=30)
        return list(answer["data"]["result"])


def _filled(expr: str) -> str:
    for variable, value in SUBSTITUTES.items():
        expr = expr.replace(variable, value)
    return expr


def _named(legend: str, labels: dict[str, str]) -> str:
    return re.sub(r"{{(\w+)}}", lambda match: labels.get(match[1], ""), legend)


def _drawn(panel: Panel, place: Place, top: int, answers: Answers) -> str:
    box, span = box_of(place, top), (answers.start, answers.end)
    match panel:
        case TimeSeries():
            lines = [line for query in panel.queries for line in answers.lines(query)]
            return draw_series(panel, lines, box, span)
        case StateTimeline():
            return draw_states(panel, answers.lines(panel.query), box, span)
        case Stat():
            return draw_stat(panel, next(iter(answers.values(panel.query.expr).values()), None), box)
        case Table():
            return draw_table(panel, _rows(panel, answers), box)
        case Text():
            return draw_text(panel, box)
        case _:
            raise TypeError(f"{type(panel).__name__} can't be drawn")


def _rows(panel: Table, answers: Answers) -> Iterator[tuple[list[str], list[float | None]]]:
    """Joined on the keys, as Grafana's `merge` does, and sorted."""
    columns = [answers.values(column.expr) for column in panel.columns]
    keys = {tuple(dict(labels).get(key, "") for key in panel.keys): labels for column in columns for labels in column}
    rows = [(list(key), [column.get(labels) for column in columns]) for key, labels in sorted(keys.items())]
    titles = [column.title for column in panel.columns]
    index = titles.index(panel.sort_by)
    yield from sorted(rows, key=lambda row: (row[1][index] is None, row[1][index] or 0), reverse=panel.descending)


def _fitted(panel: Panel, answers: Answers) -> Panel:
    """A table as high as its rows, all else as it is."""
    if not isinstance(panel, Table):
        return panel
    return replace(panel, height=min(panel.height, 3 + len(list(_rows(panel, answers)))))


def picture(dashboard: Dashboard, slugs: tuple[str, ...], answers: Answers) -> str:
    """Some rows of a dashboard as SVG."""
    rows = tuple(
        Row(row.slug, row.title, tuple(_fitted(panel, answers) for panel in row.panels))
        for row in dashboard.rows
        if row.slug in slugs
    )
    placed = place_rows(rows)
    bottom = max(place.y + place.h for row in placed for _, place in row.panels)
    width, height = 24 * COLUMN + 5, bottom * LINE + TITLE
    parts = []
    for row in placed:
        parts.append(text(8, row.title.y * LINE + 20, row.row.title, size=13))
        parts += [_drawn(panel, place, 0, answers) for panel, place in row.panels]
    source = "drawn from Prometheus' answers to the panels' queries, not by Grafana"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">'
        f'<rect width="100%" height="100%" fill="{BACKGROUND}"/>{text(8, 22, dashboard.title, size=16)}'
        f"{text(width - 8, 22, source, size=10, color=FAINT, anchor='end')}"
        f'<g transform="translate(0 {TITLE - 6})">{"".join(parts)}</g></svg>\n'
    )


def draw(host: WatchedHost) -> None:
    """All pictures, of the last minutes."""
    end = time.time()
    answers = Answers(host.prometheus.url, end - MINUTES * 60, end)
    for dashboard in all_dashboards():
        if dashboard.uid in PICTURES:
            path = FOLDER / f"dashboard-{dashboard.uid.removeprefix('vdbmon-')}.svg"
            path.write_text(picture(dashboard, PICTURES[dashboard.uid], answers))


if __name__ == "__main__":
    with watched_host() as watched:
        begin = time.monotonic()
        wait_until(lambda: time.monotonic() - begin > MINUTES * 60 - HANG, deadline=MINUTES * 60, what="work", every=1)
        watched.daemon.freeze()
        wait_until(lambda: time.monotonic() - begin > MINUTES * 60, deadline=MINUTES * 60, what="the hang", every=1)
        draw(watched)
        watched.daemon.thaw()
