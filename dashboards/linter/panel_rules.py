"""Rules about one panel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from grafanalib import formatunits

from dashboards.linter.document import Document, place_of

Json = dict[str, Any]
Found = tuple[str, str, str]  # rule, place, message

LEGACY = frozenset(
    {
        *("ae3e-plotly-panel", "graph", "grafana-piechart-panel", "grafana-singlestat-panel", "grafana-worldmap-panel"),
        *("natel-discrete-panel", "natel-plotly-panel", "singlestat", "table-old"),
    }
)
"""Angular panels and their kin, which Grafana 12 no longer draws."""

_WITH_UNIT = frozenset({"stat", "singlestat", "gauge", "table", "timeseries", "bargauge"})
_WITHOUT_TARGETS = frozenset({"text", "row", "dashlist", "news", "annolist", "alertlist"})
_UNITS = frozenset(value for name, value in vars(formatunits).items() if name.isupper())


def findings(document: Document, panel: Json) -> Iterator[Found]:
    """What is wrong with it."""
    place = place_of(panel)
    if panel.get("type") in LEGACY:
        yield "legacy-panel-type", place, f"type {panel['type']} was removed from Grafana"
    if not panel.get("title") or not panel.get("description"):
        yield "panel-title-description-rule", place, "lacks a title or a description that says what to do"
    if panel.get("type") in _WITHOUT_TARGETS:
        return
    if not panel.get("targets"):
        yield "panel-no-targets-rule", place, "asks nothing"
    if not _is_chosen(panel.get("datasource"), document):
        yield "panel-datasource-rule", place, "doesn't use the data source that the reader chose"
    if panel.get("type") in _WITH_UNIT:
        yield from _unit(panel, place)
    letters = [target.get("refId") for target in panel.get("targets", [])]
    if len(set(letters)) != len(letters):
        yield "unique-ref-id", place, "two of its targets have the same refId"


def _is_chosen(source: Any, document: Document) -> bool:
    return bool(source == {"type": document.source_type, "uid": "${datasource}"})


def _unit(panel: Json, place: str) -> Iterator[Found]:
    config = panel.get("fieldConfig", {})
    if config.get("defaults", {}).get("mappings"):
        return
    units = [config.get("defaults", {}).get("unit")]
    for override in config.get("overrides", []):
        settings = override.get("properties", [])
        units += [setting.get("value") for setting in settings if setting.get("id") == "unit"]
    for unit in units:
        if not isinstance(unit, str) or unit not in _UNITS:
            yield "panel-units-rule", place, f"has the unit {unit!r}, which Grafana doesn't know"
