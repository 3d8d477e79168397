"""Container: each resource against its limit, and which processes inside use it."""

from __future__ import annotations

from grafanalib.formatunits import (
    BYTES_IEC,
    COUNTS_PER_SEC,
    DURATION_SECONDS,
    PACKETS_SEC,
    PERCENT_UNIT,
    SHORT,
)

from alerts import thresholds
from collector import catalogue
from collector.metrics import Metric
from dashboards.addresses import CONTAINER_UID, HOST_UID, JOBS_UID, NETWORK_UID, STORAGE_UID, neighbours
from dashboards.colours import PLAIN, above
from dashboards.panels import faults, glance, lines
from dashboards.prometheus.marks import CONTAINER_MARKS
from dashboards.prometheus.per_label import PerLabel
from dashboards.prometheus.variables import HOST, JOB, NAME, ONE_CONTAINER
from dashboards.prometheus.volume_panels import volume_and_job_panels
from dashboards.shared import container as shared
from dashboards.spec import Dashboard, Panel, Query, Row

_SCOPE = ONE_CONTAINER
_cgroup = catalogue.cgroup
_network_metrics = catalogue.network
_process = catalogue.process

_CPU_USED = f"sum by (name) ({_SCOPE.rate(_cgroup.CPU_USAGE)})"
_CPU_QUOTA = f"max by (name) (({_SCOPE.gauge(_cgroup.SPEC_CPU_QUOTA)} > 0) / {_SCOPE.gauge(_cgroup.SPEC_CPU_PERIOD)})"
_WORKING_SET = f"max by (name) ({_SCOPE.gauge(_cgroup.MEMORY_WORKING_SET)})"
_MEMORY_LIMIT = f"max by (name) ({_SCOPE.gauge(_cgroup.SPEC_MEMORY_LIMIT)} > 0)"
_THROTTLED = f"max by (name) ({_SCOPE.rate(_cgroup.CFS_THROTTLED_PERIODS)} / ({_SCOPE.rate(_cgroup.CFS_PERIODS)} > 0))"


def dashboard() -> Dashboard:
    """Everything about one container; its own `top` and `free` would show the host."""
    return Dashboard(
        uid=CONTAINER_UID,
        title="vdbmon / Container",
        description="One container against its limits. The figures come from the kernel: they don't need the daemon.",
        variables=(JOB, HOST, NAME),
        rows=(
            Row("now", "Now", _at_a_glance()),
            Row("cpu", "CPU", _cpu()),
            Row("memory", "Memory", _memory()),
            Row("disk", "Disk I/O", _disk()),
            Row("network", "Network", _network()),
            Row("pressure", "Pressure", _pressure()),
            Row("processes", "Processes by group", _processes()),
            Row("volumes", "Volumes and job", volume_and_job_panels(_SCOPE)),
        ),
        neighbours=neighbours(HOST_UID, JOBS_UID, STORAGE_UID, NETWORK_UID),
        annotations=CONTAINER_MARKS,
    )


def _at_a_glance() -> tuple[Panel, ...]:
    return (
        glance(
            "cpu-of-quota-now",
            "CPU of quota",
            "At 100 % the quota sets the pace. Raise it while the container runs if the job is late.",
            f"{_CPU_USED} / {_CPU_QUOTA}",
            unit=PERCENT_UNIT,
        ),
        shared.THROTTLED_NOW.of(_THROTTLED),
        glance(
            "memory-of-limit-now",
            "Memory of limit",
            "Working set to limit. Red: an OOM kill is near; raise the limit or lower the buffer pool.",
            f"{_WORKING_SET} / {_MEMORY_LIMIT}",
            unit=PERCENT_UNIT,
            steps=above(thresholds.CONTAINER_MEMORY_RATIO),
        ),
        faults(
            "oom-kills-now",
            "OOM kills",
            "Processes killed at the memory limit in the time shown. The job has failed: start it with more memory.",
            f"round(max by (name) ({_SCOPE.increase(_cgroup.OOM_EVENTS)}))",
        ),
        glance(
            "tasks-now",
            "Tasks of limit",
            "Processes and threads of those allowed. Steady growth is a leak; at 100 % nothing can be started in it.",
            f"max by (name) ({_SCOPE.gauge(_cgroup.THREADS)} / ({_SCOPE.gauge(_cgroup.THREADS_MAX)} > 0))",
            unit=PERCENT_UNIT,
            steps=above(thresholds.CONTAINER_THREADS_RATIO),
        ),
        glance(
            "running-for",
            "Running for",
            "Since its first process started. Shorter than expected: it died and was started again; see the OOM kills.",
            f"time() - max by (name) ({_SCOPE.gauge(_cgroup.START_TIME)})",
            unit=DURATION_SECONDS,
        ),
    )


def _cpu() -> tuple[Panel, ...]:
    return (
        shared.CPU_AGAINST_QUOTA.of(Query(_CPU_USED, "used"), Query(_CPU_QUOTA, "quota", is_limit=True)),
        shared.CPU_BY_MODE.of(
            Query(f"max by (name) ({_SCOPE.rate(_cgroup.CPU_USER)})", "user"),
            Query(f"max by (name) ({_SCOPE.rate(_cgroup.CPU_SYSTEM)})", "system"),
        ),
        shared.CPU_THROTTLED.of(Query(_THROTTLED, "throttled periods")),
    )


def _memory() -> tuple[Panel, ...]:
    def gauge(metric: Metric, legend: str) -> Query:
        return Query(f"max by (name) ({_SCOPE.gauge(metric)})", legend)

    faults = _SCOPE.rate(_cgroup.MEMORY_FAILURES, 'failure_type="pgmajfault",scope="hierarchy"')
    return (
        lines(
            "memory-against-limit",
            "Memory against limit",
            "Usage has the page cache in it and may lie at the limit; the working set may not. Raise the limit then.",
            Query(_WORKING_SET, "working set"),
            gauge(_cgroup.MEMORY_USAGE, "usage"),
            Query(_MEMORY_LIMIT, "limit", is_limit=True),
            unit=BYTES_IEC,
        ),
        lines(
            "memory-parts",
            "Memory by kind",
            "Anonymous memory (buffer pools) can't be given back, file pages can. Shared is part of file.",
            gauge(_cgroup.MEMORY_RSS, "anonymous"),
            gauge(_cgroup.MEMORY_CACHE, "file"),
            gauge(_cgroup.MEMORY_SHMEM, "shared"),
            gauge(_cgroup.MEMORY_SLAB, "slab"),
            gauge(_cgroup.MEMORY_SWAP, "swap"),
            unit=BYTES_IEC,
        ),
        lines(
            "memory-faults",
            "Memory trouble",
            "Major faults: pages read back from disk. Limit hits: the kernel had to reclaim. Both high: raise it.",
            Query(f"max by (name) ({faults})", "major faults"),
            Query(f"max by (name) ({_SCOPE.rate(_cgroup.MEMORY_FAILCNT)})", "limit hits"),
            unit=COUNTS_PER_SEC,
        ),
    )


def _disk() -> tuple[Panel, ...]:
    devices = PerLabel(_SCOPE, ("device",))
    return (
        shared.READ_AGAINST_LIMIT.of(devices.rate(_cgroup.FS_READ_BYTES), devices.limit(_cgroup.IO_LIMIT_READ_BPS)),
        shared.WRITE_AGAINST_LIMIT.of(devices.rate(_cgroup.FS_WRITE_BYTES), devices.limit(_cgroup.IO_LIMIT_WRITE_BPS)),
        lines(
            "io-of-limit",
            "Throughput of limit",
            "Above the line the limit sets the pace. If the host's disk is idle, raise it while the container runs.",
            devices.of_limit(_cgroup.FS_READ_BYTES, _cgroup.IO_LIMIT_READ_BPS, "read"),
            devices.of_limit(_cgroup.FS_WRITE_BYTES, _cgroup.IO_LIMIT_WRITE_BPS, "written"),
            unit=PERCENT_UNIT,
            steps=above(thresholds.BLKIO_AT_LIMIT_RATIO),
        ),
        shared.IO_OPERATIONS.of(
            devices.rate(_cgroup.FS_READS, "reads"),
            devices.rate(_cgroup.FS_WRITES, "writes"),
            devices.limit(_cgroup.IO_LIMIT_READ_IOPS, "limit of reads"),
            devices.limit(_cgroup.IO_LIMIT_WRITE_IOPS, "limit of writes"),
        ),
    )


def _network() -> tuple[Panel, ...]:
    interfaces = PerLabel(_SCOPE, ("interface",))
    return (
        shared.NETWORK_BYTES.of(
            interfaces.rate(_network_metrics.RECEIVE_BYTES, "received"),
            interfaces.rate(_network_metrics.TRANSMIT_BYTES, "sent"),
        ),
        lines(
            "network-packets",
            "Packets",
            "Many small packets cost CPU: a logical dump over TCP has more than a compressed stream.",
            interfaces.rate(_network_metrics.RECEIVE_PACKETS, "received"),
            interfaces.rate(_network_metrics.TRANSMIT_PACKETS, "sent"),
            unit=PACKETS_SEC,
        ),
        shared.NETWORK_DROPS.of(
            interfaces.rate(_network_metrics.RECEIVE_DROPPED, "dropped on receive"),
            interfaces.rate(_network_metrics.TRANSMIT_DROPPED, "dropped on send"),
            interfaces.rate(_network_metrics.RECEIVE_ERRORS, "receive errors"),
            interfaces.rate(_network_metrics.TRANSMIT_ERRORS, "send errors"),
        ),
    )


def _pressure() -> tuple[Panel, ...]:
    advice = {
        "cpu": ("CPU", "High with much throttling: the quota. High without: the host's CPUs are short."),
        "memory": ("Memory", "`All waited` above a few per cent: it pages instead of working; raise the limit."),
        "io": ("I/O", "High at the device limit is intended; high below it, the host's disk is short."),
    }
    return tuple(
        lines(
            f"{resource}-pressure",
            f"{name} pressure",
            f"Share of time in which tasks of the container waited. {text} Empty on cgroup v1, which lacks it.",
            Query(f"max by (name) ({_SCOPE.rate(_cgroup.PRESSURE[resource, 'some'])})", "some waited"),
            Query(f"max by (name) ({_SCOPE.rate(_cgroup.PRESSURE[resource, 'full'])})", "all waited"),
            unit=PERCENT_UNIT,
            steps=above(thresholds.CONTAINER_STALLED_RATIO) if resource == "memory" else PLAIN,
        )
        for resource, (name, text) in advice.items()
    )


def _processes() -> tuple[Panel, ...]:
    groups = PerLabel(_SCOPE, ("group",))
    return (
        shared.PROCESS_CPU.of(groups.rate(_process.CPU)),
        shared.PROCESS_MEMORY.of(groups.gauge(_process.RESIDENT)),
        shared.PROCESS_IO.of(groups.rate(_process.READ_BYTES, "read"), groups.rate(_process.WRITE_BYTES, "written")),
        lines(
            "process-count",
            "Processes by group",
            "A group that is missing has ended or died: compare with the job's state in `vdbmon ps`.",
            groups.gauge(_process.COUNT),
            unit=SHORT,
        ),
        shared.PROCESS_DESCRIPTORS.of(groups.gauge(_process.OPEN_FDS)),
    )
