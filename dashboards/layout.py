"""Places panels on Grafana's grid of 24 columns, left to right and top to bottom, each row under its title.

Grafana guesses where a position is incomplete, and guesses wrong, so every panel gets all four numbers; the children
of a collapsed row have the places they take once it is opened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from dashboards.spec import GRID_COLUMNS, Panel, Row

_TITLE_HEIGHT = 1
_ID_BYTES = 4
_ID_MASK = 0x7FFFFFFF


@dataclass(frozen=True, slots=True)
class Place:
    """Position and size in grid units."""

    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True, slots=True)
class PlacedRow:
    """A row, where its title stands and where its panels stand."""

    row: Row
    title: Place
    panels: tuple[tuple[Panel, Place], ...]


def place_rows(rows: Sequence[Row]) -> tuple[PlacedRow, ...]:
    """Stack the rows; what follows a collapsed row stands right under its title.

    Raises:
        ValueError: a panel is wider than the grid or has no size.
    """
    placed: list[PlacedRow] = []
    y = 0
    for row in rows:
        title = Place(0, y, GRID_COLUMNS, _TITLE_HEIGHT)
        panels, bottom = _place_panels(row.panels, y + _TITLE_HEIGHT)
        placed.append(PlacedRow(row, title, panels))
        y = y + _TITLE_HEIGHT if row.collapsed else bottom
    return tuple(placed)


def _place_panels(panels: Sequence[Panel], top: int) -> tuple[tuple[tuple[Panel, Place], ...], int]:
    """The panels with their places, and the first grid row below them."""
    placed: list[tuple[Panel, Place]] = []
    x, y, bottom = 0, top, top
    for panel in panels:
        if not 0 < panel.width <= GRID_COLUMNS or panel.height <= 0:
            raise ValueError(f"panel {panel.slug}: {panel.width} x {panel.height} does not fit the grid")
        if x + panel.width > GRID_COLUMNS:
            x, y = 0, bottom
        placed.append((panel, Place(x, y, panel.width, panel.height)))
        x += panel.width
        bottom = max(bottom, y + panel.height)
    return tuple(placed), bottom


def panel_ids(uid: str, slugs: Sequence[str]) -> Mapping[str, int]:
    """A number for each slug that stays the same whatever else the dashboard gains or loses.

    Raises:
        ValueError: a slug stands twice, or two slugs get the same number.
    """
    ids: dict[str, int] = {}
    for slug in slugs:
        digest = sha256(f"{uid}/{slug}".encode()).digest()
        number = int.from_bytes(digest[:_ID_BYTES], "big") & _ID_MASK
        if slug in ids or number in ids.values():
            raise ValueError(f"dashboard {uid}: {slug!r} is used twice or its id collides; choose another slug")
        ids[slug] = number
    return ids
