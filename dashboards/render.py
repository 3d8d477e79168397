"""From the spec to Grafana's JSON, by way of grafanalib's factories.

What grafanalib can't say (`showLegend`, cell options, three keys of stat) is added through its `extraJson`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping as MappingView
from string import ascii_uppercase
from typing import Any

from grafanalib import core
from grafanalib.formatunits import NUMBER_FORMAT

from dashboards.clean import ALL_VALUES, SCHEMA_VERSION, clean
from dashboards.colours import PLAIN, Step
from dashboards.layout import Place, PlacedRow, panel_ids, place_rows
from dashboards.spec import Column, Dashboard, Mapping, Panel, Query, Row, Stat, Table, Text, TimeSeries, Variable
from dashboards.variables import DATASOURCE_VARIABLE, PROMETHEUS_UID

TAG = "vdbmon"
DASHBOARD_VERSION = 1
"""Grafana counts its own versions of provisioned files; a number of ours that moved would only make noise."""

_DATASOURCE = {"type": "prometheus", "uid": f"${{{DATASOURCE_VARIABLE}}}"}
_ON_TIME_RANGE_CHANGE = 2
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
    return core.Dashboard(
        title=dashboard.title,
        description=dashboard.description,
        uid=dashboard.uid,
        editable=False,
        tags=[TAG],
        schemaVersion=SCHEMA_VERSION,
        version=DASHBOARD_VERSION,
        graphTooltip=_SHARED_CROSSHAIR,
        refresh="30s",
        time=core.Time("now-3h", "now"),
        timePicker=core.TimePicker(["5s", "10s", "30s", "1m", "5m", "15m"], []),
        timezone="browser",
        annotations=core.Annotations(),
        links=[core.DashboardLink(title="vdbmon", tags=[TAG], includeVars=True, keepTime=True)],
        templating=core.Templating([_datasource_variable(), *map(_variable, dashboard.variables)]),
        panels=[item for placed in place_rows(dashboard.rows) for item in _row(placed, ids)],
    )


def _datasource_variable() -> core.Template:
    return core.Template(
        name=DATASOURCE_VARIABLE,
        label="Data source",
        type="datasource",
        query="prometheus",
        default=PROMETHEUS_UID,
    )


def _variable(variable: Variable) -> core.Template:
    several = variable.all_value is not None
    return core.Template(
        name=variable.name,
        label=variable.label,
        query=variable.query,
        dataSource=_DATASOURCE,
        refresh=_ON_TIME_RANGE_CHANGE,
        multi=several,
        includeAll=several,
        allValue=variable.all_value,
        default=ALL_VALUES if several else None,
    )


def _row(placed: PlacedRow, ids: MappingView[str, int]) -> list[core.Panel]:
    """The row's title and its panels: beside it in the list where it is open, within it where it is collapsed."""
    children = [_panel(panel, place, ids[panel.slug]) for panel, place in placed.panels]
    row = placed.row
    title = core.RowPanel(
        title=row.title,
        id=ids[_row_slug(row)],
        gridPos=_grid_position(placed.title),
        collapsed=row.collapsed,
        panels=children if row.collapsed else [],
    )
    return [title] if row.collapsed else [title, *children]


def _row_slug(row: Row) -> str:
    """A row may be called as a panel in it."""
    return f"row {row.slug}"


def _panel(panel: Panel, place: Place, number: int) -> core.Panel:
    common = {
        "id": number,
        "title": panel.title,
        "description": panel.description,
        "gridPos": _grid_position(place),
        "dataSource": _DATASOURCE,
        "maxDataPoints": None,  # grafanalib's 100 would coarsen every graph
    }
    match panel:
        case TimeSeries():
            return _time_series(panel, common)
        case Stat():
            return _stat(panel, common)
        case Table():
            return _table(panel, common)
        case Text():
            return core.Text(content=panel.content, **common)
        case _:
            raise TypeError(f"panel {panel.slug}: {type(panel).__name__} has no factory")


def _time_series(panel: TimeSeries, common: dict[str, Any]) -> core.TimeSeries:
    queries = dict(zip(ascii_uppercase[: len(panel.queries)], panel.queries, strict=True))
    return core.TimeSeries(
        targets=[_target(query, letter) for letter, query in queries.items()],
        unit=panel.unit,
        valueMin=0,
        fillOpacity=30 if panel.stacked else 5,
        stacking={"mode": "normal" if panel.stacked else "none", "group": "A"},
        thresholds=_steps(panel.steps),
        thresholdsStyleMode="dashed" if len(panel.steps) > 1 else "off",
        tooltipMode="multi",
        tooltipSort="desc",
        overrides=[_limit_line(letter) for letter, query in queries.items() if query.is_limit],
        extraJson={"options": {"legend": {"showLegend": True}}},
        **common,
    )


def _limit_line(letter: str) -> dict[str, Any]:
    return _override(
        "byFrameRefID",
        letter,
        {
            "color": {"mode": "fixed", "fixedColor": "red"},
            "custom.fillOpacity": 0,
            "custom.lineStyle": {"fill": "dash", "dash": [10, 10]},
            "custom.stacking": {"mode": "none", "group": "A"},
        },
    )


def _stat(panel: Stat, common: dict[str, Any]) -> core.Stat:
    return core.Stat(
        targets=[_target(panel.query, "A")],
        format=panel.unit,
        thresholds=_steps(panel.steps),
        mappings=_mappings(panel.mappings),
        color={"mode": "thresholds"},
        noValue="no data",
        reduceCalc="lastNotNull",
        graphMode="none" if panel.mappings else "area",
        extraJson={"options": {"percentChangeColorMode": "standard", "showPercentChange": False, "wideLayout": True}},
        **common,
    )


def _table(panel: Table, common: dict[str, Any]) -> core.Table:
    """One instant query per column, joined on the key labels by the `merge` transformation."""
    letters = ascii_uppercase[: len(panel.columns)]
    titles = {
        f"Value #{letter}" if len(panel.columns) > 1 else "Value": column.title
        for letter, column in zip(letters, panel.columns, strict=True)
    }
    order = {name: index for index, name in enumerate((*panel.keys, *titles))}
    organize = {"excludeByName": {"Time": True}, "indexByName": order, "renameByName": titles}
    return core.Table(
        targets=[
            _target(Query(column.expr, column.title), letter, instant=True)
            for letter, column in zip(letters, panel.columns, strict=True)
        ],
        thresholds=_steps(PLAIN),
        unit=NUMBER_FORMAT,
        transformations=[{"id": "merge", "options": {}}, {"id": "organize", "options": organize}],
        sortBy=[core.TableSortByField(panel.sort_by, panel.descending)],
        overrides=[*map(_column, panel.columns), *_key_links(panel)],
        extraJson={
            "fieldConfig": {
                "defaults": {
                    "color": {"mode": "thresholds"},
                    "custom": {"cellOptions": {"type": "auto"}, "inspect": False},
                }
            },
            "options": {"cellHeight": "sm", "frameIndex": 0},
        },
        **common,
    )


def _column(column: Column) -> dict[str, Any]:
    coloured = len(column.steps) > 1 or bool(column.mappings)
    return _override(
        "byName",
        column.title,
        {
            "unit": column.unit,
            "thresholds": {"mode": "absolute", "steps": _steps(column.steps)},
            "mappings": _mappings(column.mappings),
            "custom.cellOptions": {"type": "color-text" if coloured else "auto"},
        },
    )


def _key_links(panel: Table) -> list[dict[str, Any]]:
    kept = f"${{{DATASOURCE_VARIABLE}:queryparam}}&${{job:queryparam}}&${{__url_time_range}}"
    overrides = []
    for link in panel.links:
        carried = "&".join(f"var-{key}=${{__data.fields.{key}}}" for key in link.carried)
        url = f"/d/{link.dashboard_uid}?{carried}&{kept}"
        overrides.append(_override("byName", link.key, {"links": [{"title": "Open", "url": url}]}))
    return overrides


def _target(query: Query, letter: str, *, instant: bool = False) -> core.Target:
    return core.Target(
        expr=query.expr,
        legendFormat=query.legend,
        refId=letter,
        instant=instant,
        format="table" if instant else "time_series",
        datasource=_DATASOURCE,
    )


def _override(matcher: str, name: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "matcher": {"id": matcher, "options": name},
        "properties": [{"id": key, "value": value} for key, value in properties.items()],
    }


def _steps(steps: tuple[Step, ...]) -> list[dict[str, Any]]:
    return [{"color": step.color, "value": step.value} for step in steps]


def _mappings(mappings: tuple[Mapping, ...]) -> list[dict[str, Any]]:
    if not mappings:
        return []
    options = {
        str(mapping.value): {"text": mapping.text, "color": mapping.color, "index": index}
        for index, mapping in enumerate(mappings)
    }
    return [{"type": "value", "options": options}]


def _grid_position(place: Place) -> core.GridPos:
    return core.GridPos(h=place.h, w=place.w, x=place.x, y=place.y)
