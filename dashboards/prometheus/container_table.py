"""The table of containers, busiest first, that leads from a fleet or a host to one container."""

from __future__ import annotations

from grafanalib.formatunits import BYTES_IEC, BYTES_SEC, PERCENT_UNIT, SHORT

from alerts.thresholds import CONTAINER_MEMORY_RATIO, THROTTLED_RATIO
from collector import catalogue
from dashboards.addresses import CONTAINER_UID, HOST_UID
from dashboards.colours import above
from dashboards.prometheus.promql import Scope
from dashboards.spec import Column, KeyLink, Table

_cgroup = catalogue.cgroup
_network = catalogue.network

_CPU_TITLE = "CPU, cores"

# Cgroups that are no containers (system.slice and the like) have no image.
_IS_CONTAINER = 'image!=""'


def busiest_containers(scope: Scope) -> Table:
    """One row per container of the scope."""
    return Table(
        slug="busiest-containers",
        title="Busiest containers",
        description="What each container takes now, the most CPU first. Click a name to see it against its limits.",
        height=12,
        keys=("host", "name"),
        sort_by=_CPU_TITLE,
        links=(
            KeyLink("host", HOST_UID, carried=("host",)),
            KeyLink("name", CONTAINER_UID, carried=("host", "name")),
        ),
        columns=(
            Column(_CPU_TITLE, _sum(scope.rate(_cgroup.CPU_USAGE, _IS_CONTAINER)), SHORT),
            Column("CPU throttled", _throttled(scope), PERCENT_UNIT, above(THROTTLED_RATIO)),
            Column("Memory", _sum(scope.gauge(_cgroup.MEMORY_WORKING_SET, _IS_CONTAINER)), BYTES_IEC),
            Column("Memory of limit", _memory_of_limit(scope), PERCENT_UNIT, above(CONTAINER_MEMORY_RATIO)),
            Column("Read", _sum(scope.rate(_cgroup.FS_READ_BYTES, _IS_CONTAINER)), BYTES_SEC),
            Column("Written", _sum(scope.rate(_cgroup.FS_WRITE_BYTES, _IS_CONTAINER)), BYTES_SEC),
            Column("Received", _sum(scope.rate(_network.RECEIVE_BYTES, _IS_CONTAINER)), BYTES_SEC),
            Column("Sent", _sum(scope.rate(_network.TRANSMIT_BYTES, _IS_CONTAINER)), BYTES_SEC),
        ),
    )


def _sum(expr: str) -> str:
    return f"sum by (host, name) ({expr})"


def _throttled(scope: Scope) -> str:
    throttled = scope.rate(_cgroup.CFS_THROTTLED_PERIODS, _IS_CONTAINER)
    return f"{_sum(throttled)} / ({_sum(scope.rate(_cgroup.CFS_PERIODS, _IS_CONTAINER))} > 0)"


def _memory_of_limit(scope: Scope) -> str:
    used = scope.gauge(_cgroup.MEMORY_WORKING_SET, _IS_CONTAINER)
    return f"{_sum(used)} / ({_sum(scope.gauge(_cgroup.SPEC_MEMORY_LIMIT, _IS_CONTAINER))} > 0)"
