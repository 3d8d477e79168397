"""From the spec to Grafana's JSON, by way of grafanalib's factories: the dashboard, its rows and links.

Panels are made in `dashboards.panel_json`, what they ask in `dashboards.targets`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping as MappingView

from grafanalib import core

from dashboards.clean import SCHEMA_VERSION, clean
from dashboards.layout import PlacedRow, panel_ids, place_rows
from dashboards.panel_json import grid_position, make_panel
from dashboards.spec import Dashboard, Neighbour, Row, Source
from dashboards.targets import annotation, data_source_variable, query_variable

TAGS = {Source.PROMETHEUS: "vdbmon", Source.INFLUXDB: "vdbmon-influxdb"}
"""By which the dashboards of one data source find each other: another's would not have the same variables."""

DASHBOARD_VERSION = 1
"""Grafana counts its own versions of provisioned files; a number of ours that moved would only make noise."""

_SHARED_CROSSHAIR = 1


def render(dashboard: Dashboard) -> str:
    """The dashboard's file: the same bytes for the same spec, whatever the hash seed.

    Raises:
        ValueError: a panel doesn't fit the grid, or two share an id.
    """
    return json.dumps(clean(_dashboard(dashboard)), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _dashboard(dashboard: Dashboard) -> core.Dashboard:
    slugs = [*map(_row_slug, dashboard.rows), *(panel.slug for panel in dashboard.panels())]
    ids = panel_ids(dashboard.uid, slugs)
    source, tag = dashboard.source, TAGS[dashboard.source]
    return core.Dashboard(
        title=dashboard.title,
        description=dashboard.description,
        uid=dashboard.uid,
        editable=False,
        tags=[tag],
        schemaVersion=SCHEMA_VERSION,
        version=DASHBOARD_VERSION,
        graphTooltip=_SHARED_CROSSHAIR,
        refresh="30s",
        time=core.Time("now-3h", "now"),
        timePicker=core.TimePicker(["5s", "10s", "30s", "1m", "5m", "15m"], []),
        timezone="browser",
        annotations=core.Annotations([annotation(mark, source) for mark in dashboard.annotations]),
        links=[*map(_link, dashboard.neighbours), _all_dashboards(tag)],
        templating=core.Templating(
            [data_source_variable(source), *(query_variable(each, source) for each in dashboard.variables)]
        ),
        panels=[item for placed in place_rows(dashboard.rows) for item in _row(placed, ids, source)],
    )


def _link(neighbour: Neighbour) -> core.DashboardLink:
    return core.DashboardLink(
        type="link", icon="dashboard", title=neighbour.title, uri=f"/d/{neighbour.uid}", includeVars=True, keepTime=True
    )


def _all_dashboards(tag: str) -> core.DashboardLink:
    return core.DashboardLink(
        title="All of vdbmon", tags=[tag], type="dashboards", asDropdown=True, includeVars=True, keepTime=True
    )


def _row(placed: PlacedRow, ids: MappingView[str, int], source: Source) -> list[core.Panel]:
    """The row's title and its panels: beside it in the list where it is open, within it where it is collapsed."""
    children = [make_panel(panel, place, ids[panel.slug], source) for panel, place in placed.panels]
    row = placed.row
    title = core.RowPanel(
        title=row.title,
        id=ids[_row_slug(row)],
        gridPos=grid_position(placed.title),
        collapsed=row.collapsed,
        panels=children if row.collapsed else [],
    )
    return [title] if row.collapsed else [title, *children]


def _row_slug(row: Row) -> str:
    """A row may be called as a panel in it."""
    return f"row {row.slug}"
