"""A collection in which every declared metric has a value, as the projections see it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from collector.catalogue import METRICS
from collector.metrics import Sample
from collector.projections.point import Point
from collector.projections.telegraf import TelegrafProjection

SECOND = 10**9

LABELS: Mapping[str, tuple[str, ...]] = {
    "mode": ("user", "system", "idle", "nice", "iowait", "irq", "softirq", "steal"),
    "operation": ("Read", "Write"),
    "state": ("running",),
    "cpu": ("total", "0"),
    "image": ("registry:5000/mariadb:10.11",),
    "name": ("dr-1",),
    "destination": ("/var/lib/mysql",),
}


def samples(value: float) -> list[Sample]:
    """One sample of each metric and combination of the labels' values above; other labels have their own name."""
    return [
        metric.sample(value, *labels)
        for metric in METRICS.values()
        for labels in itertools.product(*(LABELS.get(label, (label,)) for label in metric.labels))
    ]


def collections(host: str, first_ns: int, count: int) -> list[list[Point]]:
    """So many collections, ten seconds apart, of counters that rise."""
    projection = TelegrafProjection(host)
    projection.project(samples(1), first_ns - 10 * SECOND)
    return [projection.project(samples(2 + n), first_ns + 10 * n * SECOND) for n in range(count)]
