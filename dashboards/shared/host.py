"""What the host dashboards of both data sources show alike; only the questions are in two languages."""

from __future__ import annotations

from grafanalib.formatunits import BYTES_IEC, BYTES_SEC, DURATION_SECONDS, IO_OPS_PER_SEC, PERCENT_UNIT

from alerts import thresholds
from dashboards.colours import above, below
from dashboards.panels import Graph, Number

CPU_USED_NOW = Number(
    "cpu-used-now",
    "CPU used",
    "Neither idle nor waiting for I/O. High alone is normal for backups; the CPU pressure says if it hurts.",
    unit=PERCENT_UNIT,
    steps=above(thresholds.CPU_BUSY_RATIO),
)
MEMORY_USED_NOW = Number(
    "memory-used-now",
    "Memory used",
    "What a new process could not have. Red: end or move a container before the kernel kills one.",
    unit=PERCENT_UNIT,
    steps=above(thresholds.MEMORY_USED_RATIO),
)
DISK_SPACE_NOW = Number(
    "disk-space-now",
    "Least disk space",
    "Available to size of the fullest filesystem. Red: the row `Filesystems` names it; make room.",
    unit=PERCENT_UNIT,
    steps=below(thresholds.DISK_AVAIL_CRITICAL, warning=thresholds.DISK_AVAIL_WARNING),
)
DISK_BUSY_NOW = Number(
    "disk-busy-now",
    "Busiest disk",
    "Share of time with I/O in flight. Red: the disk is the bottleneck; lower device limits.",
    unit=PERCENT_UNIT,
    steps=above(thresholds.DISK_BUSY_RATIO),
)
UPTIME = Number(
    "uptime",
    "Up for",
    "Time since the machine booted. Short and unexpected: look for a crash, then run `vdbmon ps`.",
    unit=DURATION_SECONDS,
)
MEMORY_DIRTY = Graph(
    "memory-dirty",
    "Dirty pages and write-back",
    "Written, but not on disk yet. A high plateau: the disk can't keep up with buffered writes.",
    unit=BYTES_IEC,
)
SWAP = Graph(
    "swap",
    "Swap used",
    "A database that swaps is slow to restore. If it grows, lower buffer pools or place less here.",
    unit=BYTES_IEC,
)
DISK_BYTES = Graph(
    "disk-bytes",
    "Disk throughput",
    "Bytes by device. At the device's known maximum, backups slow each other down: lower their limits.",
    unit=BYTES_SEC,
)
DISK_OPERATIONS = Graph(
    "disk-operations",
    "Disk operations",
    "Reads and writes completed. Many with little throughput: small random I/O, as in a prepare.",
    unit=IO_OPS_PER_SEC,
)
SPACE_AVAILABLE = Graph(
    "space-available",
    "Space available",
    "Available to size. Below the lines: remove old backups, or the engine's next write fails.",
    unit=PERCENT_UNIT,
    steps=below(thresholds.DISK_AVAIL_CRITICAL, warning=thresholds.DISK_AVAIL_WARNING),
)
