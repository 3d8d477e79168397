r"""Points as InfluxDB line protocol, nanosecond timestamps.

Source: InfluxDB v2 line protocol reference. InfluxDB has no escape for a backslash in names and tags, VictoriaMetrics
reads `\\` as one; both take a lone backslash before an ordinary character as itself. So a backslash is doubled only
where it stands before a character that would make it an escape: VictoriaMetrics gives the value back exactly, InfluxDB
with one backslash more, and neither takes two tags for one. No tag may end in a backslash (InfluxDB would read
on into the next one): trailing ones are left out, as telegraf does. Line ends are spelled out as \n and \r, as telegraf
does, in strings too: VictoriaMetrics and readers of files take a point for one line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator

from collector.projections.point import FieldValue, Point
from collector.projections.text import well_formed

_LARGEST = 2**63 - 1
_NEEDS_CARE = re.compile(r"[,= \\\n\r\t]|[^\x00-\x7f]")
_BACKSLASH_BEFORE_SPECIAL = re.compile(r"\\(?=[,= \\])")
_ESCAPES = str.maketrans({",": "\\,", "=": "\\=", " ": "\\ ", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_MEASUREMENT_ESCAPES = str.maketrans({",": "\\,", " ": "\\ ", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_STRING_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"})


def encode(points: Iterable[Point]) -> Iterator[bytes]:
    """One line per point, without line end; numbers that are not finite and points without fields are left out."""
    for point in points:
        fields = ",".join(
            f"{_escaped(name)}={text}" for name, value in point.fields.items() if (text := _field(value)) is not None
        )
        if fields:
            tags = "".join(f",{_escaped(name)}={text}" for name, value in point.tags if (text := _escaped(value)))
            yield f"{_measurement(point.measurement)}{tags} {fields} {point.timestamp_ns}".encode()


def _field(value: FieldValue) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{min(max(value, -_LARGEST - 1), _LARGEST)}i"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else None
    return f'"{well_formed(value).translate(_STRING_ESCAPES)}"'


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
