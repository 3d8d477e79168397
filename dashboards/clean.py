"""Brings grafanalib 0.7.1's output to the schema of today's Grafana.

grafanalib writes keys that Grafana dropped (`rows`, `span`, `intervalFactor`), nulls for what is unset, and an old
schema version that would send the dashboard through thirty migrations. Source: `Dashboard` of npm @grafana/schema 13.
"""

from __future__ import annotations

import json
from typing import Any

from grafanalib._gen import DashboardEncoder

SCHEMA_VERSION = 42
"""The dashboard schema all files are written in; Grafana migrates from here upwards."""

ALL_VALUES = "$__all"
"""What Grafana stores for a variable whose choice is "All"."""

_DEAD_IN_DASHBOARD = frozenset({"__inputs", "gnetId", "hideControls", "rows", "sharedCrosshair", "style"})
_DEAD_IN_PANEL = frozenset(
    {"color", "columns", "editable", "error", "fontSize", "height", "hideTimeOverride", "mappings", "minSpan", "span"}
)
_DEAD_IN_TARGET = frozenset({"hide", "intervalFactor", "metric", "query", "step", "target"})
_DEAD_IN_INFLUX_TARGET = frozenset({"measurement"})
_DEAD_IN_VARIABLE = frozenset({"auto", "auto_count", "auto_min", "tagValuesQuery", "tagsQuery", "useTags"})
_KEPT_IN_ROW = frozenset({"collapsed", "gridPos", "id", "panels", "title", "type"})
_KEPT_IN_TEXT = frozenset({"description", "gridPos", "id", "options", "title", "transparent", "type"})


def clean(dashboard: Any) -> dict[str, Any]:
    """Plain JSON data of a grafanalib dashboard, without what Grafana doesn't know."""
    data: dict[str, Any] = json.loads(json.dumps(dashboard, cls=DashboardEncoder))
    data = _without(data, _DEAD_IN_DASHBOARD)
    data["panels"] = [_clean_panel(panel) for panel in data["panels"]]
    data["templating"] = {"list": [_clean_variable(variable) for variable in data["templating"]["list"]]}
    data["timepicker"] = {"refresh_intervals": data["timepicker"]["refresh_intervals"]}
    data = _without_nulls(data)
    # File provisioning finds the dashboard by uid; a number of another Grafana's database must not come along.
    data["id"] = None
    return data


def _clean_panel(panel: dict[str, Any]) -> dict[str, Any]:
    if panel["type"] == "row":
        row = {key: value for key, value in panel.items() if key in _KEPT_IN_ROW}
        return row | {"panels": [_clean_panel(child) for child in row["panels"]]}
    if panel["type"] == "text":
        return {key: value for key, value in panel.items() if key in _KEPT_IN_TEXT}
    panel = _without(panel, _DEAD_IN_PANEL)
    panel["targets"] = [_clean_target(target) for target in panel["targets"]]
    if panel["type"] == "table":
        # The cell options that replaced it are in `cellOptions`.
        del panel["fieldConfig"]["defaults"]["custom"]["displayMode"]
    return panel


def _clean_target(target: dict[str, Any]) -> dict[str, Any]:
    """Add what grafanalib lacks: without `range` an instant query would be asked for twice."""
    if "resultFormat" in target:
        return _without(target, _DEAD_IN_INFLUX_TARGET)
    return _without(target, _DEAD_IN_TARGET) | {"editorMode": "code", "range": not target["instant"]}


def _clean_variable(variable: dict[str, Any]) -> dict[str, Any]:
    """Grafana chooses the first value where none is chosen here."""
    value = variable["current"]["value"]
    text = "All" if value == ALL_VALUES else value
    chosen = None if value is None else {"selected": True, "text": text, "value": value}
    return _without(variable, _DEAD_IN_VARIABLE) | {"current": chosen}


def _without(data: dict[str, Any], dead: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in dead}


def _without_nulls(data: Any) -> Any:
    """Drop unset keys; the null of a base threshold means minus infinity and stays."""
    if isinstance(data, list):
        return [_without_nulls(item) for item in data]
    if isinstance(data, dict):
        is_step = data.keys() == {"color", "value"}
        return {key: _without_nulls(value) for key, value in data.items() if value is not None or is_step}
    return data
