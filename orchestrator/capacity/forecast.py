"""When the fleet is full at the growth of the last weeks: a robust line through daily figures from Prometheus.

The line is Theil and Sen's: the median of the slopes between all pairs of days, so that a day of restores or an outage
of the monitoring doesn't bend it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from collector.catalogue import cgroup, host
from orchestrator.capacity.figures import Dimensions
from orchestrator.decision.resources import MILLI, ResourceClass
from orchestrator.survey.prometheus import PrometheusClient
from orchestrator.survey.telemetry import NOW, PERCENTILE

DAY = 86400.0
DAYS = 28
LEAST_DAYS = 3
"""Fewer days of history are no growth."""

HORIZON = 10 * 365 * DAY
"""Nobody plans further ahead, seconds."""

_STEP = "15m"

Point = tuple[float, float]
"""Seconds since the epoch, and an amount in the class's unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """One class of the fleet.

    Attributes:
        days: of history; with less than LEAST_DAYS the rest is None.
        per_day: growth of what is used, in the class's unit.
        full_at: when that reaches what the fleet has, seconds since the epoch; None if it doesn't within HORIZON.
    """

    days: float
    per_day: float | None = None
    full_at: float | None = None


Forecasts = Mapping[ResourceClass, Forecast]


def forecast(points: Sequence[Point], *, usable: int, now: float) -> Forecast:
    """Draw the line on; a fleet that is full already is full now."""
    days = (max(at for at, _ in points) - min(at for at, _ in points)) / DAY if points else 0.0
    if days < LEAST_DAYS:
        return Forecast(days=days)
    pairs = combinations(points, 2)
    slopes = [(after - before) / (later - at) for (at, before), (later, after) in pairs if later != at]
    slope = statistics.median(slopes)
    level = statistics.median(value + slope * (now - at) for at, value in points)
    full_at = None
    if level >= usable:
        full_at = now
    elif slope > 0 and (usable - level) / slope < HORIZON:
        full_at = now + (usable - level) / slope
    return Forecast(days=days, per_day=slope * DAY, full_at=full_at)


def history_queries(volumes_dir: Path) -> Mapping[ResourceClass, str]:
    """What the fleet used at its busy times of a day, in cores, bytes, per second; a query per class."""
    memory = f"sum ({host.MEMORY['MemTotal'].name} - {host.MEMORY['MemAvailable'].name})"
    running = f'count (max by (host, name) ({cgroup.LAST_SEEN.name}{{image!=""}}))'
    queries = {
        ResourceClass.SLOTS: running,
        ResourceClass.MEMORY: memory,
        ResourceClass.DISK: _disk_used(volumes_dir),
        **{key: f"sum ({query})" for key, query in NOW.items()},
    }
    return {key: f"quantile_over_time({PERCENTILE}, ({query})[1d:{_STEP}])" for key, query in queries.items()}


def read_history(client: PrometheusClient, volumes_dir: Path, *, now: float) -> Mapping[ResourceClass, list[Point]]:
    """Daily figures of every class that Prometheus has any of.

    Raises:
        PrometheusError: any of the answers didn't come.
    """
    found: dict[ResourceClass, list[Point]] = {}
    for key, query in history_queries(volumes_dir).items():
        for _, values in client.range(query, start=now - DAYS * DAY, end=now, step=DAY):
            scale = MILLI if key is ResourceClass.CPU else 1
            found[key] = [(at, value * scale) for at, value in values if math.isfinite(value)]
    return found


def _disk_used(volumes_dir: Path) -> str:
    """Of the filesystem under the folder: the deepest of the mount points that each host has."""
    points = (volumes_dir, *volumes_dir.parents)
    used = (
        f'max by (host) ({host.FS_SIZE.name}{{mountpoint="{point}"}} - {host.FS_AVAIL.name}{{mountpoint="{point}"}})'
        for point in points
    )
    return f"sum ({' or '.join(used)})"


def forecasts(fleet: Dimensions, history: Mapping[ResourceClass, list[Point]], *, now: float) -> Forecasts:
    """One forecast per class of the fleet."""
    return {key: forecast(history.get(key, ()), usable=one.total - one.reserved, now=now) for key, one in fleet.items()}
