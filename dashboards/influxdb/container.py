"""Container: each resource against its limit, and which processes inside use it, from what telegraf's names hold."""

from __future__ import annotations

from grafanalib.formatunits import (
    BYTES_IEC,
    COUNTS_PER_SEC,
    DURATION_SECONDS,
    NUMBER_FORMAT,
    PERCENT_UNIT,
)

from alerts import thresholds
from collector import catalogue
from collector.metrics import Metric
from dashboards.addresses import (
    INFLUX_CONTAINER_UID,
    INFLUX_FLEET_UID,
    INFLUX_HOST_UID,
    INFLUX_NETWORK_UID,
    neighbours,
)
from dashboards.colours import above
from dashboards.influxdb import values as v
from dashboards.influxdb.influxql import computed, stored
from dashboards.influxdb.marks import marks
from dashboards.influxdb.per_tag import PerTag
from dashboards.panels import glance, lines
from dashboards.shared import container as shared
from dashboards.spec import Dashboard, Panel, Query, Row, Source

_SCOPE, _OURS = v.CONTAINER_SCOPE, v.PROMETHEUS_CONTAINER_SCOPE
_cgroup, _net, _process = catalogue.cgroup, catalogue.network, catalogue.process
_USED = _SCOPE.gauge(v.CONTAINER_CPU, where=v.TOTAL_CPU, divide=v.PERCENT)
_QUOTA = _OURS.ratio(stored(_cgroup.SPEC_CPU_QUOTA), stored(_cgroup.SPEC_CPU_PERIOD))
_THROTTLED = _SCOPE.ratio_of_rates(v.THROTTLED, v.PERIODS, where=v.TOTAL_CPU)
_OF_LIMIT = _SCOPE.gauge(v.CONTAINER_MEMORY_OF_LIMIT, divide=v.PERCENT)


def dashboard() -> Dashboard:
    """Everything about one container that InfluxDB holds."""
    return Dashboard(
        uid=INFLUX_CONTAINER_UID,
        title="vdbmon / InfluxDB / Container",
        description="One container against its limits. The figures come from the kernel: they don't need the daemon.",
        source=Source.INFLUXDB,
        variables=(v.HOST, v.NAME),
        rows=(
            Row("now", "Now", _at_a_glance()),
            Row("cpu", "CPU", _cpu()),
            Row("memory", "Memory", _memory()),
            Row("disk", "Disk I/O", _disk()),
            Row("network", "Network", _network()),
            Row("processes", "Processes by group", _processes()),
        ),
        neighbours=neighbours(INFLUX_FLEET_UID, INFLUX_HOST_UID, INFLUX_NETWORK_UID),
        annotations=marks(_SCOPE),
    )


def _at_a_glance() -> tuple[Panel, ...]:
    return (
        glance(
            "cpu-now",
            "CPU of a core",
            "100 % is one core. At the quota of the next row the quota sets the pace; raise it if the job is late.",
            _USED,
            unit=PERCENT_UNIT,
            width=6,
        ),
        shared.THROTTLED_NOW.of(_THROTTLED, width=6),
        glance(
            "memory-of-limit-now",
            "Memory of limit",
            "Without page cache. Red: an OOM kill is near; raise the limit or lower the buffer pool.",
            _OF_LIMIT,
            unit=PERCENT_UNIT,
            steps=above(thresholds.CONTAINER_MEMORY_RATIO),
            width=6,
        ),
        glance(
            "running-for",
            "Running for",
            "Since its first process started. Shorter than expected: it died and was started again.",
            _SCOPE.gauge(computed(_cgroup.START_TIME, "uptime_ns"), function="last", divide=10**9),
            unit=DURATION_SECONDS,
            width=6,
        ),
    )


def _cpu() -> tuple[Panel, ...]:
    return (
        shared.CPU_AGAINST_QUOTA.of(Query(_USED, "used"), Query(_QUOTA, "quota", is_limit=True)),
        shared.CPU_BY_MODE.of(
            Query(_SCOPE.rate(stored(_cgroup.CPU_USER)), "user"),
            Query(_SCOPE.rate(stored(_cgroup.CPU_SYSTEM)), "system"),
        ),
        shared.CPU_THROTTLED.of(Query(_THROTTLED, "throttled periods")),
    )


def _memory() -> tuple[Panel, ...]:
    def gauge(metric: Metric, legend: str) -> Query:
        return Query(_SCOPE.gauge(stored(metric)), legend)

    return (
        lines(
            "memory-against-limit",
            "Memory against limit",
            "Usage without page cache may not reach the limit: an OOM kill is next. Raise the limit then.",
            Query(_SCOPE.gauge(v.CONTAINER_MEMORY), "usage"),
            Query(_SCOPE.gauge(computed(_cgroup.SPEC_MEMORY_LIMIT, "limit")), "limit", is_limit=True),
            unit=BYTES_IEC,
        ),
        lines(
            "memory-parts",
            "Memory by kind",
            "Anonymous memory (buffer pools) can't be given back, page cache can. Compare both with the limit.",
            gauge(_cgroup.MEMORY_RSS, "anonymous"),
            gauge(_cgroup.MEMORY_CACHE, "page cache"),
            gauge(_cgroup.MEMORY_MAPPED_FILE, "mapped files"),
            unit=BYTES_IEC,
        ),
        lines(
            "memory-limit-hits",
            "Limit hits",
            "Times the kernel had to reclaim at the limit. Steady with a slow job: it needs more memory.",
            Query(_SCOPE.rate(stored(_cgroup.MEMORY_FAILCNT)), "limit hits"),
            unit=COUNTS_PER_SEC,
        ),
    )


def _disk() -> tuple[Panel, ...]:
    devices = PerTag(_SCOPE, ("device",), where=v.ONE_DEVICE)

    def limit(metric: Metric) -> Query:
        return Query(_OURS.gauge(stored(metric), "device"), "$tag_device limit", is_limit=True)

    return (
        shared.READ_AGAINST_LIMIT.of(devices.rate(v.CONTAINER_READ), limit(_cgroup.IO_LIMIT_READ_BPS)),
        shared.WRITE_AGAINST_LIMIT.of(devices.rate(v.CONTAINER_WRITTEN), limit(_cgroup.IO_LIMIT_WRITE_BPS)),
        shared.IO_OPERATIONS.of(devices.rate(_cgroup.FS_READS, "reads"), devices.rate(_cgroup.FS_WRITES, "writes")),
    )


def _network() -> tuple[Panel, ...]:
    networks = PerTag(_SCOPE, ("network",), where=v.ONE_NETWORK)
    return (
        shared.NETWORK_BYTES.of(
            networks.rate(_net.RECEIVE_BYTES, "received"), networks.rate(_net.TRANSMIT_BYTES, "sent"), width=12
        ),
        shared.NETWORK_DROPS.of(
            networks.rate(_net.RECEIVE_DROPPED, "dropped on receive"),
            networks.rate(_net.TRANSMIT_DROPPED, "dropped on send"),
            networks.rate(_net.RECEIVE_ERRORS, "receive errors"),
            networks.rate(_net.TRANSMIT_ERRORS, "send errors"),
            width=12,
        ),
    )


def _processes() -> tuple[Panel, ...]:
    groups = PerTag(_SCOPE, ("process_name",))
    return (
        shared.PROCESS_CPU.of(groups.gauge(computed(_process.RESIDENT, "cpu_usage"), divide=v.PERCENT)),
        shared.PROCESS_MEMORY.of(groups.gauge(stored(_process.RESIDENT))),
        shared.PROCESS_IO.of(groups.rate(_process.READ_BYTES, "read"), groups.rate(_process.WRITE_BYTES, "written")),
        lines(
            "process-count",
            "Processes by group",
            "A group that is missing has ended or died: compare with the job's state in `vdbmon ps`.",
            groups.gauge(stored(_process.COUNT), function="last"),
            unit=NUMBER_FORMAT,
            width=12,
        ),
        shared.PROCESS_DESCRIPTORS.of(groups.gauge(stored(_process.OPEN_FDS)), width=12),
    )
