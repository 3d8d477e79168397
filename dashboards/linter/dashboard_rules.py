"""Rules about a whole dashboard: its variables, its grid, its links."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from dashboards.linter.document import Document, place_of, used_variables
from dashboards.linter.promql import problem_of
from dashboards.spec import GRID_COLUMNS

Json = dict[str, Any]
Found = tuple[str, str, str]  # rule, place, message

_ON_TIME_RANGE_CHANGE = 2
_VARS = re.compile(r"var-(\w+)=")
_LABEL_VALUES = re.compile(r"label_values\((.*), *\w+\)")


def findings(document: Document, all_documents: Iterable[Document]) -> Iterator[Found]:
    """What is wrong with it, among its neighbours."""
    neighbours = list(all_documents)
    yield from _uneditable(document)
    yield from _data_source_variable(document)
    if document.source_type == "prometheus":
        for name in ("job", "instance"):
            yield from _template(document, name)
        yield from _template_queries(document)
    yield from _reload(document)
    yield from _identity(document, neighbours)
    yield from _undefined_variables(document)
    yield from _grid(document)
    yield from _links(document, {each.uid: each for each in neighbours})


def _uneditable(document: Document) -> Iterator[Found]:
    if document.content.get("editable") is not False:
        yield "uneditable-dashboard", "dashboard", "can be edited, though the next build overwrites it"


def _data_source_variable(document: Document) -> Iterator[Found]:
    chosen = [each for each in document.variables() if each.get("type") == "datasource"]
    if len(chosen) != 1:
        yield "template-datasource-rule", "dashboard", f"has {len(chosen)} variables for the data source, not one"
        return
    (variable,) = chosen
    if (variable.get("name"), variable.get("label")) != ("datasource", "Data source"):
        yield "template-datasource-rule", "dashboard", "its data source is not called `datasource`, `Data source`"


def _template(document: Document, name: str) -> Iterator[Found]:
    rule = f"template-{name}-rule"
    variable = next((each for each in document.variables() if each.get("name") == name), None)
    if variable is None:
        yield rule, "dashboard", f"has no variable {name}"
    elif (variable.get("multi"), variable.get("allValue"), variable.get("label")) != (True, ".+", name.capitalize()):
        yield rule, f"variable {name}", "doesn't offer several values with `.+` for all, under its name"


def _template_queries(document: Document) -> Iterator[Found]:
    for variable in document.variables():
        match = _LABEL_VALUES.fullmatch(str(variable.get("query"))) if variable.get("type") == "query" else None
        problem = problem_of(match[1]) if match else None
        if problem:
            yield "template-label-promql-rule", f"variable {variable.get('name')}", problem


def _reload(document: Document) -> Iterator[Found]:
    for variable in document.variables():
        if variable.get("type") == "query" and variable.get("refresh") != _ON_TIME_RANGE_CHANGE:
            yield (
                "template-on-time-change-reload-rule",
                f"variable {variable.get('name')}",
                "doesn't follow the time range",
            )


def _identity(document: Document, neighbours: list[Document]) -> Iterator[Found]:
    if sum(each.uid == document.uid for each in neighbours) > 1:
        yield "unique-uid", "dashboard", f"another file has the uid {document.uid}; Grafana would overwrite for ever"
    ids = [panel.get("id") for panel in document.panels_and_rows()]
    for number in sorted({number for number in ids if ids.count(number) > 1}, key=str):
        yield "unique-panel-id", "dashboard", f"panels share the id {number}"


def _undefined_variables(document: Document) -> Iterator[Found]:
    defined = {variable.get("name") for variable in document.variables()}
    for name in sorted(used_variables(json.dumps(document.content)) - defined):
        yield "defined-variable", "dashboard", f"${name} is used and not defined"


def _grid(document: Document) -> Iterator[Found]:
    for siblings in document.siblings():
        placed: list[Json] = []
        for panel in siblings:
            position = panel.get("gridPos", {})
            if any(position.get(key) is None for key in "xywh"):
                yield "grid", place_of(panel), "has no full position; Grafana would guess it"
                continue
            if position["x"] + position["w"] > GRID_COLUMNS:
                yield "grid", place_of(panel), f"leaves the grid of {GRID_COLUMNS} columns"
            other = next((each for each in placed if _overlap(each["gridPos"], position)), None)
            if other is not None:
                yield "grid", place_of(panel), f"overlaps {place_of(other)}"
            placed.append(panel)


def _overlap(one: Json, other: Json) -> bool:
    return all(
        one[at] < other[at] + other[size] and other[at] < one[at] + one[size] for at, size in (("x", "w"), ("y", "h"))
    )


def _links(document: Document, by_uid: dict[str, Document]) -> Iterator[Found]:
    for place, url in document.urls():
        try:
            address = urlsplit(url)
        except ValueError:
            yield "link-target", place, f"leads to {url}, which is no address"
            continue
        if not address.path.startswith("/d/"):
            continue
        target = by_uid.get(address.path.removeprefix("/d/").split("/")[0])
        if target is None:
            yield "link-target", place, f"leads to {address.path}, which is no dashboard of this folder"
            continue
        known = {variable.get("name") for variable in target.variables()}
        for name in sorted(set(_VARS.findall(address.query)) - known):
            yield "link-target", place, f"sets {name}, which {target.uid} doesn't have"
