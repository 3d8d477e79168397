"""Points as OpenTSDB's data points in JSON, named and cleaned as telegraf's outputs.opentsdb does it.

One data point per field: metric `prefix measurement separator field`, the tags of the point, whole seconds. OpenTSDB
knows letters, digits and `-_./` in names and tag values and refuses all else; it stores numbers only, so text, booleans
and numbers that are not finite are left out. It also refuses a data point without tags; points of an agent have `host`.

Source: OpenTSDB 2.x user guide, "Writing Data" and "HTTP API /api/put".
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator

from collector.projections.point import FieldValue, Point
from collector.projections.text import Replacements

BETWEEN_DATA_POINTS = b"\n"  # in a record; JSON writes a line end in a text as \n
_NANOSECONDS = 10**9
_LARGEST = 2**63 - 1

_HARMLESS = re.compile(r"[a-zA-Z0-9\-_./]+")


def _is_allowed(character: str) -> bool:
    """OpenTSDB looks at UTF-16 units, of which no letter beyond the first plane is one."""
    if character.isascii():
        return character.isalnum() or character in "-_./"
    return character.isalpha() and character <= "\uffff"


_CLEAN = Replacements(str.maketrans("@*%#$", "-----"), _is_allowed)


def encode(points: Iterable[Point], prefix: str, separator: str) -> Iterator[bytes]:
    """The data points of each point, joined by `BETWEEN_DATA_POINTS`; points without a number are left out."""
    for point in points:
        start = prefix + point.measurement + separator
        tags = json.dumps({_clean(name): _clean(value) for name, value in point.tags})
        end = f',"timestamp":{point.timestamp_ns // _NANOSECONDS},"tags":{tags}}}'
        data_points = [
            f'{{"metric":{json.dumps(_clean(start + name))},"value":{text}{end}'
            for name, value in point.fields.items()
            if (text := _number(value)) is not None
        ]
        if data_points:
            yield BETWEEN_DATA_POINTS.join(data_point.encode() for data_point in data_points)


def _number(value: FieldValue) -> str | None:
    if isinstance(value, str | bool) or not math.isfinite(value):
        return None
    return repr(value if -_LARGEST <= value <= _LARGEST else float(value))


def _clean(text: str) -> str:
    if _HARMLESS.fullmatch(text) is not None:
        return text
    return text.translate(_CLEAN) or "_"
