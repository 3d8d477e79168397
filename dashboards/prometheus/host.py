"""Host: use, saturation and errors of each resource (Gregg's USE method), the Docker daemon, the agent's own cost."""

from __future__ import annotations

from grafanalib.formatunits import (
    BYTES_IEC,
    BYTES_SEC,
    COUNTS_PER_SEC,
    DURATION_SECONDS,
    IO_OPS_PER_SEC,
    NUMBER_FORMAT,
    PACKETS_SEC,
    PERCENT_UNIT,
    SECONDS,
    SHORT,
)

from alerts import thresholds
from collector import catalogue
from collector.metrics import Metric
from dashboards.addresses import HOST_UID
from dashboards.colours import above, below
from dashboards.panels import glance, lines
from dashboards.prometheus import usage
from dashboards.prometheus.agent_panels import agent_panels
from dashboards.prometheus.alerts_table import closing_alerts_table
from dashboards.prometheus.container_table import busiest_containers
from dashboards.prometheus.docker_panels import docker_panels
from dashboards.prometheus.filesystem_panels import filesystem_panels
from dashboards.prometheus.variables import HOST, JOB, ONE_HOST
from dashboards.spec import Dashboard, Panel, Query, Row

_SCOPE = ONE_HOST
_host = catalogue.host
_DISK = "max by (device)"
_NOT_LOOPBACK = 'device!="lo"'


def dashboard() -> Dashboard:
    """Everything about one machine."""
    return Dashboard(
        uid=HOST_UID,
        title="vdbmon / Host",
        description="One host: what is used, what is saturated, whether its Docker daemon answers.",
        variables=(JOB, HOST),
        rows=(
            Row("now", "Now", (*_at_a_glance(), closing_alerts_table(), busiest_containers(_SCOPE))),
            Row("cpu", "CPU", _cpu()),
            Row("memory", "Memory", _memory()),
            Row("disk", "Disk I/O", _disk()),
            Row("filesystems", "Filesystems", filesystem_panels(_SCOPE)),
            Row("network", "Network", _network()),
            Row("docker", "Docker daemon", docker_panels(_SCOPE)),
            Row("agent", "Agent", agent_panels(_SCOPE), collapsed=True),
        ),
    )


def _at_a_glance() -> tuple[Panel, ...]:
    uptime = f"{_SCOPE.gauge(_host.TIME)} - {_SCOPE.gauge(_host.BOOT_TIME)}"
    return (
        glance(
            "agent-up",
            "Agent",
            "Whether Prometheus can scrape it. If not, all below is old: check the host, then the agent's log.",
            usage.agent_up(_SCOPE),
            unit=NUMBER_FORMAT,
            mappings=usage.ANSWERS,
            width=3,
        ),
        glance(
            "docker-up",
            "Docker daemon",
            "Whether all probed endpoints answer. If not, go to the row `Docker daemon`; containers run on.",
            usage.docker_answers(_SCOPE),
            unit=NUMBER_FORMAT,
            mappings=usage.ANSWERS,
            width=3,
        ),
        glance(
            "cpu-used-now",
            "CPU used",
            "Neither idle nor waiting for I/O. High alone is normal for backups; the CPU pressure says if it hurts.",
            usage.cpu_used(_SCOPE),
            unit=PERCENT_UNIT,
            width=3,
        ),
        glance(
            "memory-used-now",
            "Memory used",
            "What a new process could not have. Red: end or move a container before the kernel kills one.",
            usage.memory_used(_SCOPE),
            unit=PERCENT_UNIT,
            steps=above(thresholds.MEMORY_USED_RATIO),
            width=3,
        ),
        glance(
            "disk-space-now",
            "Least disk space",
            "Available to size of the fullest filesystem. Red: the row `Filesystems` names it; make room.",
            usage.least_disk_space(_SCOPE),
            unit=PERCENT_UNIT,
            steps=below(thresholds.DISK_AVAIL_CRITICAL, warning=thresholds.DISK_AVAIL_WARNING),
            width=3,
        ),
        glance(
            "disk-busy-now",
            "Busiest disk",
            "Share of time with I/O in flight. Red: the disk is the bottleneck; lower device limits.",
            usage.busiest_disk(_SCOPE),
            unit=PERCENT_UNIT,
            steps=above(thresholds.DISK_BUSY_RATIO),
            width=3,
        ),
        glance(
            "containers-running",
            "Containers running",
            "As the kernel shows them, whatever the daemon says.",
            f"max by (host) ({_SCOPE.gauge(catalogue.containers.RUNNING)})",
            unit=NUMBER_FORMAT,
            width=3,
        ),
        glance(
            "uptime",
            "Up for",
            "Time since the machine booted. Short and unexpected: look for a crash, then run `vdbmon ps`.",
            f"max by (host) ({uptime})",
            unit=DURATION_SECONDS,
            width=3,
        ),
    )


def _cpu() -> tuple[Panel, ...]:
    by_mode = _SCOPE.rate(_host.CPU_SECONDS, 'mode!="idle"')
    return (
        lines(
            "cpu-by-mode",
            "CPU by mode, cores",
            "Where CPU time goes. Much steal: the hypervisor is overbooked. Much iowait: see the row `Disk I/O`.",
            Query(f"sum by (mode) ({by_mode})", "{{mode}}"),
            Query(f"max by (host) ({_SCOPE.gauge(_host.CPU_CORES)})", "cores", is_limit=True),
            unit=SHORT,
            stacked=True,
        ),
        lines(
            "cpu-queue",
            "Runnable and blocked tasks",
            "Runnable above the cores: tasks queue for a CPU. Blocked: they wait for I/O.",
            Query(f"max by (host) ({_SCOPE.gauge(_host.PROCS_RUNNING)})", "runnable"),
            Query(f"max by (host) ({_SCOPE.gauge(_host.PROCS_BLOCKED)})", "blocked"),
            Query(f"max by (host) ({_SCOPE.gauge(_host.LOAD1)})", "load 1 min"),
            Query(f"max by (host) ({_SCOPE.gauge(_host.CPU_CORES)})", "cores", is_limit=True),
            unit=SHORT,
        ),
        lines(
            "cpu-waiting",
            "CPU pressure",
            "Share of time in which a task waited for a CPU. Above the line: place no more here, lower a CPU limit.",
            Query(usage.pressure(_SCOPE, "cpu", "some"), "some waited"),
            unit=PERCENT_UNIT,
            steps=above(thresholds.CPU_WAITING_RATIO),
        ),
    )


def _memory() -> tuple[Panel, ...]:
    parts = {"AnonPages": "anonymous", "Cached": "page cache", "Buffers": "buffers", "Slab": "slab", "MemFree": "free"}
    swap = f"{_SCOPE.gauge(_host.MEMORY['SwapTotal'])} - {_SCOPE.gauge(_host.MEMORY['SwapFree'])}"
    return (
        lines(
            "memory-parts",
            "Memory by use",
            "Page cache goes when needed, anonymous memory doesn't. Buffer pools of databases are anonymous.",
            *(Query(f"max by (host) ({_SCOPE.gauge(_host.MEMORY[key])})", text) for key, text in parts.items()),
            unit=BYTES_IEC,
            stacked=True,
        ),
        lines(
            "memory-used",
            "Memory used",
            "What a new process could not have. Above the line one more container means an OOM kill: move or end one.",
            Query(usage.memory_used(_SCOPE), "used"),
            unit=PERCENT_UNIT,
            steps=above(thresholds.MEMORY_USED_RATIO),
        ),
        lines(
            "memory-pressure",
            "Memory pressure",
            "Share of time in which tasks waited for memory. `All waited` above the line: it pages; end something.",
            Query(usage.pressure(_SCOPE, "memory", "some"), "some waited"),
            Query(usage.pressure(_SCOPE, "memory", "full"), "all waited"),
            unit=PERCENT_UNIT,
            steps=above(thresholds.MEMORY_STALLED_RATIO),
        ),
        lines(
            "memory-dirty",
            "Dirty pages and write-back",
            "Written, but not on disk yet. A high plateau: the disk can't keep up with buffered writes.",
            Query(f"max by (host) ({_SCOPE.gauge(_host.MEMORY['Dirty'])})", "dirty"),
            Query(f"max by (host) ({_SCOPE.gauge(_host.MEMORY['Writeback'])})", "being written"),
            unit=BYTES_IEC,
        ),
        lines(
            "swap",
            "Swap used",
            "A database that swaps is slow to restore. If it grows, lower buffer pools or place less here.",
            Query(f"max by (host) ({swap})", "used"),
            unit=BYTES_IEC,
        ),
        lines(
            "oom-kills",
            "OOM kills per second",
            "Processes killed for want of memory, on the host or in a container. Each one is a failed job: find it.",
            Query(f"max by (host) ({_SCOPE.rate(_host.OOM_KILL)})", "kills"),
            unit=COUNTS_PER_SEC,
        ),
    )


def _disk() -> tuple[Panel, ...]:
    read_latency = f"{_SCOPE.rate(_host.DISK_READ_TIME)} / ({_SCOPE.rate(_host.DISK_READS)} > 0)"
    write_latency = f"{_SCOPE.rate(_host.DISK_WRITE_TIME)} / ({_SCOPE.rate(_host.DISK_WRITES)} > 0)"
    return (
        lines(
            "disk-bytes",
            "Disk throughput",
            "Bytes by device. At the device's known maximum, backups slow each other down: lower their limits.",
            Query(f"{_DISK} ({_SCOPE.rate(_host.DISK_READ_BYTES)})", "{{device}} read"),
            Query(f"{_DISK} ({_SCOPE.rate(_host.DISK_WRITTEN_BYTES)})", "{{device}} written"),
            unit=BYTES_SEC,
        ),
        lines(
            "disk-operations",
            "Disk operations",
            "Reads and writes completed. Many with little throughput: small random I/O, as in a prepare.",
            Query(f"{_DISK} ({_SCOPE.rate(_host.DISK_READS)})", "{{device}} reads"),
            Query(f"{_DISK} ({_SCOPE.rate(_host.DISK_WRITES)})", "{{device}} writes"),
            unit=IO_OPS_PER_SEC,
        ),
        lines(
            "disk-busy",
            "Disk busy",
            "Share of time with I/O in flight. Above the line the disk is the bottleneck; an SSD may still have room.",
            Query(f"{_DISK} ({_SCOPE.rate(_host.DISK_IO_TIME)})", "{{device}}"),
            unit=PERCENT_UNIT,
            steps=above(thresholds.DISK_BUSY_RATIO),
        ),
        lines(
            "disk-latency",
            "Time per operation",
            "Mean time of a read and a write. Rising at equal throughput: saturated or failing; check SMART.",
            Query(f"{_DISK} ({read_latency})", "{{device}} read"),
            Query(f"{_DISK} ({write_latency})", "{{device}} write"),
            unit=SECONDS,
        ),
        lines(
            "io-pressure",
            "I/O pressure",
            "Share of time in which tasks waited for I/O. High with an idle disk: a device limit holds them: fine.",
            Query(usage.pressure(_SCOPE, "io", "some"), "some waited"),
            Query(usage.pressure(_SCOPE, "io", "full"), "all waited"),
            unit=PERCENT_UNIT,
            steps=above(thresholds.IO_STALLED_RATIO),
        ),
    )


def _network() -> tuple[Panel, ...]:
    def by_device(metric: Metric) -> str:
        return f"max by (device) ({_SCOPE.rate(metric, _NOT_LOOPBACK)})"

    return (
        lines(
            "network-bytes",
            "Network throughput",
            "Bytes by interface. Near the link's speed backups slow each other down: start them apart.",
            Query(by_device(_host.NET_RECEIVE_BYTES), "{{device}} received"),
            Query(by_device(_host.NET_TRANSMIT_BYTES), "{{device}} sent"),
            unit=BYTES_SEC,
        ),
        lines(
            "network-drops",
            "Dropped packets",
            "Above zero for long: a queue overflows or a rate limit drops. Compare with the containers on the host.",
            Query(by_device(_host.NET_RECEIVE_DROP), "{{device}} received"),
            Query(by_device(_host.NET_TRANSMIT_DROP), "{{device}} sent"),
            unit=PACKETS_SEC,
        ),
        lines(
            "network-errors",
            "Network errors",
            "Anything above zero is a cable, a port or a driver: move the host's jobs and have it looked at.",
            Query(by_device(_host.NET_RECEIVE_ERRS), "{{device}} received"),
            Query(by_device(_host.NET_TRANSMIT_ERRS), "{{device}} sent"),
            unit=PACKETS_SEC,
        ),
    )
