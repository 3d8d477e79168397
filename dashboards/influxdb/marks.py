"""Marks in the graphs: containers that started. Alerts are in Prometheus only."""

from __future__ import annotations

from collector import catalogue
from dashboards.colours import NEUTRAL
from dashboards.influxdb.influxql import Scope, computed
from dashboards.influxdb.values import HOSTS_SCOPE
from dashboards.spec import Annotation

_UPTIME = computed(catalogue.cgroup.START_TIME, "uptime_ns")
_JUST_STARTED = 20 * 10**9  # ns; two intervals of pushing, so that each start is in one collection at least


def marks(scope: Scope = HOSTS_SCOPE) -> tuple[Annotation, ...]:
    """Starts of containers."""
    words = ["SELECT", f'"{_UPTIME.field}", "container_name" AS "text", "container_image"']
    words += ["FROM", f'"{_UPTIME.measurement}"']
    words += ["WHERE", f'{scope.condition} AND "{_UPTIME.field}" < {_JUST_STARTED} AND $timeFilter']
    return (Annotation("Starts", " ".join(words), "text", ("container_image",), NEUTRAL),)
