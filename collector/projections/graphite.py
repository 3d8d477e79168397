"""Points as Graphite's plaintext: `path value seconds`, named and cleaned as telegraf's graphite serializer does it.

A path either says everything in its nodes (`host.tags.measurement.field`), which every carbon takes, or carries tags
(`measurement.field;tag=value`), which Graphite 1.1 and VictoriaMetrics take. Text and numbers that are not finite have
no form here and are left out; a boolean is 1 or 0. Timestamps are whole seconds, all that Graphite stores.

Source: docs of Graphite on tags, telegraf's plugins/serializers/graphite. Where telegraf would write a line that carbon
refuses or takes for another file (a blank in a tag, an empty tag, a node that is empty), there is `_` or nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from enum import StrEnum

from collector.projections.point import FieldValue, Point
from collector.projections.text import Replacements

DEFAULT_TEMPLATE = "host.tags.measurement.field"
_NANOSECONDS = 10**9

_HARMLESS = re.compile(r"[a-zA-Z0-9_=:\-]+(?:\.[a-zA-Z0-9_=:\-]+)*")
_DOTS = re.compile(r"\.{2,}")


def _is_strict(character: str) -> bool:
    if character.isascii():
        return character.isalnum() or character in "-:._="
    return character.isalpha()


def _is_printable(character: str) -> bool:
    return character.isprintable() if character.isascii() else character.isalpha()


_STRICT = Replacements(str.maketrans("/@*", "---", "\\"), _is_strict)
_TAG_NAME = Replacements(str.maketrans(" !;=^", "_____"), _is_printable)
_TAG_VALUE = Replacements(str.maketrans(" ;", "__"), _is_printable)


class TagSanitizeMode(StrEnum):
    """What remains of a tag; telegraf's words: `strict` as in paths, `compatible` all that Graphite itself allows."""

    STRICT = "strict"
    COMPATIBLE = "compatible"


class TemplatePaths:
    """Paths made by a template: `measurement`, `field`, names of tags, and `tags` for the values of all others."""

    def __init__(self, prefix: str, template: str) -> None:
        before, _, after = f".{template}.".partition(".field.")
        self._prefix = [prefix] if prefix else []
        self._before = [part for part in before.split(".") if part]
        self._after = [part for part in after.split(".") if part]
        self._named = {*self._before, *self._after}

    def of(self, point: Point) -> tuple[str, str]:
        """What stands before and after the field, with the dot that follows it."""
        tags = {name: value.replace(".", "_") for name, value in point.tags}
        before = _strict(".".join([*self._prefix, *self._nodes(self._before, point.measurement, tags)]))
        after = _strict(".".join(self._nodes(self._after, point.measurement, tags)))
        return before, f".{after}" if after else ""

    def _nodes(self, parts: Iterable[str], measurement: str, tags: dict[str, str]) -> Iterator[str]:
        for part in parts:
            if part == "measurement":
                yield measurement
            elif part == "tags":
                yield from (value for name, value in tags.items() if name not in self._named)
            elif part in tags:
                yield tags[part]


class TaggedPaths:
    """Paths that carry the tags; the tag `name`, which is Graphite's own, becomes `_name`."""

    def __init__(self, prefix: str, mode: TagSanitizeMode) -> None:
        self._prefix = f"{prefix}." if prefix else ""
        self._tag = _compatible_tag if mode is TagSanitizeMode.COMPATIBLE else _strict_tag

    def of(self, point: Point) -> tuple[str, str]:
        """What stands before and after the field."""
        tags = sorted(self._tag("_name" if name == "name" else name, value) for name, value in point.tags)
        return _strict(self._prefix + point.measurement), "".join(f";{tag}" for tag in tags)


Paths = TemplatePaths | TaggedPaths


def encode(points: Iterable[Point], paths: Paths) -> Iterator[bytes]:
    """The lines of each point, without the last line end; points without a number are left out."""
    for point in points:
        before, after = paths.of(point)
        seconds = point.timestamp_ns // _NANOSECONDS
        lines = [
            f"{_path(before, name, after)} {text} {seconds}"
            for name, value in point.fields.items()
            if (text := _number(value)) is not None
        ]
        if lines:
            yield "\n".join(lines).encode()


def _path(before: str, field: str, after: str) -> str:
    """A field called `value` has no node of its own, as in telegraf."""
    node = "" if field == "value" else _strict(field)
    return (f"{before}.{node}{after}" if before and node else f"{before}{node}{after}").lstrip(".")


def _number(value: FieldValue) -> str | None:
    if isinstance(value, str) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return repr(int(value) if isinstance(value, bool) else value)


def _strict(text: str) -> str:
    """Nodes of letters, digits and `-:_=`, joined by single dots."""
    if _HARMLESS.fullmatch(text) is not None:
        return text
    return _DOTS.sub(".", text.translate(_STRICT)).strip(".")


def _strict_tag(name: str, value: str) -> str:
    return f"{_strict(name).replace('=', '_') or '_'}={_strict(value) or '_'}"


def _compatible_tag(name: str, value: str) -> str:
    return f"{name.translate(_TAG_NAME) or '_'}={value.translate(_TAG_VALUE).lstrip('~') or '_'}"
