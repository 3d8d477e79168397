"""Short forms of the panels that the dashboards are mostly made of."""

from __future__ import annotations

from dataclasses import dataclass

from grafanalib.formatunits import NUMBER_FORMAT

from dashboards.colours import NONE_IS_GOOD, PLAIN, Step
from dashboards.spec import Mapping, Query, Stat, TimeSeries


def glance(
    slug: str,
    title: str,
    description: str,
    expr: str,
    *,
    unit: str,
    steps: tuple[Step, ...] = PLAIN,
    mappings: tuple[Mapping, ...] = (),
    width: int = 4,
) -> Stat:
    """One number, named by its title."""
    return Stat(
        slug=slug,
        title=title,
        description=description,
        unit=unit,
        query=Query(expr, title),
        steps=steps,
        mappings=mappings,
        width=width,
    )


def faults(slug: str, title: str, description: str, expr: str, *, width: int = 4) -> Stat:
    """How many there are of what ought not to be."""
    return glance(slug, title, description, expr, unit=NUMBER_FORMAT, steps=NONE_IS_GOOD, width=width)


def lines(
    slug: str,
    title: str,
    description: str,
    *queries: Query,
    unit: str,
    steps: tuple[Step, ...] = PLAIN,
    stacked: bool = False,
    width: int = 8,
) -> TimeSeries:
    """The queries over time."""
    return TimeSeries(
        slug=slug,
        title=title,
        description=description,
        unit=unit,
        queries=queries,
        steps=steps,
        stacked=stacked,
        width=width,
    )


@dataclass(frozen=True, slots=True)
class Graph:
    """Lines over time without their questions: for dashboards of several data sources. See `lines`."""

    slug: str
    title: str
    description: str
    unit: str
    steps: tuple[Step, ...] = PLAIN
    stacked: bool = False

    def of(self, *queries: Query, width: int = 8) -> TimeSeries:
        """The panel."""
        return lines(
            self.slug,
            self.title,
            self.description,
            *queries,
            unit=self.unit,
            steps=self.steps,
            stacked=self.stacked,
            width=width,
        )


@dataclass(frozen=True, slots=True)
class Number:
    """One number without its question. See `glance`."""

    slug: str
    title: str
    description: str
    unit: str
    steps: tuple[Step, ...] = PLAIN

    def of(self, expr: str, width: int = 4) -> Stat:
        """The panel."""
        return glance(self.slug, self.title, self.description, expr, unit=self.unit, steps=self.steps, width=width)
