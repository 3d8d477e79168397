"""Grafana's JSON schema of a dashboard (tests/fixtures/grafana/README.md says where it is from)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator

Json = dict[str, Any]

_SCHEMA = json.loads((Path(__file__).parents[1] / "fixtures/grafana/dashboard.schema.json").read_text())
_DASHBOARD = _SCHEMA["definitions"]["VdbmonDashboard"]
_PANELS = {
    option["properties"]["type"]["const"]: option for option in _DASHBOARD["properties"]["panels"]["items"]["anyOf"]
}

# The core schema types an annotation's query as that of Grafana's own data source; a plugin's keys are its own.
_OF_PLUGINS = frozenset({"target", "tagKeys", "titleFormat", "useValueForTime"})


def panels_and_rows(dashboard: Json) -> Iterator[Json]:
    """Also those in collapsed rows."""
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", [])


def schema_errors(dashboard: Json) -> list[str]:
    """Panels are checked against the schema of their type, so that an error names the key and not the whole panel."""
    marks = [
        {key: value for key, value in mark.items() if key not in _OF_PLUGINS}
        for mark in dashboard["annotations"].get("list", [])
    ]
    outer = {**dashboard, "panels": [], "annotations": {"list": marks}}
    errors = [error.message for error in Draft7Validator(_DASHBOARD).iter_errors(outer)]
    return errors + [error for panel in panels_and_rows(dashboard) for error in panel_errors(panel)]


def panel_errors(panel: Json) -> list[str]:
    """Of one panel, or of a row without its panels."""
    if panel["type"] not in _PANELS:
        return [f"{panel['title']}: panel type {panel['type']}"]
    validator = Draft7Validator(_PANELS[panel["type"]])
    found = validator.iter_errors({**panel, "panels": []} if panel["type"] == "row" else panel)
    return [f"{panel['title']}: {'.'.join(map(str, error.path))}: {error.message}" for error in found]
