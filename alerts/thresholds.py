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
    BYTES = "bytes"
    CORES = "cores"
    COUNT = "count"
    PER_SECOND = "per second"


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

CONTAINER_THREADS_RATIO = Threshold(
    0.90, LimitUnit.RATIO, "Tasks to their limit in a container; at it the engine can start no thread and fails."
)
CONTAINER_STALLED_RATIO = Threshold(
    0.20, LimitUnit.RATIO, "Memory pressure, full, of a container; above it its limit makes it page instead of work."
)
CONTAINER_RESTARTS = Threshold(
    2, LimitUnit.COUNT, "Restarts of a container within 15 minutes; more of them is a loop and no mishap."
)

INODES_FREE_CRITICAL = Threshold(
    0.02, LimitUnit.RATIO, "Free to all inodes of a filesystem; below it the next container's image may not fit."
)
DISK_WAIT_SECONDS = Threshold(
    0.10, LimitUnit.SECONDS, "Mean time of a read or a write; a healthy disk takes a tenth of it also when busy."
)
DISK_QUEUE_LENGTH = Threshold(
    10, LimitUnit.COUNT, "Mean I/Os in flight or waiting; above it a disk has been saturated for long."
)
THIN_POOL_WARNING = Threshold(
    0.80, LimitUnit.RATIO, "Used to all blocks of a thin pool; above it somebody should extend it today."
)
THIN_POOL_CRITICAL = Threshold(
    0.95, LimitUnit.RATIO, "Used to all blocks of a thin pool; a full one takes no writes, from nobody."
)
VOLUME_TREND_AVAIL = Threshold(
    0.30, LimitUnit.RATIO, "A volume's trend towards zero counts only below this: every backup fills its volume."
)
VOLUME_TREND_HORIZON = Threshold(
    3600, LimitUnit.SECONDS, "How far ahead a volume's trend is drawn: time enough to grow it while the backup runs."
)

CPU_BUSY_RATIO = Threshold(0.90, LimitUnit.RATIO, "CPU time neither idle nor waiting for I/O; above it work queues up.")
LOAD_PER_CPU = Threshold(2, LimitUnit.COUNT, "Load average of a minute to CPUs; above it half of the tasks wait.")
CPU_STEAL_RATIO = Threshold(
    0.10, LimitUnit.RATIO, "CPU time that the hypervisor gave to others; above it a virtual host is oversold."
)
CPU_IOWAIT_RATIO = Threshold(0.10, LimitUnit.RATIO, "CPU time idle with I/O under way; a hint, the pressure is exact.")
MAJOR_FAULTS = Threshold(
    500, LimitUnit.PER_SECOND, "Pages fetched from disk on access; above it the memory is too small for what runs."
)
FILE_HANDLES_WARNING = Threshold(
    0.70, LimitUnit.RATIO, "Open file handles to their limit; above it find out who leaks them."
)
FILE_HANDLES_CRITICAL = Threshold(
    0.90, LimitUnit.RATIO, "Open file handles to their limit; at it nothing on the host can open a file."
)
THREADS_RATIO = Threshold(
    0.80, LimitUnit.RATIO, "Threads to kernel.pid_max; at it nothing on the host can start a process."
)
CLOCK_SKEW = Threshold(
    5, LimitUnit.SECONDS, "A host's clock against that of Prometheus; beyond it ages and stale data are misjudged."
)
REBOOTED_WITHIN = Threshold(600, LimitUnit.SECONDS, "Age of the last boot below which it is told of.")

NIC_ERRORS_RATIO = Threshold(0.01, LimitUnit.RATIO, "Bad to all packets; above it throughput breaks down.")
NIC_BUSY_RATIO = Threshold(0.80, LimitUnit.RATIO, "Bytes per second to the link's speed; above it streams queue up.")
LINK_CHANGES = Threshold(2, LimitUnit.COUNT, "Changes of a link's state within 2 minutes; more of them is flapping.")
OVS_DROPS = Threshold(100, LimitUnit.COUNT, "Packets within 5 minutes; single ones are lost in any network.")
POLICING_RATIO = Threshold(
    0.95, LimitUnit.RATIO, "Bytes per second to the policing rate of an interface; above it the limit sets the pace."
)
OVS_FLOWS_RATIO = Threshold(
    0.90, LimitUnit.RATIO, "Cached flows to their limit; at it Open vSwitch throws flows away and packets are slow."
)
NEIGHBOURS_WARNING = Threshold(
    0.75, LimitUnit.RATIO, "Neighbours to gc_thresh3; above it a few hosts more fill the table."
)
NEIGHBOURS_CRITICAL = Threshold(0.95, LimitUnit.RATIO, "Neighbours to gc_thresh3; at it new containers reach nobody.")
CONNTRACK_WARNING = Threshold(0.75, LimitUnit.RATIO, "Tracked connections to their limit; above it raise the limit.")
CONNTRACK_CRITICAL = Threshold(
    0.95, LimitUnit.RATIO, "Tracked connections to their limit; at it new connections are dropped."
)

DOCKER_SLOW_SECONDS = Threshold(
    2, LimitUnit.SECONDS, "Mean time of ping and of the list of containers; a healthy daemon takes a hundredth."
)
DESCRIPTORS_WARNING = Threshold(
    0.80, LimitUnit.RATIO, "Open descriptors of dockerd or containerd to their limit; above it find the leak."
)
DESCRIPTORS_CRITICAL = Threshold(
    0.95, LimitUnit.RATIO, "Open descriptors of dockerd or containerd to their limit; at it no container starts."
)
DESCRIPTORS_HORIZON = Threshold(24 * 3600, LimitUnit.SECONDS, "How far ahead a descriptor leak is drawn: a day.")
GOROUTINES_PER_HOUR = Threshold(
    500, LimitUnit.COUNT, "Goroutines that the daemon gains in an hour; calls that hang add to them and never end."
)

BACKUP_MAX_AGE = Threshold(
    26 * 3600, LimitUnit.SECONDS, "Age of the last good run of a job without a schedule: daily, and time to run."
)
BACKUP_VERIFIED_MAX_AGE = Threshold(
    7 * 24 * 3600, LimitUnit.SECONDS, "Age of the last checked restore where no schedule says another: a week."
)
BACKUP_COPY_MAX_AGE = Threshold(
    48 * 3600, LimitUnit.SECONDS, "Age of the last second copy where no schedule says another: one may be missed."
)
BACKUP_LOGS_MAX_LAG = Threshold(
    3600, LimitUnit.SECONDS, "Age of a backup that its binary logs still don't reach: they come within seconds."
)
BACKUP_SLOWNESS = Threshold(
    2, LimitUnit.COUNT, "Time of the run under way to the 90th percentile of the last week; above it something drags."
)
BACKUP_SLOW_FLOOR = Threshold(
    600, LimitUnit.SECONDS, "Runs below this are never too slow: short ones vary by more than their length."
)
BACKUP_SHRUNK = Threshold(
    0.50, LimitUnit.RATIO, "Size of the newest run to the smallest of the week before; below it data may be missing."
)
BACKUP_GROWN = Threshold(
    2, LimitUnit.COUNT, "Size of the newest run to the largest of the week before; above it the next may not fit."
)
BACKUP_SIZE_FLOOR = Threshold(
    2**30, LimitUnit.BYTES, "Differences below this are never odd: small databases double easily."
)
LAG_WARNING = Threshold(300, LimitUnit.SECONDS, "Delay of a standby; above it look before its source's logs are gone.")
LAG_CRITICAL = Threshold(3600, LimitUnit.SECONDS, "Delay of a standby; above it a failover loses an hour.")

AGENTS_GONE_RATIO = Threshold(
    0.10, LimitUnit.RATIO, "Agents that can't be scraped to all; above it look at the network, not at a host."
)
AGENT_RESIDENT = Threshold(256 * 2**20, LimitUnit.BYTES, "Memory of an agent; it takes about a quarter of that.")
AGENT_CPU = Threshold(0.20, LimitUnit.CORES, "CPU of an agent; it takes a few hundredths.")
OUTPUT_BEHIND = Threshold(
    900, LimitUnit.SECONDS, "Age of the oldest point that waits for an output; beyond it the far end is long away."
)

SERVE_BEAT_AGE = Threshold(300, LimitUnit.SECONDS, "Age of the last beat of serve; one takes seconds, and begins anew.")
HOST_CLOSED_LONG = Threshold(
    6 * 3600, LimitUnit.SECONDS, "How long a host is closed; longer than any backup that it waits for."
)
FLEET_FULL_HORIZON = Threshold(
    14 * 24 * 3600, LimitUnit.SECONDS, "Time until the fleet is full; a host is bought in less."
)
ADDRESS_POOL_TAKEN = Threshold(
    0.90, LimitUnit.RATIO, "Held and resting to all addresses of a pool; a full one refuses every launch that asks it."
)
LAUNCH_STUCK = Threshold(900, LimitUnit.SECONDS, "Age of a launch that has not ended; the slowest takes a few minutes.")
LEAK_AGE = Threshold(3600, LimitUnit.SECONDS, "Age of a leak; reconciling removes what is safe to remove before.")

NOTIFICATIONS_FAILED_RATIO = Threshold(
    0.01, LimitUnit.RATIO, "Failed to all notifications of an integration; above it pages get lost."
)
NOTIFICATIONS_LOST_RATIO = Threshold(
    0.50, LimitUnit.RATIO, "Failed to all notifications of an integration; above it nobody may be told there."
)
