"""Draws panels as SVG from what a data source answered to their own queries; like Grafana, and not by it."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dashboards.colours import Step
from dashboards.layout import Place
from dashboards.spec import Mapping, Stat, StateTimeline, Table, Text, TimeSeries
from tests.drawings.values import format_value

COLUMN, LINE, GAP = 46, 27, 5
COLOURS = {"green": "#73bf69", "orange": "#ff9830", "red": "#f2495c", "blue": "#5794f2"}
PALETTE = ("#73bf69", "#fade2a", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#37872d", "#e0b400", "#1f60c4", "#8ab8ff")
BACKGROUND, CARD, GRID, TEXT, FAINT = "#111217", "#181b1f", "#2c3036", "#d8d9da", "#8e9199"
_MOST_LEGENDS = 6
_CHARACTER = 5.6  # mean width at 10 px, in px


@dataclass(frozen=True, slots=True)
class Line:
    """A series: its name, and points of seconds and values."""

    name: str
    points: tuple[tuple[float, float], ...]
    is_limit: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """A place in pixels."""

    x: float
    y: float
    w: float
    h: float


def box_of(place: Place, top: int) -> Box:
    """Where a panel is, in a picture that begins at the grid's row `top`."""
    x, y = place.x * COLUMN + GAP, (place.y - top) * LINE + GAP
    return Box(x, y, place.w * COLUMN - GAP, place.h * LINE - GAP)


def text(x: float, y: float, words: str, *, size: int = 11, color: str = TEXT, anchor: str = "start") -> str:
    """One line of text; `y` is its base line."""
    words = html.escape(words)
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" fill="{color}" text-anchor="{anchor}">{words}</text>'


def card(box: Box, title: str) -> str:
    """The panel's ground and title."""
    ground = f'<rect x="{box.x:.0f}" y="{box.y:.0f}" width="{box.w:.0f}" height="{box.h:.0f}" rx="3" fill="{CARD}"/>'
    return ground + text(box.x + 8, box.y + 16, _cut(title, box.w - 16), size=12)


def color_at(steps: Sequence[Step], value: float) -> str:
    """The colour of the last step that the value has reached."""
    name = steps[0].color
    for step in steps[1:]:
        if step.value is not None and value >= step.value:
            name = step.color
    return COLOURS[name]


def draw_stat(panel: Stat, value: float | None, box: Box) -> str:
    """The number, large, in its colour."""
    word, color = ("no data", FAINT) if value is None else _worded(panel.mappings, panel.steps, panel.unit, value)
    size = 26 if len(word) < 9 else 18
    return card(box, panel.title) + text(
        box.x + box.w / 2, box.y + box.h / 2 + 18, word, size=size, color=color, anchor="middle"
    )


def draw_series(panel: TimeSeries, lines: Sequence[Line], box: Box, span: tuple[float, float]) -> str:
    """Lines or a stack over time, with limits dashed and a legend below."""
    plot = Box(box.x + 58, box.y + 26, box.w - 68, box.h - 66)
    drawn = _stack(lines) if panel.stacked else list(lines)
    limits = [step.value for step in panel.steps[1:] if step.value is not None]
    top = _nice(max((value for line in drawn for _, value in line.points), default=0.0))
    parts = [card(box, panel.title), *_axis(plot, top, panel.unit), *_times(plot, span)]
    for step in panel.steps[1:]:
        if step.value is not None and step.value <= top and limits:
            y = plot.y + plot.h * (1 - step.value / top)
            color = COLOURS[step.color]
            parts.append(_stroke([(plot.x, y), (plot.x + plot.w, y)], color, dashed=True))
    for number, line in reversed(list(enumerate(drawn))):
        color = "#f2495c" if line.is_limit else PALETTE[number % len(PALETTE)]
        points = [
            (plot.x + plot.w * (when - span[0]) / (span[1] - span[0]), plot.y + plot.h * (1 - min(value / top, 1)))
            for when, value in line.points
        ]
        if panel.stacked and not line.is_limit and points:
            parts.append(_area(points, plot.y + plot.h, color))
        parts.append(_stroke(points, color, dashed=line.is_limit))
    return "".join(parts) + _legend(drawn, box)


def draw_states(panel: StateTimeline, lines: Sequence[Line], box: Box, span: tuple[float, float]) -> str:
    """A band for each series, coloured by its state."""
    colors = {mapping.value: COLOURS[mapping.color] for mapping in panel.mappings}
    words = max((len(line.name) for line in lines), default=0) * _CHARACTER + 16
    plot = Box(box.x + words, box.y + 26, box.w - words - 10, box.h - 50)
    height = plot.h / max(len(lines), 1)
    parts = [card(box, panel.title), *_times(plot, span)]
    for number, line in enumerate(lines):
        y = plot.y + number * height
        parts.append(text(plot.x - 6, y + height / 2 + 4, line.name, size=10, anchor="end"))
        for start, end, value in _runs(line.points, span[1]):
            x = plot.x + plot.w * (start - span[0]) / (span[1] - span[0])
            width = plot.w * (end - start) / (span[1] - span[0])
            color = colors.get(round(value), FAINT)
            parts.append(
                f'<rect x="{x:.1f}" y="{y + 2:.1f}" width="{width:.1f}" height="{height - 4:.1f}" fill="{color}"/>'
            )
    return "".join(parts)


def draw_table(panel: Table, rows: Iterable[tuple[Sequence[str], Sequence[float | None]]], box: Box) -> str:
    """Keys on the left, one column for each value, in its colour."""
    heads = [*panel.keys, *(column.title for column in panel.columns)]
    width = (box.w - 16) / len(heads)
    parts = [card(box, panel.title)]
    parts += [
        text(box.x + 8 + number * width, box.y + 36, _cut(head, width), size=10, color=PALETTE[2])
        for number, head in enumerate(heads)
    ]
    most = int((box.h - 44) // 17)
    for line, (keys, values) in enumerate(list(rows)[:most]):
        y = box.y + 54 + line * 17
        parts += [
            text(box.x + 8 + number * width, y, _cut(key, width - 18), size=11, color="#8ab8ff")
            for number, key in enumerate(keys)
        ]
        for number, (column, value) in enumerate(zip(panel.columns, values, strict=True), len(keys)):
            if value is not None:
                word, color = _worded(column.mappings, column.steps, column.unit, value)
                shown = TEXT if len(column.steps) == 1 and not column.mappings else color
                parts.append(text(box.x + 8 + number * width, y, word, color=shown))
    return "".join(parts)


def draw_text(panel: Text, box: Box) -> str:
    """Markdown without its marks, in lines as wide as the panel."""
    parts, y = [card(box, panel.title)], box.y + 36
    for paragraph in panel.content.replace("*", "").replace("`", "").split("\n\n"):
        for words in textwrap.wrap(paragraph, int((box.w - 16) / _CHARACTER)):
            if y < box.y + box.h - 4:
                parts.append(text(box.x + 8, y, words, size=10))
            y += 14
        y += 5
    return "".join(parts)


def _worded(mappings: Sequence[Mapping], steps: Sequence[Step], unit: str, value: float) -> tuple[str, str]:
    for mapping in mappings:
        if mapping.value == value:
            return mapping.text, COLOURS[mapping.color]
    return format_value(value, unit), color_at(steps, value)


def _cut(words: str, width: float) -> str:
    most = max(int(width / _CHARACTER) - 1, 3)
    return words if len(words) <= most else f"{words[: most - 1]}…"


def _nice(highest: float) -> float:
    """The end of the axis: 1, 2 or 5 times a power of ten above the highest value."""
    if highest <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(highest))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= highest)


def _axis(plot: Box, top: float, unit: str) -> Iterable[str]:
    for share in (0, 0.5, 1):
        y = plot.y + plot.h * (1 - share)
        yield f'<path d="M{plot.x:.0f} {y:.1f}h{plot.w:.0f}" stroke="{GRID}"/>'
        yield text(plot.x - 5, y + 4, format_value(top * share, unit), size=10, color=FAINT, anchor="end")


def _times(plot: Box, span: tuple[float, float]) -> Iterable[str]:
    for share in (0, 0.5, 1):
        seconds = (span[1] - span[0]) * (share - 1)
        words = "now" if not seconds else f"{seconds / 60:.1f} min"
        yield text(plot.x + plot.w * share, plot.y + plot.h + 14, words, size=9, color=FAINT, anchor="middle")


def _stack(lines: Sequence[Line]) -> list[Line]:
    """Each series on top of those before it; limits stay where they are."""
    below: dict[float, float] = {}
    stacked = []
    for line in lines:
        if line.is_limit:
            stacked.append(line)
            continue
        points = tuple((when, below.get(when, 0.0) + value) for when, value in line.points)
        below |= dict(points)
        stacked.append(Line(line.name, points))
    return stacked


def _stroke(points: Sequence[tuple[float, float]], color: str, *, dashed: bool = False) -> str:
    if not points:
        return ""
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="1.3"{dash}/>'


def _area(points: Sequence[tuple[float, float]], bottom: float, color: str) -> str:
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    closing = f"L{points[-1][0]:.1f} {bottom:.1f}L{points[0][0]:.1f} {bottom:.1f}Z"
    return f'<path d="M{path}{closing}" fill="{color}" fill-opacity="0.25"/>'


def _legend(lines: Sequence[Line], box: Box) -> str:
    parts, x, y = [], box.x + 8, box.y + box.h - 8
    for number, line in enumerate(lines[:_MOST_LEGENDS]):
        width = len(line.name) * _CHARACTER + 24
        if x + width > box.x + box.w:
            break
        color = "#f2495c" if line.is_limit else PALETTE[number % len(PALETTE)]
        parts.append(f'<rect x="{x:.0f}" y="{y - 4:.0f}" width="10" height="3" fill="{color}"/>')
        parts.append(text(x + 14, y, line.name, size=10, color=FAINT))
        x += width
    return "".join(parts)


def _runs(points: Sequence[tuple[float, float]], end: float) -> Iterable[tuple[float, float, float]]:
    """Spans of equal values."""
    start, value = None, math.nan
    for when, each in points:
        if each != value:
            if start is not None:
                yield start, when, value
            start, value = when, each
    if start is not None:
        yield start, end, value
