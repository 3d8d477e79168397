"""A point: what InfluxDB and telegraf call one line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FieldValue = int | float | str | bool

Tags = tuple[tuple[str, str], ...]
"""Names and values, of a point's tags or a series' labels."""


@dataclass(frozen=True, slots=True)
class Point:
    """Fields of one series at one moment.

    Attributes:
        tags: sorted by name, as InfluxDB likes them; none is empty.
        timestamp_ns: Unix time in nanoseconds.
    """

    measurement: str
    tags: Tags
    fields: Mapping[str, FieldValue]
    timestamp_ns: int
