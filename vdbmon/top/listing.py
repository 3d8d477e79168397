"""Which rows are shown and in which order: hosts with their containers below them, sorted and filtered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from vdbmon.top.fleet import HostView, Key, Trend
from vdbmon.top.rows import ContainerRow, Figures


class Sort(Enum):
    """By what rows are sorted, the highest first; the value is the word on the screen."""

    CPU = "cpu"
    MEMORY = "memory"
    READ = "read"
    WRITE = "write"
    NETWORK = "network"

    def rank(self, figures: Figures) -> float:
        """The figure that counts; what isn't known counts as nothing."""
        match self:
            case Sort.READ:
                value = figures.read.used
            case Sort.WRITE:
                value = figures.write.used
            case Sort.MEMORY:
                value = figures.memory.used
            case Sort.NETWORK:
                return (figures.received.used or 0.0) + (figures.sent.used or 0.0)
            case Sort.CPU:
                value = figures.cpu.used
        return value or 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a container, or where `container` is None its host."""

    host: HostView
    container: ContainerRow | None = None

    @property
    def key(self) -> Key:
        """What tells the row from all others, whatever it is sorted by."""
        return self.host.url, self.container.name if self.container else None

    @property
    def figures(self) -> Figures:
        """Its columns; empty while the agent doesn't answer."""
        if self.container is not None:
            return self.container.figures
        return self.host.row.figures if self.host.row else Figures()

    @property
    def trend(self) -> Trend:
        """Its sparklines."""
        return self.host.trends.get(self.key[1], Trend())


def list_rows(views: Sequence[HostView], sort: Sort, wanted: str = "") -> tuple[Row, ...]:
    """The rows in their order. Hosts that don't answer come first: they are what somebody should look at.

    `wanted` is part of the name of a host, or of a container, its image or a group of processes in it, in any case; a
    host is shown with all its containers or with those that fit.
    """
    wanted = wanted.casefold()
    ranked = sorted(views, key=lambda view: (not view.problem, -_rank(view, sort), view.name))
    return tuple(row for view in ranked for row in _rows(view, sort, wanted))


def _rank(view: HostView, sort: Sort) -> float:
    return sort.rank(view.row.figures) if view.row else 0.0


def _rows(view: HostView, sort: Sort, wanted: str) -> Iterator[Row]:
    containers = view.row.containers if view.row else ()
    if wanted and wanted not in view.name.casefold():
        containers = tuple(container for container in containers if _fits(container, wanted))
        if not containers:
            return
    yield Row(view)
    for container in sorted(containers, key=lambda row: (-sort.rank(row.figures), row.name)):
        yield Row(view, container)


def _fits(container: ContainerRow, wanted: str) -> bool:
    names = (container.name, container.image, *(group.name for group in container.groups))
    return any(wanted in name.casefold() for name in names)


def selected_index(rows: Sequence[Row], selected: Key | None, before: int) -> int:
    """Where the selected row is now; if it is gone, what is in its place."""
    for index, row in enumerate(rows):
        if row.key == selected:
            return index
    return max(min(before, len(rows) - 1), 0)


def first_shown(index: int, first: int, room: int, total: int) -> int:
    """The first row on the screen: moved as little as possible so that row `index` is among the `room` shown."""
    first = min(first, index)
    first = max(first, index - room + 1)
    return max(min(first, total - room), 0)
