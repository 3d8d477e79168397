"""A whole screen: what is watched, the table, the selected row in full, and the keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from vdbmon.top.controls import Controls
from vdbmon.top.fleet import HostView
from vdbmon.top.glyphs import Glyphs
from vdbmon.top.listing import Row, Sort, list_rows
from vdbmon.top.table import GRAVE, QUIET, inside, name_width, problem, table_lines

_ABOVE = 2  # the summary and the headings
_BELOW = 3  # two lines of the selected row, and the keys
_LEAST_ROWS = 3  # a screen with room for fewer shows the table alone


@dataclass(frozen=True, slots=True)
class Size:
    """Of a terminal, in cells."""

    width: int
    height: int

    @property
    def has_details(self) -> bool:
        """Whether there is room for more than the table."""
        return self.height >= _ABOVE + _LEAST_ROWS + _BELOW

    @property
    def room(self) -> int:
        """Rows of the table that can be shown."""
        return max(self.height - _ABOVE - (_BELOW if self.has_details else 0), 0)


def screen_lines(
    views: Sequence[HostView], rows: Sequence[Row], controls: Controls, *, size: Size, glyphs: Glyphs, clock: str
) -> list[Text]:
    """At most `size.height` lines of `size.width` cells; `clock` is the time of day."""
    shown = rows[controls.first : controls.first + size.room]
    selected = controls.index - controls.first if controls.selected is not None else None
    names = max(map(name_width, rows), default=0)
    lines = [
        summary(views, size.width, glyphs, f"by {controls.sort.value}", clock),
        *table_lines(shown, size.width, glyphs, selected=selected, longest_name=names),
    ]
    if size.has_details:
        lines += [Text(" " * size.width)] * (size.room - len(shown))
        lines += _details(rows[controls.index] if rows else None, controls, size.width, glyphs)
        lines.append(_keys(controls, size.width, glyphs))
    return lines[: size.height]


def table_once(views: Sequence[HostView], sort: Sort, wanted: str, *, width: int, glyphs: Glyphs) -> list[Text]:
    """All rows, to be printed and left there; no blanks at the ends of lines, which a file doesn't need."""
    rows = list_rows(views, sort, wanted)
    names = max(map(name_width, rows), default=0)
    table = table_lines(rows, width, glyphs, longest_name=names, trends=False)
    lines = [summary(views, width, glyphs, f"by {sort.value}", ""), *table]
    for line in lines:
        line.rstrip()
    return lines


def summary(views: Sequence[HostView], width: int, glyphs: Glyphs, order: str, clock: str) -> Text:
    """How many hosts and containers there are, and how many hosts say nothing."""
    silent = sum(bool(view.problem) for view in views)
    containers = sum(len(view.row.containers) for view in views if view.row)
    line = Text("vdbmon top  ", "bold")
    line.append(f"{_count(len(views), 'host')}, ", "not bold")
    if silent:
        line.append(f"{silent} without answer, ", GRAVE)
    line.append(f"{_count(containers, 'container')}, {order}", "not bold")
    line.truncate(max(width - cell_len(clock) - 1, 0))
    line.append(f"{clock:>{max(width - cell_len(line.plain), 0)}}", "not bold")
    line.truncate(width)
    line.plain = glyphs.shown(line.plain)
    return line


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"


def _details(row: Row | None, controls: Controls, width: int, glyphs: Glyphs) -> list[Text]:
    """The selected row, or the first, with what had no room in the table."""
    if row is None:
        fits_none = f"nothing fits the filter {controls.wanted}" if controls.wanted else ""
        return [Text(glyphs.fitted(fits_none, width), QUIET), Text(" " * width)]
    words, style = inside(row)
    if row.container is None:
        head, body = f"{row.host.name}: {row.host.url}", problem(row) or words
    else:
        head, body = f"{row.container.name} on {row.host.name}: {row.container.image}", f"inside: {words}"
    return [Text(glyphs.fitted(head, width), QUIET), Text(glyphs.fitted(body, width), style)]


def _keys(controls: Controls, width: int, glyphs: Glyphs) -> Text:
    if controls.typing:
        return Text(glyphs.fitted(f"filter: {controls.wanted}_   Enter keeps it, Esc clears it", width))
    keys = f"q quit  / filter  {glyphs.arrows} select  by: c cpu  m memory  r read  w write  n network"
    if controls.wanted:
        keys = f"filter: {controls.wanted} (Esc clears)  {keys}"
    return Text(glyphs.fitted(keys, width), QUIET)
