"""Panels as Grafana's JSON. What grafanalib can't say (`showLegend`, cell options) goes by its `extraJson`."""

from __future__ import annotations

from string import ascii_uppercase
from typing import Any

from grafanalib import core
from grafanalib.formatunits import NUMBER_FORMAT

from dashboards.colours import NEUTRAL, PLAIN, Step
from dashboards.layout import Place
from dashboards.spec import Column, Mapping, Panel, Source, Stat, StateTimeline, Table, Text, TimeSeries
from dashboards.targets import DATASOURCE_VARIABLE, data_source, target

_KEPT_VARIABLES = {Source.PROMETHEUS: (DATASOURCE_VARIABLE, "job"), Source.INFLUXDB: (DATASOURCE_VARIABLE,)}


def make_panel(panel: Panel, place: Place, number: int, source: Source) -> core.Panel:
    """The panel at its place.

    Raises:
        TypeError: a kind of panel that has no factory here.
    """
    common = {
        "id": number,
        "title": panel.title,
        "description": panel.description,
        "gridPos": grid_position(place),
        "dataSource": data_source(source),
        "maxDataPoints": None,  # grafanalib's 100 would coarsen every graph
    }
    match panel:
        case TimeSeries():
            return _time_series(panel, source, common)
        case Stat():
            return _stat(panel, source, common)
        case StateTimeline():
            return _state_timeline(panel, source, common)
        case Table():
            return _table(panel, source, common)
        case Text():
            return core.Text(content=panel.content, **common)
        case _:
            raise TypeError(f"panel {panel.slug}: {type(panel).__name__} has no factory")


def grid_position(place: Place) -> core.GridPos:
    """All four numbers: Grafana guesses where one is missing."""
    return core.GridPos(h=place.h, w=place.w, x=place.x, y=place.y)


def _time_series(panel: TimeSeries, source: Source, common: dict[str, Any]) -> core.TimeSeries:
    queries = dict(zip(ascii_uppercase[: len(panel.queries)], panel.queries, strict=True))
    return core.TimeSeries(
        targets=[target(query, letter, source) for letter, query in queries.items()],
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


def _stat(panel: Stat, source: Source, common: dict[str, Any]) -> core.Stat:
    return core.Stat(
        targets=[target(panel.query, "A", source)],
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


def _state_timeline(panel: StateTimeline, source: Source, common: dict[str, Any]) -> core.StateTimeline:
    steps = (Step(NEUTRAL, None), *(Step(each.color, each.value) for each in panel.mappings))
    return core.StateTimeline(
        targets=[target(panel.query, "A", source)],
        mappings=_mappings(panel.mappings),
        thresholds=_steps(steps),
        tooltipMode="multi",
        extraJson={
            "fieldConfig": {"defaults": {"unit": NUMBER_FORMAT}},
            "options": {"legend": {"showLegend": False, "calcs": []}, "tooltip": {"sort": "none"}},
        },
        **common,
    )


def _table(panel: Table, source: Source, common: dict[str, Any]) -> core.Table:
    """One query per column, joined on the key labels by the `merge` transformation."""
    letters = ascii_uppercase[: len(panel.columns)]
    return core.Table(
        targets=[
            target(query, letter, source, as_table=True)
            for letter, query in zip(letters, panel.expressions(), strict=True)
        ],
        thresholds=_steps(PLAIN),
        unit=NUMBER_FORMAT,
        transformations=_transformations(panel, source),
        sortBy=[core.TableSortByField(panel.sort_by, panel.descending)],
        overrides=[*map(_column, panel.columns), *_key_links(panel, source)],
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


def _transformations(panel: Table, source: Source) -> list[dict[str, Any]]:
    """InfluxQL's columns have their titles already, and each query a time of its own, which would tear rows apart."""
    titles = [column.title for column in panel.columns]
    if source is Source.INFLUXDB:
        order = {name: index for index, name in enumerate((*panel.keys, *titles))}
        return [
            {"id": "filterFieldsByName", "options": {"exclude": {"names": ["Time"]}}},
            {"id": "merge", "options": {}},
            {"id": "organize", "options": {"excludeByName": {}, "indexByName": order, "renameByName": {}}},
        ]
    values = [f"Value #{letter}" for letter in ascii_uppercase[: len(titles)]] if len(titles) > 1 else ["Value"]
    order = {name: index for index, name in enumerate((*panel.keys, *values))}
    names = dict(zip(values, titles, strict=True))
    organize = {"excludeByName": {"Time": True}, "indexByName": order, "renameByName": names}
    return [{"id": "merge", "options": {}}, {"id": "organize", "options": organize}]


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


def _key_links(panel: Table, source: Source) -> list[dict[str, Any]]:
    kept = "&".join(f"${{{name}:queryparam}}" for name in _KEPT_VARIABLES[source])
    overrides = []
    for link in panel.links:
        # A column may stand under another name than the variable that it fills: telegraf's container_name.
        carried = "&".join(f"var-{_variable_of(key)}=${{__data.fields.{key}}}" for key in link.carried)
        url = f"/d/{link.dashboard_uid}?{carried}&{kept}&${{__url_time_range}}"
        overrides.append(_override("byName", link.key, {"links": [{"title": "Open", "url": url}]}))
    return overrides


def _variable_of(key: str) -> str:
    return "name" if key == "container_name" else key


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
