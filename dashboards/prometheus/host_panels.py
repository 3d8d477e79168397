"""The four resources of a host by Gregg's USE method: use on the left, saturation on the right, then the rest."""

from __future__ import annotations

from grafanalib.formatunits import (
    BYTES_IEC,
    BYTES_SEC,
    COUNTS_PER_SEC,
    PACKETS_SEC,
    PERCENT_UNIT,
    SECONDS,
    SHORT,
)

from alerts import thresholds
from collector import catalogue
from dashboards.colours import above
from dashboards.panels import lines
from dashboards.prometheus import device_queries as devices
from dashboards.prometheus import usage
from dashboards.prometheus.per_label import PerLabel
from dashboards.prometheus.promql import Scope
from dashboards.shared import host as shared
from dashboards.spec import Panel, Query

_host = catalogue.host


def cpu_panels(scope: Scope) -> tuple[Panel, ...]:
    """Share and modes of the CPUs, and what waits for them."""
    by_mode = scope.rate(_host.CPU_SECONDS, 'mode!="idle"')
    return (
        lines(
            "cpu-used",
            "CPU used",
            (
                "Use: neither idle nor waiting for I/O. High alone is normal while backups compress; compare the "
                "right side."
            ),
            Query(usage.cpu_used(scope), "used"),
            unit=PERCENT_UNIT,
            steps=above(thresholds.CPU_BUSY_RATIO),
            width=12,
        ),
        lines(
            "cpu-waiting",
            "CPU pressure",
            "Share of time in which a task waited for a CPU. Above the line: place no more here, lower a CPU limit.",
            Query(usage.pressure(scope, "cpu", "some"), "some waited"),
            unit=PERCENT_UNIT,
            steps=above(thresholds.CPU_WAITING_RATIO),
            width=12,
        ),
        lines(
            "cpu-by-mode",
            "CPU by mode, cores",
            "Where CPU time goes. Much steal: the hypervisor is overbooked. Much iowait: see the row `Disk I/O`.",
            Query(f"sum by (mode) ({by_mode})", "{{mode}}"),
            Query(f"max by (host) ({scope.gauge(_host.CPU_CORES)})", "cores", is_limit=True),
            unit=SHORT,
            stacked=True,
            width=12,
        ),
        lines(
            "cpu-queue",
            "Runnable and blocked tasks",
            "Runnable above the cores: tasks queue for a CPU. Blocked: they wait for I/O.",
            Query(f"max by (host) ({scope.gauge(_host.PROCS_RUNNING)})", "runnable"),
            Query(f"max by (host) ({scope.gauge(_host.PROCS_BLOCKED)})", "blocked"),
            Query(f"max by (host) ({scope.gauge(_host.LOAD1)})", "load 1 min"),
            Query(f"max by (host) ({scope.gauge(_host.CPU_CORES)})", "cores", is_limit=True),
            unit=SHORT,
            width=12,
        ),
    )


def memory_panels(scope: Scope) -> tuple[Panel, ...]:
    """What is used and for what, and whether tasks wait for it."""
    parts = {"AnonPages": "anonymous", "Cached": "page cache", "Buffers": "buffers", "Slab": "slab", "MemFree": "free"}
    return (
        lines(
            "memory-used",
            "Memory used",
            "What a new process could not have. Above the line one more container means an OOM kill: move or end one.",
            Query(usage.memory_used(scope), "used"),
            unit=PERCENT_UNIT,
            steps=above(thresholds.MEMORY_USED_RATIO),
            width=12,
        ),
        lines(
            "memory-pressure",
            "Memory pressure",
            "Share of time in which tasks waited for memory. `All waited` above the line: it pages; end something.",
            Query(usage.pressure(scope, "memory", "some"), "some waited"),
            Query(usage.pressure(scope, "memory", "full"), "all waited"),
            unit=PERCENT_UNIT,
            steps=above(thresholds.MEMORY_STALLED_RATIO),
            width=12,
        ),
        lines(
            "memory-parts",
            "Memory by use",
            "Page cache goes when needed, anonymous memory doesn't. Buffer pools of databases are anonymous.",
            *(Query(f"max by (host) ({scope.gauge(_host.MEMORY[key])})", text) for key, text in parts.items()),
            unit=BYTES_IEC,
            stacked=True,
        ),
        *_memory_trouble(scope),
    )


def _memory_trouble(scope: Scope) -> tuple[Panel, ...]:
    """Pages to be written, swap, kills."""
    swap = f"{scope.gauge(_host.MEMORY['SwapTotal'])} - {scope.gauge(_host.MEMORY['SwapFree'])}"
    return (
        shared.MEMORY_DIRTY.of(
            Query(f"max by (host) ({scope.gauge(_host.MEMORY['Dirty'])})", "dirty"),
            Query(f"max by (host) ({scope.gauge(_host.MEMORY['Writeback'])})", "being written"),
        ),
        shared.SWAP.of(Query(f"max by (host) ({swap})", "used")),
        lines(
            "oom-kills",
            "OOM kills per second",
            "Processes killed for want of memory, on the host or in a container. Each one is a failed job: find it.",
            Query(f"max by (host) ({scope.rate(_host.OOM_KILL)})", "kills"),
            unit=COUNTS_PER_SEC,
            width=12,
        ),
        lines(
            "swap-traffic",
            "Pages swapped per second",
            "Steady both ways: what runs doesn't fit into memory, and all wait for the disk. End or move a job.",
            Query(f"max by (host) ({scope.rate(_host.VMSTAT['pswpin'])})", "in"),
            Query(f"max by (host) ({scope.rate(_host.VMSTAT['pswpout'])})", "out"),
            unit=COUNTS_PER_SEC,
            width=12,
        ),
    )


def disk_panels(scope: Scope) -> tuple[Panel, ...]:
    """How busy the disks are, and who waits."""
    disks = devices.disks(scope, "device")
    return (
        lines(
            "disk-busy",
            "Disk busy",
            "Share of time with I/O in flight. Above the line the disk is the bottleneck; an SSD may still have room.",
            devices.disk_busy(disks),
            unit=PERCENT_UNIT,
            steps=above(thresholds.DISK_BUSY_RATIO),
            width=12,
        ),
        lines(
            "io-pressure",
            "I/O pressure",
            "Share of time in which tasks waited for I/O. High with an idle disk: a device limit holds them: fine.",
            Query(usage.pressure(scope, "io", "some"), "some waited"),
            Query(usage.pressure(scope, "io", "full"), "all waited"),
            unit=PERCENT_UNIT,
            steps=above(thresholds.IO_STALLED_RATIO),
            width=12,
        ),
        lines(
            "disk-queue",
            "Queue of disks",
            "Saturation: requests in flight on average. Long at full throughput: more jobs than the disk serves.",
            devices.disk_queue(disks),
            unit=SHORT,
            steps=above(thresholds.DISK_QUEUE_LENGTH),
        ),
        lines(
            "disk-latency",
            "Time per operation",
            "Mean time of a read and a write. Rising at equal throughput: saturated or failing; check SMART.",
            *devices.disk_latency(disks),
            unit=SECONDS,
            steps=above(thresholds.DISK_WAIT_SECONDS),
        ),
        *_disk_work(disks),
    )


def _disk_work(disks: PerLabel) -> tuple[Panel, ...]:
    """What the disks do."""
    return (
        shared.DISK_BYTES.of(*devices.disk_bytes(disks)),
        shared.DISK_OPERATIONS.of(*devices.disk_operations(disks), width=24),
    )


def network_panels(scope: Scope) -> tuple[Panel, ...]:
    """How full the links are, and what is lost on them."""
    links = devices.links(scope, "device")
    return (
        lines(
            "network-of-speed",
            "Use of links",
            "Throughput of the link's speed; interfaces without a speed are left out. Near 100 %: start backups apart.",
            *devices.link_use(links),
            unit=PERCENT_UNIT,
            steps=above(thresholds.NIC_BUSY_RATIO),
            width=12,
        ),
        lines(
            "network-drops",
            "Dropped packets",
            "Above zero for long: a queue overflows or a rate limit drops. Compare with the containers on the host.",
            *devices.link_drops(links),
            unit=PACKETS_SEC,
            width=12,
        ),
        lines(
            "network-bytes",
            "Network throughput",
            "Bytes by interface. Near the link's speed backups slow each other down: start them apart.",
            *devices.link_bytes(links),
            unit=BYTES_SEC,
            width=12,
        ),
        lines(
            "network-errors",
            "Network errors",
            "Anything above zero is a cable, a port or a driver: move the host's jobs and have it looked at.",
            *devices.link_errors(links),
            unit=PACKETS_SEC,
            width=12,
        ),
    )
