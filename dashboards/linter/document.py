"""A dashboard's JSON, read: its panels, variables, links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

_VARIABLE = re.compile(r"\$(?:\{(\w+)[^}]*\}|(\w+)|__all\b)")
OWN_VARIABLES = frozenset(
    {"__rate_interval", "__interval", "__range", "__url_time_range", "__data", "__all", "timeFilter"}
)
"""What Grafana fills in itself."""
_OF_ALIASES = re.compile(r"tag_\w+|col|measurement|m")


@dataclass(frozen=True, slots=True)
class Document:
    """One dashboard."""

    content: Json

    @property
    def uid(self) -> str:
        """Its address."""
        return str(self.content.get("uid"))

    @property
    def source_type(self) -> str:
        """Type of the data source that the reader chooses."""
        return next((str(each.get("query")) for each in self.variables() if each.get("type") == "datasource"), "")

    def variables(self) -> list[Json]:
        """The choices at its top."""
        return list(self.content.get("templating", {}).get("list", []))

    def panels_and_rows(self) -> Iterator[Json]:
        """All that has a place, also in collapsed rows."""
        for panel in self.content.get("panels", []):
            yield panel
            yield from panel.get("panels", [])

    def panels(self) -> list[Json]:
        """All that shows something."""
        return [panel for panel in self.panels_and_rows() if panel.get("type") != "row"]

    def siblings(self) -> Iterator[list[Json]]:
        """Panels that share a grid: the open ones, and those of each collapsed row."""
        yield self.content.get("panels", [])
        for panel in self.content.get("panels", []):
            if panel.get("panels"):
                yield panel["panels"]

    def urls(self) -> Iterator[tuple[str, str]]:
        """Where its links lead, with where they stand."""
        for link in self.content.get("links", []):
            if link.get("type") == "link":
                yield f"link {link.get('title')}", str(link.get("url"))
        for panel in self.panels():
            for link in (*panel.get("links", []), *_data_links(panel)):
                yield place_of(panel), str(link.get("url"))


def place_of(panel: Json) -> str:
    """A panel, as a reader finds it."""
    return f"panel {panel.get('title') or panel.get('id')}"


def used_variables(text: str) -> set[str]:
    """Variables of Grafana in a text, without those that it fills in itself and those of aliases."""
    names = {first or second for first, second in _VARIABLE.findall(text)}
    return {name for name in names if name and name not in OWN_VARIABLES and not _OF_ALIASES.fullmatch(name)}


def _data_links(panel: Json) -> Iterator[Json]:
    config = panel.get("fieldConfig", {})
    yield from config.get("defaults", {}).get("links", [])
    for override in config.get("overrides", []):
        for setting in override.get("properties", []):
            if setting.get("id") == "links" and isinstance(setting.get("value"), list):
                yield from (link for link in setting["value"] if isinstance(link, dict))
