"""What a dashboard is made of, as data: rows of panels, each a question with its queries, unit and colours.

`dashboards.render` turns it into Grafana's JSON. Sizes are in Grafana's grid: 24 columns, rows of 30 pixels. Units are
Grafana's ids (`grafanalib.formatunits`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from dashboards.colours import PLAIN, Step

GRID_COLUMNS = 24


class Source(StrEnum):
    """Where a dashboard's figures come from, in Grafana's word for the type of data source."""

    PROMETHEUS = "prometheus"
    INFLUXDB = "influxdb"


@dataclass(frozen=True, slots=True)
class Query:
    """One expression in the language of the dashboard's source (PromQL, InfluxQL), and the name of its series.

    Grafana fills in `{{label}}` (PromQL) and `$tag_name` (InfluxQL). A limit is drawn dashed, unfilled and outside the
    stack.
    """

    expr: str
    legend: str
    is_limit: bool = False


@dataclass(frozen=True, slots=True)
class Mapping:
    """What a value means in words; `color` is a Grafana colour name."""

    value: int
    text: str
    color: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """What all panels have.

    Attributes:
        slug: names the panel within its dashboard for good: its id, and so links to it, derive from it.
        description: what is shown, and what to do when it is bad.
        width: grid columns.
        height: grid rows.
    """

    slug: str
    title: str
    description: str
    width: int = 8
    height: int = 8

    def expressions(self) -> tuple[Query, ...]:
        """All that the panel asks its data source, in order."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSeries(Panel):
    """Lines over time.

    Attributes:
        steps: colours of values; drawn as dashed lines, since series have colours of their own.
        stacked: the series are parts of one whole.
    """

    unit: str
    queries: tuple[Query, ...]
    steps: tuple[Step, ...] = PLAIN
    stacked: bool = False

    def expressions(self) -> tuple[Query, ...]:
        """All lines."""
        return self.queries


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat(Panel):
    """One number that is read at a glance."""

    unit: str
    query: Query
    steps: tuple[Step, ...] = PLAIN
    mappings: tuple[Mapping, ...] = ()
    width: int = 4
    height: int = 4

    def expressions(self) -> tuple[Query, ...]:
        """The one number."""
        return (self.query,)


@dataclass(frozen=True, slots=True, kw_only=True)
class StateTimeline(Panel):
    """Which state each series was in, as a band per series; the mappings name and colour the states."""

    query: Query
    mappings: tuple[Mapping, ...]

    def expressions(self) -> tuple[Query, ...]:
        """The states, as numbers."""
        return (self.query,)


@dataclass(frozen=True, slots=True)
class Column:
    """One value per row of a table."""

    title: str
    expr: str
    unit: str
    steps: tuple[Step, ...] = PLAIN
    mappings: tuple[Mapping, ...] = ()


@dataclass(frozen=True, slots=True)
class KeyLink:
    """Makes the cells of a key column lead to another dashboard, with time range and variables kept."""

    key: str
    dashboard_uid: str
    carried: tuple[str, ...]
    """Key columns whose value becomes the variable of the same name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Panel):
    """Current values, one row per combination of the key labels.

    Attributes:
        keys: labels that identify a row; every column's expression must be aggregated to exactly these.
        sort_by: title of the column to sort by.
        descending: the largest value first.
    """

    keys: tuple[str, ...]
    columns: tuple[Column, ...]
    sort_by: str
    descending: bool = True
    links: tuple[KeyLink, ...] = ()
    width: int = 24

    def expressions(self) -> tuple[Query, ...]:
        """One for each column."""
        return tuple(Query(column.expr, column.title) for column in self.columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Panel):
    """Markdown: how to read what stands beside it."""

    content: str


@dataclass(frozen=True, slots=True)
class Row:
    """A titled group of panels; a collapsed one is opened on demand and costs no queries before."""

    slug: str
    title: str
    panels: tuple[Panel, ...]
    collapsed: bool = False


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top of the dashboard, filled from the labels in the data source.

    Attributes:
        query: Grafana's `label_values(selector, label)`, or InfluxQL's SHOW TAG VALUES.
        all_value: regular expression for "All" of a variable with several values; None for one that takes one value.
    """

    name: str
    label: str
    query: str
    all_value: str | None = None


@dataclass(frozen=True, slots=True)
class Annotation:
    """Moments or spans that are marked in every graph of the dashboard.

    Attributes:
        expr: PromQL, a span wherever it has a value; or InfluxQL that selects `text`.
        title: of the mark; PromQL's `{{label}}` is filled in.
        tags: labels shown with it.
        is_moment: the value is the time of the mark in milliseconds; Prometheus only.
        color: Grafana colour name.
    """

    name: str
    expr: str
    title: str
    tags: tuple[str, ...]
    color: str
    is_moment: bool = False


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A dashboard that is one click away, with time range and variables kept."""

    title: str
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """One dashboard; `uid` is its address and never changes."""

    uid: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]
    source: Source = Source.PROMETHEUS
    neighbours: tuple[Neighbour, ...] = ()
    annotations: tuple[Annotation, ...] = ()

    def panels(self) -> Iterator[Panel]:
        """Every panel, in reading order."""
        for row in self.rows:
            yield from row.panels
