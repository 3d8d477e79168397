"""What the rules read of a dashboard, and of which type it is: a file may hold anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Shape = type | list[Any] | dict[str, Any]
"""A type of values, a list whose items have one shape, or an object with the shapes of some of its keys."""

_LINK: Shape = {"title": str, "type": str, "url": str}
_PANEL: dict[str, Shape] = {
    "id": int,
    "type": str,
    "title": str,
    "gridPos": {"x": int, "y": int, "w": int, "h": int},
    "targets": [{"refId": str}],
    "links": [_LINK],
    "fieldConfig": {
        "defaults": {"links": [_LINK], "unit": str},
        "overrides": [{"properties": [{"id": str}]}],
    },
}
DASHBOARD: Shape = {
    "panels": [{**_PANEL, "panels": [_PANEL]}],
    "templating": {"list": [{"name": str, "type": str}]},
    "links": [_LINK],
}
_WORDS = {str: "text", int: "whole number"}


def misshapen(value: Any, shape: Shape = DASHBOARD, place: str = "dashboard") -> Iterator[tuple[str, str]]:
    """Places whose value is of another type, and what is wrong there. What is missing is another rule's business."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            yield place, "is no object"
            return
        for key in shape.keys() & value.keys():
            yield from misshapen(value[key], shape[key], f"{place}.{key}")
    elif isinstance(shape, list):
        if not isinstance(value, list):
            yield place, "is no list"
            return
        for number, item in enumerate(value):
            yield from misshapen(item, shape[0], f"{place}[{number}]")
    elif value is not None and not isinstance(value, shape):
        yield place, f"is no {_WORDS[shape]}"
