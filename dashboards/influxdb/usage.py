"""How full a host is: the questions that fleet and host dashboard share, as shares 0..1."""

from __future__ import annotations

from collector import catalogue
from dashboards.influxdb import values as v
from dashboards.influxdb.influxql import Scope, stored


def memory_used(scope: Scope, *by: str) -> str:
    """Share of the memory that a new process could not have."""
    return scope.gauge(v.MEMORY_AVAILABLE, *by, divide=v.PERCENT, rest_of_one=True)


def pressure(scope: Scope, resource: str, kind: str, *by: str) -> str:
    """Share of time in which some (`some`) or all (`full`) tasks waited for the resource."""
    return scope.rate(stored(catalogue.host.PRESSURE[resource, kind]), *by, where=v.pressure_of(resource, kind))


def least_disk_space(scope: Scope, *by: str) -> str:
    """Available to size of the fullest writable filesystem."""
    return scope.least_ratio(v.DISK_FREE, v.DISK_TOTAL, ("path",), *by, where="\"mode\" = 'rw'")


def busiest_disk(scope: Scope, *by: str) -> str:
    """Share of time with I/O in flight of the busiest disk."""
    return scope.gauge(v.DISK_UTIL, *by, function="max", divide=v.PERCENT)
