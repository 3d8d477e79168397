"""Every id in the dashboards is one that Grafana's own code knows: units, colours, reducers, transformations, matchers.

The schema types them as strings, and Grafana leaves out what it doesn't know without a word. Where the ids are from:
tests/fixtures/grafana/README.md.
"""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboards.generated import dashboard_files
from tests.support.grafana_schema import panel_errors, panels_and_rows

Json = dict[str, Any]
KNOWN: dict[str, list[str]] = json.loads((Path(__file__).parents[1] / "fixtures/grafana/ids.json").read_text())
DASHBOARDS: dict[str, Json] = {name: json.loads(content) for name, content in dashboard_files().items()}
each_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=list(DASHBOARDS))


def found(document: Any) -> Iterator[tuple[str, str]]:
    """Ids by kind, wherever they stand."""
    if isinstance(document, list):
        for item in document:
            yield from found(item)
    elif isinstance(document, dict):
        for key, value in document.items():
            yield from ids_under(key, value)
            yield from found(value)
        if document.get("id") == "unit":
            yield "units", document["value"]  # of an override


def ids_under(key: str, value: Any) -> list[tuple[str, str]]:
    """Those that a key has by its meaning."""
    match key, value:
        case "unit", str():
            return [("units", value)]
        case "calcs", list():
            return [("reducers", each) for each in value]
        case "transformations", list():
            return [("transformations", each["id"]) for each in value]
        case "matcher", {"id": str(matcher)}:
            return [("matchers", matcher)]
        case "color", {"mode": str(mode)}:
            return [("colorModes", mode)]
        case (("color" | "fixedColor" | "iconColor"), str()):
            return [("colors", value)]
    return []


@each_dashboard
def test_every_id_is_known_to_grafana(dashboard: Json) -> None:
    used = set(found(dashboard))
    assert {kind for kind, _ in used} >= {"units", "colors", "colorModes", "reducers"}
    assert sorted((kind, name) for kind, name in used if name not in KNOWN[kind]) == []


def test_all_kinds_are_looked_for() -> None:
    assert {kind for dashboard in DASHBOARDS.values() for kind, _ in found(dashboard)} == KNOWN.keys()


@each_dashboard
def test_an_override_sets_what_the_panel_has(dashboard: Json) -> None:
    """The schema leaves an override's property open, so each is tried where it would stand without the override."""
    tried = []
    for panel in panels_and_rows(dashboard):
        for override in panel.get("fieldConfig", {}).get("overrides", []):
            for setting in override["properties"]:
                if (panel["type"], setting) not in tried:
                    tried.append((panel["type"], setting))
                    assert panel_errors(overridden(panel, setting)) == []
    assert tried


def test_an_override_of_what_a_panel_has_not_is_refused() -> None:
    graph = next(panel for panel in DASHBOARDS["vdbmon-fleet.json"]["panels"] if panel["type"] == "timeseries")
    for setting in ({"id": "custom.lineStile", "value": {}}, {"id": "unit", "value": 7}):
        assert panel_errors(overridden(graph, setting)) != []


def overridden(panel: Json, setting: Json) -> Json:
    """The panel with the setting for all its fields."""
    changed = copy.deepcopy(panel)
    place = changed["fieldConfig"]["defaults"]
    *outer, last = setting["id"].split(".")
    for name in outer:
        place = place.setdefault(name, {})
    place[last] = setting["value"]
    return changed
