"""When the fleet is full at the growth of the last weeks: a robust line through daily figures from Prometheus.

The line's slope is Theil and Sen's, the median of the slopes between pairs of days, so that a day of restores or an
outage of the monitoring doesn't bend it; only days that are whole weeks apart are compared, so that no weekend does.
Its height is the upper quartile of the last week, which is a working day, and follows a step within days. A host that
is new counts as if it had always been there with what it had at first: what it brought is no growth, what is placed on
it then is.
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
WEEK = 7
LEAST_DAYS = WEEK
"""Days of a week are compared with those of another."""

HORIZON = 10 * 365 * DAY
"""Nobody plans further ahead, seconds."""

_STEP = "15m"

Point = tuple[float, float]
"""Seconds since the epoch, and an amount in the class's unit."""

Points = Mapping[str, Sequence[Point]]
"""By host, a point a day."""

History = Mapping[ResourceClass, Points]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """One class of the fleet.

    Attributes:
        days: of history; where none of them are a whole number of weeks apart the rest is None.
        per_day: growth of what is used, in the class's unit.
        full_at: when that reaches what the fleet has, seconds since the epoch; None if it doesn't within HORIZON.
    """

    days: float
    per_day: float | None = None
    full_at: float | None = None


Forecasts = Mapping[ResourceClass, Forecast]


def forecast(points: Points, *, usable: int, now: float) -> Forecast:
    """Draw the line on; a fleet that is full already is full now."""
    fleet = _sum(points, now)
    days = (fleet[-1][0] - fleet[0][0]) / DAY if fleet else 0.0
    slopes = [
        (after - before) / (later - at)
        for (at, before), (later, after) in combinations(fleet, 2)
        if round((later - at) / DAY) % WEEK == 0
    ]
    if not slopes:
        return Forecast(days=days)
    slope = statistics.median(slopes)
    last = [value + slope * (now - at) for at, value in fleet if at > fleet[-1][0] - WEEK * DAY]
    level = last[0] if len(last) == 1 else statistics.quantiles(last, n=4, method="inclusive")[2]
    full_at = None
    if level >= usable:
        full_at = now
    elif slope > 0 and (usable - level) / slope < HORIZON:
        full_at = now + (usable - level) / slope
    return Forecast(days=days, per_day=slope * DAY, full_at=full_at)


def _sum(points: Points, now: float) -> list[Point]:
    """Of all hosts, by time. One that misses a day has its figure of the day before, or its first one.

    Hosts that are silent for a week count no more. A day that all of them miss is left out.
    """
    alive = [dict(own) for own in points.values() if any(at > now - WEEK * DAY for at, _ in own)]
    total = dict.fromkeys(sorted({at for own in alive for at in own}), 0.0)
    for own in alive:
        value = own[min(own)]
        for at in total:
            value = own.get(at, value)
            total[at] += value
    return list(total.items())


def history_queries(volumes_dir: Path) -> Mapping[ResourceClass, str]:
    """What each host used at its busy times of a day, in cores, bytes, per second; a query per class."""
    memory = f"max by (host) ({host.MEMORY['MemTotal'].name} - {host.MEMORY['MemAvailable'].name})"
    running = f'count by (host) (max by (host, name) ({cgroup.LAST_SEEN.name}{{image!=""}}))'
    queries = {
        ResourceClass.SLOTS: running,
        ResourceClass.MEMORY: memory,
        ResourceClass.DISK: _disk_used(volumes_dir),
        **NOW,
    }
    return {key: f"quantile_over_time({PERCENTILE}, ({query})[1d:{_STEP}])" for key, query in queries.items()}


def read_history(client: PrometheusClient, volumes_dir: Path, *, now: float) -> History:
    """Daily figures of every host and class that Prometheus has any of.

    Raises:
        PrometheusError: any of the answers didn't come.
    """
    found: dict[ResourceClass, dict[str, list[Point]]] = {}
    for key, query in history_queries(volumes_dir).items():
        for labels, values in client.range(query, start=now - DAYS * DAY, end=now, step=DAY):
            scale = MILLI if key is ResourceClass.CPU else 1
            points = [(at, value * scale) for at, value in values if math.isfinite(value)]
            if points:
                found.setdefault(key, {})[labels.get("host", "")] = points
    return found


def _disk_used(volumes_dir: Path) -> str:
    """Of the filesystem under the folder: the deepest of the mount points that each host has."""
    points = (volumes_dir, *volumes_dir.parents)
    used = (
        f'max by (host) ({host.FS_SIZE.name}{{mountpoint="{point}"}} - {host.FS_AVAIL.name}{{mountpoint="{point}"}})'
        for point in points
    )
    return " or ".join(used)


def forecasts(fleet: Dimensions, history: History, *, now: float) -> Forecasts:
    """One forecast per class of the fleet."""
    return {key: forecast(history.get(key, {}), usable=one.total - one.reserved, now=now) for key, one in fleet.items()}
