r"""Points as InfluxDB line protocol, nanosecond timestamps.

Source: InfluxDB v2 line protocol reference. InfluxDB has no escape for a backslash in names and tags, VictoriaMetrics
reads `\\` as one; both take a lone backslash before an ordinary character as itself. So a backslash is doubled only
where it stands before a character that would make it an escape: VictoriaMetrics gives the value back exactly, InfluxDB
with one backslash more, and neither takes two tags for one. No tag may end in a backslash (InfluxDB would read
on into the next one): trailing ones are left out, as telegraf does. Line ends are spelled out as \n and \r, as telegraf
does, in strings too: VictoriaMetrics and readers of files take a point for one line.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable, Iterator, Mapping

from collector.projections.point import FieldValue, Point, Tags
from collector.projections.text import well_formed

_LARGEST = 2**63 - 1
_NEEDS_CARE = re.compile(r"[,= \\\n\r\t]|[^\x00-\x7f]")
_BACKSLASH_BEFORE_SPECIAL = re.compile(r"\\(?=[,= \\])")
_ESCAPES = str.maketrans({",": "\\,", "=": "\\=", " ": "\\ ", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_MEASUREMENT_ESCAPES = str.maketrans({",": "\\,", " ": "\\ ", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_STRING_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"})


class LineEncoder:
    """Makes lines; keeps the beginnings (measurement and tags) of the points of the last time and of no other."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, Tags], str] = {}

    def encode(self, points: Iterable[Point]) -> Iterator[bytes]:
        """One line per point, without line end; numbers that are not finite and points without fields are left out."""
        known, used = self._known, dict[tuple[str, Tags], str]()
        for point in points:
            fields = _fields(point.fields)
            if fields:
                key = (point.measurement, point.tags)
                beginning = used[key] = known.get(key) or _beginning(*key)
                yield f"{beginning}{fields} {point.timestamp_ns}".encode()
        self._known = used


def encode(points: Iterable[Point]) -> Iterator[bytes]:
    """The lines of points that will not come again."""
    return LineEncoder().encode(points)


def _beginning(measurement: str, tags: Tags) -> str:
    pairs = "".join(f",{_escaped(name)}={text}" for name, value in tags if (text := _escaped(value)))
    return f"{_measurement(measurement)}{pairs} "


def _fields(fields: Mapping[str, FieldValue]) -> str:
    texts = []
    for name, value in fields.items():
        if type(value) is int:
            texts.append(f"{_key(name)}{value if -_LARGEST <= value <= _LARGEST else _clamped(value)}i")
        elif type(value) is float:
            if math.isfinite(value):
                texts.append(f"{_key(name)}{value!r}")
        elif type(value) is bool:
            texts.append(f"{_key(name)}{'true' if value else 'false'}")
        else:
            texts.append(f'{_key(name)}"{well_formed(str(value)).translate(_STRING_ESCAPES)}"')
    return ",".join(texts)


def _clamped(value: int) -> int:
    return min(max(value, -_LARGEST - 1), _LARGEST)


@functools.lru_cache(maxsize=4096)
def _key(field: str) -> str:
    """Names of fields are few and come again in every point."""
    return f"{_escaped(field)}="


def _escaped(text: str) -> str:
    """A tag key, tag value or field key."""
    if _NEEDS_CARE.search(text) is None:
        return text
    doubled = _BACKSLASH_BEFORE_SPECIAL.sub(r"\\\\", well_formed(text).rstrip("\\"))
    return doubled.translate(_ESCAPES)


def _measurement(text: str) -> str:
    if _NEEDS_CARE.search(text) is None:
        return text
    return well_formed(text).rstrip("\\").translate(_MEASUREMENT_ESCAPES)
