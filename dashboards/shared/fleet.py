"""What the fleet dashboards of both data sources show alike; only the questions are in two languages."""

from __future__ import annotations

from grafanalib.formatunits import BYTES_SEC, PERCENT_UNIT, SECONDS

from alerts import thresholds
from dashboards.colours import above, below
from dashboards.panels import Graph

CPU_USED = Graph(
    "cpu-used",
    "CPU used",
    "Neither idle nor waiting for I/O. High alone is normal while backups compress; see the CPU pressure.",
    unit=PERCENT_UNIT,
    steps=above(thresholds.CPU_BUSY_RATIO),
)
CPU_WAITING = Graph(
    "cpu-waiting",
    "CPU pressure, some",
    "Share of time in which a task waited for a CPU. Above the line: place no more here, lower a CPU limit.",
    unit=PERCENT_UNIT,
    steps=above(thresholds.CPU_WAITING_RATIO),
)
MEMORY_USED = Graph(
    "memory-used",
    "Memory used",
    "What a new process could not have. Above the line one more container means an OOM kill: move or end one.",
    unit=PERCENT_UNIT,
    steps=above(thresholds.MEMORY_USED_RATIO),
)
MEMORY_STALLED = Graph(
    "memory-stalled",
    "Memory pressure, full",
    "Share of time in which all tasks waited for memory. Above the line the host pages instead of working.",
    unit=PERCENT_UNIT,
    steps=above(thresholds.MEMORY_STALLED_RATIO),
)
DISK_SPACE = Graph(
    "disk-space",
    "Least disk space",
    "Available to size of the fullest filesystem. Below the lines: remove old backups or grow the volume.",
    unit=PERCENT_UNIT,
    steps=below(thresholds.DISK_AVAIL_CRITICAL, warning=thresholds.DISK_AVAIL_WARNING),
)
DISK_BUSY = Graph(
    "disk-busy",
    "Busiest disk",
    "Share of time with I/O in flight. Above the line the disk is the bottleneck: lower the device limits.",
    unit=PERCENT_UNIT,
    steps=above(thresholds.DISK_BUSY_RATIO),
)
IO_STALLED = Graph(
    "io-stalled",
    "I/O pressure, full",
    "Share of time in which all tasks waited for I/O. With an idle disk it is a limit that holds them: fine.",
    unit=PERCENT_UNIT,
    steps=above(thresholds.IO_STALLED_RATIO),
)
NETWORK_BYTES = Graph(
    "network-bytes",
    "Network",
    "All interfaces but loopback. Near the link's speed backups slow each other down: start them apart.",
    unit=BYTES_SEC,
)
DOCKER_SLOWEST = Graph(
    "docker-slowest",
    "Slowest Docker endpoint",
    "A call that hangs counts up. A steady climb is a hung daemon: open the host for the pattern.",
    unit=SECONDS,
    steps=above(thresholds.DOCKER_SLOW_SECONDS),
)
