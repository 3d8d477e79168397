"""The generated JSON is what Grafana's schema, its linter and a reader want; tests of the linter's rules are beside."""

import json
import re
from typing import Any

import pytest
from grafanalib import formatunits

from alerts import thresholds
from dashboards.generated import all_dashboards, dashboard_files
from dashboards.linter.document import Document
from dashboards.linter.panel_rules import LEGACY
from dashboards.spec import Source, Table
from tests.support.grafana_schema import panels_and_rows, schema_errors

UNITS = {value for name, value in vars(formatunits).items() if name.isupper()}

SATURATION = {"cpu": "cpu-waiting", "memory": "memory-pressure", "disk": "io-pressure", "network": "network-drops"}

Json = dict[str, Any]
DASHBOARDS: dict[str, Json] = {name: json.loads(content) for name, content in dashboard_files().items()}
each_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=list(DASHBOARDS))


def panels(dashboard: Json) -> list[Json]:
    return [panel for panel in panels_and_rows(dashboard) if panel["type"] != "row"]


def targets(dashboard: Json) -> list[Json]:
    return [target for panel in panels(dashboard) for target in panel.get("targets", [])]


def source_of(dashboard: Json) -> str:
    return Document(dashboard).source_type


@each_dashboard
def test_every_key_is_in_grafanas_schema(dashboard: Json) -> None:
    assert schema_errors(dashboard) == []


@pytest.mark.parametrize("legacy", [*sorted(LEGACY), "gauge", "bargauge"])
def test_the_schema_refuses_panel_types_that_grafanalib_gets_wrong(legacy: str) -> None:
    dashboard = {**DASHBOARDS["vdbmon-fleet.json"], "panels": [{"type": legacy, "title": "old"}]}
    assert schema_errors(dashboard) == [f"old: panel type {legacy}"]


def test_the_schema_refuses_a_key_that_grafana_dropped() -> None:
    dashboard = {**DASHBOARDS["vdbmon-fleet.json"], "rows": []}
    assert any("'rows' was unexpected" in error for error in schema_errors(dashboard))


def test_uids_are_unique_and_name_the_files() -> None:
    assert [f"{dashboard['uid']}.json" for dashboard in DASHBOARDS.values()] == list(DASHBOARDS)
    assert len({dashboard["title"] for dashboard in DASHBOARDS.values()}) == len(DASHBOARDS)


@each_dashboard
def test_children_of_a_collapsed_row_stand_below_its_title(dashboard: Json) -> None:
    for row in dashboard["panels"]:
        for child in row.get("panels", []):
            assert row["collapsed"]
            assert child["gridPos"]["y"] > row["gridPos"]["y"]


def test_fleet_leads_to_host_and_container() -> None:
    text = json.dumps(DASHBOARDS["vdbmon-fleet.json"])
    assert "/d/vdbmon-host?" in text
    assert "/d/vdbmon-container?" in text


@each_dashboard
def test_nobody_edits_what_the_next_build_overwrites(dashboard: Json) -> None:
    assert dashboard["editable"] is False
    assert dashboard["id"] is None


@each_dashboard
def test_every_panel_says_what_it_shows_and_what_to_do(dashboard: Json) -> None:
    for panel in panels(dashboard):
        assert panel["title"]
        assert len(panel["description"]) > 30, panel["title"]
        assert panel["description"].endswith(".")


def test_colours_change_where_the_alerts_fire() -> None:
    host = DASHBOARDS["vdbmon-host.json"]
    panel = next(panel for panel in panels(host) if panel["title"] == "Memory used" and panel["type"] == "timeseries")
    assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"] == [
        {"color": "green", "value": None},
        {"color": "red", "value": thresholds.MEMORY_USED_RATIO.value},
    ]


@each_dashboard
def test_targets_have_what_a_query_of_their_data_source_has(dashboard: Json) -> None:
    known = {
        Source.PROMETHEUS: {
            *("datasource", "editorMode", "expr", "format", "instant", "interval", "legendFormat", "range", "refId"),
        },
        Source.INFLUXDB: {"alias", "datasource", "query", "rawQuery", "refId", "resultFormat"},
    }
    source = Source(source_of(dashboard))
    for target in targets(dashboard):
        assert target.keys() == known[source]
        if source is Source.PROMETHEUS:
            assert target["range"] is not target["instant"]
        else:
            assert target["rawQuery"] is True


@each_dashboard
def test_dashboards_of_a_data_source_find_each_other_and_keep_time_and_variables(dashboard: Json) -> None:
    *neighbours, all_of_them = dashboard["links"]
    assert all_of_them["tags"] == dashboard["tags"]
    assert (all_of_them["type"], all_of_them["asDropdown"]) == ("dashboards", True)
    assert len(neighbours) >= 2
    for link in (*neighbours, all_of_them):
        assert (link["keepTime"], link["includeVars"]) == (True, True)
    for link in neighbours:
        neighbour = DASHBOARDS[f"{link['url'].removeprefix('/d/')}.json"]
        assert neighbour["tags"] == dashboard["tags"]
        assert neighbour["uid"] != dashboard["uid"]


def test_links_of_tables_keep_time_and_data_source() -> None:
    urls = [
        (dashboard, url)
        for dashboard in DASHBOARDS.values()
        for place, url in Document(dashboard).urls()
        if place.startswith("panel ")
    ]
    assert len(urls) > 10
    for dashboard, url in urls:
        assert "${__url_time_range}" in url
        assert "${datasource:queryparam}" in url
        assert ("${job:queryparam}" in url) is (source_of(dashboard) == Source.PROMETHEUS)


@each_dashboard
def test_placements_backups_and_alerts_are_marked(dashboard: Json) -> None:
    marks = dashboard["annotations"]["list"]
    expected = ["Placements", "Backups", "Alerts"] if source_of(dashboard) == Source.PROMETHEUS else ["Starts"]
    assert [mark["name"] for mark in marks] == expected
    for mark in marks:
        assert mark["datasource"] == {"type": source_of(dashboard), "uid": "${datasource}"}
        assert mark["target"]["refId"] == "Anno"


@each_dashboard
def test_every_value_has_a_unit(dashboard: Json) -> None:
    for panel in panels(dashboard):
        if panel["type"] == "text":
            continue
        units = [panel["fieldConfig"]["defaults"]["unit"]]
        overrides = panel["fieldConfig"]["overrides"]
        units += [item["value"] for each in overrides for item in each["properties"] if item["id"] == "unit"]
        assert set(units) <= UNITS, panel["title"]


@each_dashboard
def test_only_a_base_threshold_is_null_and_steps_rise(dashboard: Json) -> None:
    for panel in panels(dashboard):
        if panel["type"] == "text":
            continue
        config = panel["fieldConfig"]
        lists = [config["defaults"]["thresholds"]["steps"]]
        lists += [
            setting["value"]["steps"]
            for override in config["overrides"]
            for setting in override["properties"]
            if setting["id"] == "thresholds"
        ]
        for base, *others in lists:
            assert base["value"] is None
            values = [step["value"] for step in others]
            assert None not in values
            assert values == sorted(values)


def test_columns_of_a_table_are_joined_on_all_its_keys() -> None:
    for dashboard in all_dashboards():
        for table in (panel for panel in dashboard.panels() if isinstance(panel, Table)):
            for column in table.columns:
                words = re.findall(r" by \(([^)]*)\)", column.expr) or re.findall(r"GROUP BY ([^)]*)$", column.expr)
                groupings = {tuple(each.replace('"', "").split(", ")) for each in words}
                assert groupings == {table.keys}, column.title


def test_use_stands_on_the_left_and_saturation_on_the_right() -> None:
    """Gregg's USE method, as in node-mixin: the first line of each resource's row on both host dashboards."""
    for dashboard in (each for each in all_dashboards() if each.uid in {"vdbmon-host", "vdbmon-influxdb-host"}):
        rows = {row.slug: row.panels for row in dashboard.rows}
        saturation = {
            "cpu": "cpu-waiting",
            "memory": "memory-pressure",
            "disk": "io-pressure",
            "network": "network-drops",
        }
        for resource, slug in saturation.items():
            use, right = rows[resource][:2]
            assert (use.width, right.width, right.slug) == (12, 12, slug)
