"""Points as the tests of the telegraf projection look at them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from collector.metrics import Sample
from collector.projections.point import FieldValue, Point
from collector.projections.telegraf import TelegrafProjection

SECOND = 10**9
NOW = 1_700_000_000 * SECOND


def project(*samples: Sample) -> list[Point]:
    """The points of a first collection."""
    return TelegrafProjection("host-1").project(samples, NOW)


def fields_of(points: Sequence[Point], measurement: str, **tags: str) -> Mapping[str, FieldValue]:
    """The fields of the one point that has these tags."""
    found = [
        point.fields
        for point in points
        if point.measurement == measurement and tags.items() <= dict(point.tags).items()
    ]
    assert len(found) == 1, points
    return found[0]
