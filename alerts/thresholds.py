"""Every limit that rules, panel colours and the scheduler share, each with its unit and the reason for its value.

Ratios are 0..1. Durations are whole seconds. Pressure (PSI) is the share of time in which tasks waited
(Documentation/accounting/psi.rst of the Linux kernel).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

WATCHDOG = "Watchdog"
DOCKER_DAEMON_NOT_ANSWERING = "DockerDaemonNotAnswering"

GATE_LABEL = "gate"
GATE_PLACE = "place"
SCOPE_LABEL = "scope"
SCOPE_FLEET = "fleet"

GATE_GROUP = "vdbmon-place"
"""The rule group that holds all gates and Watchdog; its last evaluation is the age of every gate."""

GATE_FOR = 15
"""Longest `for` of a gate alert, seconds. A Prometheus younger than this may not have raised it again yet."""

KEEP_FIRING_FOR = 60
"""How long a gate stays closed after its condition ended, seconds: a host at the edge must not flap open and shut."""

TELEMETRY_STALE_AFTER = 30
"""Age of a host's last collection from which it says nothing about the host, seconds: three agent intervals of 10 s."""

RULES_STALE_AFTER = 60
"""Age of the gate group's last evaluation from which its silence means nothing, seconds."""


class LimitUnit(StrEnum):
    """What the number of a threshold counts."""

    RATIO = "ratio"
    SECONDS = "seconds"
    COUNT = "count"


@dataclass(frozen=True, slots=True)
class Threshold:
    """One limit.

    Attributes:
        value: in `unit`; which side of it is bad is said by `why`.
        unit: what the value counts.
        why: what is compared, and why here.
    """

    value: float
    unit: LimitUnit
    why: str


DISK_AVAIL_WARNING = Threshold(
    0.10, LimitUnit.RATIO, "Available to size of a filesystem; below it somebody should make room today."
)
DISK_AVAIL_CRITICAL = Threshold(
    0.05, LimitUnit.RATIO, "Available to size of a filesystem; below it the engine's next write may fail."
)
DISK_TREND_AVAIL = Threshold(
    0.40, LimitUnit.RATIO, "A trend towards zero counts only below this; a bare prediction is fooled by each backup."
)
DISK_TREND_HORIZON = Threshold(
    24 * 3600, LimitUnit.SECONDS, "How far ahead the trend is drawn: a working day to react."
)
VOLUME_AVAIL_CRITICAL = Threshold(
    0.05, LimitUnit.RATIO, "Available to size of a sized volume; below it the backup in it is about to fail."
)
INODES_FREE_WARNING = Threshold(
    0.05,
    LimitUnit.RATIO,
    "Free to all inodes of a filesystem; without inodes no file is made, however much space is left.",
)

MEMORY_USED_RATIO = Threshold(
    0.90, LimitUnit.RATIO, "1 - MemAvailable / MemTotal of a host; above it one more container means an OOM kill."
)
MEMORY_STALLED_RATIO = Threshold(
    0.05, LimitUnit.RATIO, "Memory pressure, full; above it the host pages instead of working."
)
IO_STALLED_RATIO = Threshold(
    0.40,
    LimitUnit.RATIO,
    "I/O pressure, full; above it tasks mostly wait. Throttled tasks wait too, so see DISK_BUSY_RATIO.",
)
DISK_BUSY_RATIO = Threshold(
    0.90,
    LimitUnit.RATIO,
    "Time with I/O in flight of the busiest disk; above it the wait is for the disk, not a limit.",
)
CPU_WAITING_RATIO = Threshold(
    0.50,
    LimitUnit.RATIO,
    "CPU pressure, some; above it tasks wait for a CPU half of the time. Backups compress: busy is normal.",
)

THROTTLED_RATIO = Threshold(
    0.25, LimitUnit.RATIO, "Throttled to all CFS periods of a container; above it the CPU limit sets its pace."
)
CONTAINER_MEMORY_RATIO = Threshold(
    0.90, LimitUnit.RATIO, "Working set to memory limit of a container; above it an OOM kill is near."
)
BLKIO_AT_LIMIT_RATIO = Threshold(
    0.95, LimitUnit.RATIO, "Bytes per second to the device limit of a container; above it the limit sets its pace."
)

NOTIFICATIONS_FAILED_RATIO = Threshold(
    0.01, LimitUnit.RATIO, "Failed to all notifications of an integration; above it pages get lost."
)
