"""The linter: our dashboards have no findings, and each rule finds the fault that it is for."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.generated import LINT_FILE, dashboard_files, folder_files
from dashboards.linter import EXCLUDED, lint
from dashboards.linter.findings import lint_file
from dashboards.linter.folder import read_folder

Json = dict[str, Any]
FILES = dashboard_files()
HOST = "vdbmon-host.json"
ROOT = Path(__file__).parents[2]


def graph(dashboard: Json) -> Json:
    return next(panel for panel in dashboard["panels"] if panel["type"] == "timeseries")


def variable(dashboard: Json, name: str) -> Json:
    return next(each for each in dashboard["templating"]["list"] if each["name"] == name)


def set_key(get: Callable[[Json], Json], key: str, value: Any) -> Callable[[Json], None]:
    def change(dashboard: Json) -> None:
        get(dashboard)[key] = value

    return change


def query(text: str) -> Callable[[Json], None]:
    return set_key(lambda dashboard: graph(dashboard)["targets"][0], "expr", text)


def drop_data_source(dashboard: Json) -> None:
    dashboard["templating"]["list"].pop(0)


def overlap(dashboard: Json) -> None:
    first, second = [panel for panel in dashboard["panels"] if panel["type"] == "timeseries"][:2]
    second["gridPos"] = first["gridPos"]


def same_ids(dashboard: Json) -> None:
    first, second = dashboard["panels"][:2]
    second["id"] = first["id"]


def same_letters(dashboard: Json) -> None:
    panel = next(panel for panel in dashboard["panels"] if len(panel.get("targets", [])) > 1)
    panel["targets"][1]["refId"] = panel["targets"][0]["refId"]


def unknown_unit(dashboard: Json) -> None:
    graph(dashboard)["fieldConfig"]["defaults"]["unit"] = "furlongs"


def lead_nowhere(dashboard: Json) -> None:
    dashboard["links"][0]["url"] = "/d/nowhere"


def set_unknown_variable(dashboard: Json) -> None:
    dashboard["links"][0]["url"] += "?var-volume=a"


def test_ours_have_no_findings() -> None:
    assert [str(finding) for finding in lint(FILES)] == []


def lead_to_no_address(dashboard: Json) -> None:
    dashboard["links"][0]["url"] = "http://[::1"


FAULTS: dict[str, tuple[Callable[[Json], None], str, str]] = {
    "editable": (set_key(lambda d: d, "editable", True), "uneditable-dashboard", "can be edited"),
    "no data source": (drop_data_source, "template-datasource-rule", "has 0 variables"),
    "other name": (
        set_key(lambda d: variable(d, "datasource"), "label", "Source"),
        "template-datasource-rule",
        "is not called",
    ),
    "one job": (set_key(lambda d: variable(d, "job"), "multi", False), "template-job-rule", "several values"),
    "bad variable": (
        set_key(lambda d: variable(d, "host"), "query", "label_values(up{, host)"),
        "template-label-promql-rule",
        "is no PromQL",
    ),
    "stale variable": (
        set_key(lambda d: variable(d, "host"), "refresh", 1),
        "template-on-time-change-reload-rule",
        "time range",
    ),
    "fixed source": (
        set_key(graph, "datasource", {"type": "prometheus", "uid": "abc"}),
        "panel-datasource-rule",
        "that the reader chose",
    ),
    "no description": (set_key(graph, "description", ""), "panel-title-description-rule", "lacks"),
    "no unit": (unknown_unit, "panel-units-rule", "'furlongs'"),
    "no targets": (set_key(graph, "targets", []), "panel-no-targets-rule", "asks nothing"),
    "no PromQL": (query("rate("), "target-promql-rule", "is no PromQL"),
    "fixed window": (
        query('rate(node_forks_total{job="$job"}[5m])'),
        "target-rate-interval-rule",
        "rate over 5m",
    ),
    "no job": (query("node_load1"), "target-job-rule", "node_load1 is not matched by job"),
    "bare counter": (query('node_forks_total{job="$job"}'), "target-counter-agg-rule", "outside of rate"),
    "removed type": (set_key(graph, "type", "graph"), "legacy-panel-type", "type graph was removed"),
    "overlap": (overlap, "grid", "overlaps"),
    "beyond the grid": (
        set_key(lambda d: graph(d)["gridPos"], "x", 20),
        "grid",
        "leaves the grid",
    ),
    "no place": (set_key(graph, "gridPos", {"x": 0}), "grid", "no full position"),
    "same ids": (same_ids, "unique-panel-id", "share the id"),
    "same letters": (same_letters, "unique-ref-id", "same refId"),
    "undefined variable": (query('node_load1{job="$job", host="$hots"}'), "defined-variable", "$hots is used"),
    "dead link": (lead_nowhere, "link-target", "no dashboard of this folder"),
    "bad link": (lead_to_no_address, "link-target", "is no address"),
    "link with a variable that isn't there": (set_unknown_variable, "link-target", "sets volume"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_rule_finds_its_fault(name: str) -> None:
    break_it, rule, words = FAULTS[name]
    dashboard = json.loads(FILES[HOST])
    break_it(dashboard)
    found = lint(FILES | {HOST: json.dumps(dashboard).encode()})
    assert any(finding.rule == rule and words in finding.message and finding.file == HOST for finding in found), found


def test_a_second_file_with_the_same_uid_is_found() -> None:
    found = lint(FILES | {"copy.json": FILES[HOST]})
    assert {finding.file for finding in found if finding.rule == "unique-uid"} == {HOST, "copy.json"}


def test_a_file_that_is_no_json_is_found() -> None:
    (found,) = lint({"broken.json": b"{"})
    assert str(found) == "broken.json: dashboard: is no object (valid-json)"


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
SMALL = {
    "uid": "small",
    "links": [{"type": "link", "title": "There", "url": "/d/small?var-host=a"}],
    "templating": {
        "list": [{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}]
    },
    "panels": [
        {
            "id": 1,
            "type": "timeseries",
            "title": "Load",
            "gridPos": {"x": 0, "y": 0, "w": 8, "h": 8},
            "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "targets": [{"refId": "A", "expr": 'node_load1{host="$host"}'}],
            "fieldConfig": {
                "defaults": {"unit": "short", "links": [{"title": "a", "url": "/d/small"}]},
                "overrides": [{"matcher": {}, "properties": [{"id": "links", "value": [{"url": "/d/small"}]}]}],
            },
        },
        {"id": 2, "type": "row", "panels": [{"id": 3, "type": "stat", "gridPos": {"x": 0, "y": 9, "w": 4, "h": 4}}]},
    ],
}


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a document, itself first."""
    yield path
    if isinstance(document, dict | list):
        for key, value in document.items() if isinstance(document, dict) else enumerate(document):
            yield from places(value, (*path, key))


@given(path=st.sampled_from(list(places(SMALL))), value=ANY_JSON)
def test_whatever_stands_anywhere_is_a_finding_and_no_error(path: tuple[Any, ...], value: Any) -> None:
    whole = {"": copy.deepcopy(SMALL)}
    place: Any = whole
    for key in ("", *path)[:-1]:
        place = place[key]
    place[("", *path)[-1]] = value
    lint({"small.json": json.dumps(whole[""]).encode()})


def test_nesting_without_an_end_is_no_json() -> None:
    assert [finding.rule for finding in lint({"deep.json": b"[" * 100_000})] == ["valid-json"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SHOW SERIES", "is no SELECT"),
        ('SELECT mean("load1") FROM "system"', "asks for all times"),
        ('SELECT mean("load1") FROM "system" WHERE $timeFilter GROUP BY time(10s)', "fixed interval"),
    ],
)
def test_influxql_is_checked_too(text: str, words: str) -> None:
    name = "vdbmon-influxdb-host.json"
    dashboard = copy.deepcopy(json.loads(FILES[name]))
    graph(dashboard)["targets"][0]["query"] = text
    found = lint(FILES | {name: json.dumps(dashboard).encode()})
    assert any(finding.rule == "target-influxql-rule" and words in finding.message for finding in found)


@pytest.mark.parametrize(
    "document", [{}, {"panels": [{}]}, {"templating": {"list": [{}]}}, {"links": [{"type": "link"}]}]
)
def test_files_of_others_are_checked_without_a_traceback(document: Json) -> None:
    assert lint({"other.json": json.dumps(document).encode()})


def test_what_is_excluded_has_a_reason_and_stands_beside_the_dashboards() -> None:
    assert all(len(reason) > 20 for reason in EXCLUDED.values())
    assert "target-job-rule" in lint_file().decode()
    assert folder_files()[LINT_FILE] == lint_file()
    for rule in EXCLUDED:
        assert f"{rule}:\n    reason:" in lint_file().decode()


def test_the_delivered_folder_has_no_findings() -> None:
    assert lint(read_folder(ROOT / "deploy/grafana/dashboards")) == []
