"""The generated JSON is what Grafana's schema, its linter and a reader want."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from grafanalib import formatunits
from jsonschema import Draft7Validator

from alerts import thresholds
from dashboards.generated import all_dashboards, dashboard_files
from dashboards.spec import GRID_COLUMNS, Table

SCHEMA = json.loads((Path(__file__).parents[1] / "fixtures/grafana/dashboard.schema.json").read_text())
DASHBOARD_SCHEMA = SCHEMA["definitions"]["VdbmonDashboard"]
PANEL_SCHEMAS = {
    option["properties"]["type"]["const"]: option
    for option in DASHBOARD_SCHEMA["properties"]["panels"]["items"]["anyOf"]
}
UNITS = {value for name, value in vars(formatunits).items() if name.isupper()}
GRAFANAS_OWN_VARIABLES = {"__rate_interval", "__range", "__url_time_range", "__data"}

Json = dict[str, Any]
DASHBOARDS: dict[str, Json] = {name: json.loads(content) for name, content in dashboard_files().items()}
each_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=list(DASHBOARDS))


def panels_and_rows(dashboard: Json) -> Iterator[Json]:
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", [])


def panels(dashboard: Json) -> list[Json]:
    return [panel for panel in panels_and_rows(dashboard) if panel["type"] != "row"]


def targets(dashboard: Json) -> list[Json]:
    return [target for panel in panels(dashboard) for target in panel.get("targets", [])]


def schema_errors(dashboard: Json) -> list[str]:
    """Panels are checked against the schema of their type, so that an error names the key and not the whole panel."""
    errors = [error.message for error in Draft7Validator(DASHBOARD_SCHEMA).iter_errors({**dashboard, "panels": []})]
    for panel in panels_and_rows(dashboard):
        if panel["type"] not in PANEL_SCHEMAS:
            errors.append(f"{panel['title']}: panel type {panel['type']}")
            continue
        validator = Draft7Validator(PANEL_SCHEMAS[panel["type"]])
        found = validator.iter_errors({**panel, "panels": []} if panel["type"] == "row" else panel)
        errors += [f"{panel['title']}: {'.'.join(map(str, error.path))}: {error.message}" for error in found]
    return errors


@each_dashboard
def test_every_key_is_in_grafanas_schema(dashboard: Json) -> None:
    assert schema_errors(dashboard) == []


@pytest.mark.parametrize("legacy", ["graph", "singlestat", "table-old", "gauge", "bargauge"])
def test_the_schema_refuses_panel_types_that_grafanalib_gets_wrong(legacy: str) -> None:
    dashboard = {**DASHBOARDS["vdbmon-fleet.json"], "panels": [{"type": legacy, "title": "old"}]}
    assert schema_errors(dashboard) == [f"old: panel type {legacy}"]


def test_the_schema_refuses_a_key_that_grafana_dropped() -> None:
    dashboard = {**DASHBOARDS["vdbmon-fleet.json"], "rows": []}
    assert any("'rows' was unexpected" in error for error in schema_errors(dashboard))


@each_dashboard
def test_targets_have_what_a_prometheus_query_has(dashboard: Json) -> None:
    known = {"datasource", "editorMode", "expr", "format", "instant", "interval", "legendFormat", "range", "refId"}
    for target in targets(dashboard):
        assert target.keys() == known
        assert target["range"] is not target["instant"]


def test_uids_are_unique_and_name_the_files() -> None:
    assert [f"{dashboard['uid']}.json" for dashboard in DASHBOARDS.values()] == list(DASHBOARDS)
    assert len({dashboard["title"] for dashboard in DASHBOARDS.values()}) == len(DASHBOARDS)


@each_dashboard
def test_ids_are_unique_within_a_dashboard_and_refids_within_a_panel(dashboard: Json) -> None:
    ids = [panel["id"] for panel in panels_and_rows(dashboard)]
    assert len(set(ids)) == len(ids)
    for panel in panels(dashboard):
        letters = [target["refId"] for target in panel.get("targets", [])]
        assert len(set(letters)) == len(letters)


@each_dashboard
def test_panels_neither_overlap_nor_leave_the_grid(dashboard: Json) -> None:
    lists = [dashboard["panels"], *(panel["panels"] for panel in dashboard["panels"] if panel.get("panels"))]
    for siblings in lists:
        taken: dict[tuple[int, int], str] = {}
        for panel in siblings:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= GRID_COLUMNS
            for x in range(place["x"], place["x"] + place["w"]):
                for y in range(place["y"], place["y"] + place["h"]):
                    assert taken.setdefault((x, y), panel["title"]) == panel["title"]


@each_dashboard
def test_children_of_a_collapsed_row_stand_below_its_title(dashboard: Json) -> None:
    for row in dashboard["panels"]:
        for child in row.get("panels", []):
            assert row["collapsed"]
            assert child["gridPos"]["y"] > row["gridPos"]["y"]


@each_dashboard
def test_every_variable_that_is_used_is_defined(dashboard: Json) -> None:
    defined = {variable["name"] for variable in dashboard["templating"]["list"]} | GRAFANAS_OWN_VARIABLES
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(dashboard)))
    # `$__all` is the stored choice "All", no variable.
    assert used - {"__all"} <= defined


@each_dashboard
def test_links_lead_to_a_dashboard_of_ours_and_set_variables_it_has(dashboard: Json) -> None:
    by_uid = {other["uid"]: other for other in DASHBOARDS.values()}
    links = [
        link
        for panel in panels(dashboard)
        for override in panel.get("fieldConfig", {}).get("overrides", [])
        for setting in override["properties"]
        if setting["id"] == "links"
        for link in setting["value"]
    ]
    for link in links:
        address = urlsplit(link["url"])
        target = by_uid[address.path.removeprefix("/d/")]
        variables = {variable["name"] for variable in target["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)=", address.query)) <= variables
        assert "${__url_time_range}" in address.query
        assert "${datasource:queryparam}" in address.query


def test_fleet_leads_to_host_and_container() -> None:
    text = json.dumps(DASHBOARDS["vdbmon-fleet.json"])
    assert "/d/vdbmon-host?" in text
    assert "/d/vdbmon-container?" in text


@each_dashboard
def test_dashboards_find_each_other_by_tag_and_keep_time_and_variables(dashboard: Json) -> None:
    (link,) = dashboard["links"]
    assert link["tags"] == dashboard["tags"] == ["vdbmon"]
    assert (link["keepTime"], link["includeVars"], link["type"]) == (True, True, "dashboards")


# Rules of Grafana's dashboard-linter. Left out, with the reason: `template-instance-rule` and `target-instance-rule`,
# since a host is keyed by `host`, which outlives a change of the agent's address.


@each_dashboard
def test_the_data_source_is_chosen_by_a_variable(dashboard: Json) -> None:
    first = dashboard["templating"]["list"][0]
    assert (first["name"], first["label"], first["type"]) == ("datasource", "Data source", "datasource")
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    for panel in panels(dashboard):
        assert panel["type"] == "text" or panel["datasource"] == chosen
    assert all(target["datasource"] == chosen for target in targets(dashboard))


@each_dashboard
def test_job_can_be_chosen_and_variables_follow_the_time_range(dashboard: Json) -> None:
    queried = [variable for variable in dashboard["templating"]["list"] if variable["type"] == "query"]
    assert all(variable["refresh"] == 2 for variable in queried)
    job = next(variable for variable in queried if variable["name"] == "job")
    assert (job["label"], job["multi"], job["allValue"]) == ("Job", True, ".+")


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


@each_dashboard
def test_every_value_has_a_unit(dashboard: Json) -> None:
    for panel in panels(dashboard):
        if panel["type"] == "text":
            continue
        units = [panel["fieldConfig"]["defaults"]["unit"]]
        overrides = panel["fieldConfig"]["overrides"]
        units += [item["value"] for each in overrides for item in each["properties"] if item["id"] == "unit"]
        assert set(units) <= UNITS, panel["title"]
        assert panel["targets"]


@each_dashboard
def test_only_a_base_threshold_is_null_and_steps_rise(dashboard: Json) -> None:
    for panel in panels(dashboard):
        if panel["type"] == "text":
            continue
        base, *others = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert base["value"] is None
        values = [step["value"] for step in others]
        assert None not in values
        assert values == sorted(values)


def test_colours_change_where_the_alerts_fire() -> None:
    host = DASHBOARDS["vdbmon-host.json"]
    panel = next(panel for panel in panels(host) if panel["title"] == "Memory used" and panel["type"] == "timeseries")
    assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"] == [
        {"color": "green", "value": None},
        {"color": "red", "value": thresholds.MEMORY_USED_RATIO.value},
    ]


def test_columns_of_a_table_are_joined_on_all_its_keys() -> None:
    for dashboard in all_dashboards():
        for table in (panel for panel in dashboard.panels() if isinstance(panel, Table)):
            for column in table.columns:
                groupings = {tuple(each.split(", ")) for each in re.findall(r"by \(([^)]*)\)", column.expr)}
                assert groupings == {table.keys}, column.title
