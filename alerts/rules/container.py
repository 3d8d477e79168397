"""Alerts of single containers: memory, CPU quota, block I/O limits, restarts."""

from __future__ import annotations

from alerts.recording import CONTAINER_THROTTLED
from alerts.rule import HOST, PERCENT, AlertRule, Severity, highest, increase, label, lowest, rate, selector
from alerts.thresholds import (
    BLKIO_AT_LIMIT_RATIO,
    CONTAINER_MEMORY_RATIO,
    CONTAINER_RESTARTS,
    CONTAINER_STALLED_RATIO,
    CONTAINER_THREADS_RATIO,
    THROTTLED_RATIO,
)
from collector.catalogue import cgroup, docker, lxcfs
from collector.metrics import Metric

_BY = "by (host, name)"
_NAME = label("name")
_CONTAINER = f"{_NAME} on {HOST}"

_OOM_EVENTS = selector(cgroup.OOM_EVENTS)
_MEMORY_USED = f"{lowest(cgroup.MEMORY_WORKING_SET, '5m')} / ({highest(cgroup.SPEC_MEMORY_LIMIT, '5m')} > 0)"


def _at_limit(moved: Metric, limit: Metric, direction: str) -> str:
    by = "by (host, name, device)"
    share = f"max {by} ({rate(moved, '5m')}) / max {by} ({highest(limit, '5m')} > 0)"
    return f'label_replace({share} > {BLKIO_AT_LIMIT_RATIO.value:g}, "direction", "{direction}", "", "")'


RULES = (
    AlertRule(
        name="ContainerOOMKilled",
        # A backup may be born and killed between two scrapes: its first sample then already counts the kill.
        expr=(
            f"sum {_BY} (increase({_OOM_EVENTS}[15m])) > 0 or "
            f"(max {_BY} ({_OOM_EVENTS}) > 0 unless max {_BY} (max_over_time({_OOM_EVENTS}[15m] offset 15m)))"
        ),
        severity=Severity.CRITICAL,
        summary=f"A process of {_CONTAINER} was killed for want of memory",
        description=(
            f"The container {_NAME} hit its memory limit within the last 15 minutes and the kernel killed a process "
            "in it. Take its backup for failed until checked. Place it again with more --memory."
        ),
    ),
    AlertRule(
        name="ContainerMemoryNearLimit",
        expr=f"max {_BY} ({_MEMORY_USED}) > {CONTAINER_MEMORY_RATIO.value:g}",
        for_=10 * 60,
        severity=Severity.WARNING,
        limits=(CONTAINER_MEMORY_RATIO,),
        summary=f"{_CONTAINER} uses {PERCENT} of its memory limit",
        description=(
            f"The working set of {_NAME} has been above {CONTAINER_MEMORY_RATIO.value:.0%} of its limit for 10 "
            "minutes. Look at anonymous memory: if that grows, an OOM kill is near; if it is file pages, the kernel "
            "will take them back."
        ),
    ),
    AlertRule(
        name="ContainerCPUThrottled",
        expr=f"max {_BY} ({CONTAINER_THROTTLED.name}) > {THROTTLED_RATIO.value:g}",
        for_=15 * 60,
        severity=Severity.INFO,
        limits=(THROTTLED_RATIO,),
        summary=f"{_CONTAINER} is throttled in {PERCENT} of its CPU periods",
        description=(
            f"The CPU limit sets the pace of {_NAME}. That is what a limit is for; if the backup is late, give it "
            "more --cpus at its next placement."
        ),
    ),
    AlertRule(
        name="ContainerIOAtLimit",
        expr=(
            f"{_at_limit(cgroup.FS_READ_BYTES, cgroup.IO_LIMIT_READ_BPS, 'read')} or "
            f"{_at_limit(cgroup.FS_WRITE_BYTES, cgroup.IO_LIMIT_WRITE_BPS, 'write')}"
        ),
        for_=15 * 60,
        severity=Severity.INFO,
        limits=(BLKIO_AT_LIMIT_RATIO,),
        summary=f"{_CONTAINER} is at {PERCENT} of its {label('direction')} limit of {label('device')}",
        description=(
            f"The {label('direction')} limit of {label('device')} sets the pace of {_NAME}. That is what a limit is "
            "for; if the backup is late, place it where more bytes per second are left."
        ),
    ),
    AlertRule(
        name="ContainerLxcfsGone",
        expr=f"max {_BY} ({highest(lxcfs.HEALTHY, '2m')}) == 0",
        for_=60,
        severity=Severity.WARNING,
        summary=f"lxcfs does not answer in {_CONTAINER}",
        description=(
            f"The files of lxcfs over /proc in {_NAME} can't be read: free, top and what else reads them fails there. "
            "lxcfs died or hangs. A container that runs gets the files back only when it is started anew."
        ),
    ),
    AlertRule(
        name="ContainerMemoryStalled",
        expr=f"max {_BY} ({rate(cgroup.PRESSURE['memory', 'full'], '5m')}) > {CONTAINER_STALLED_RATIO.value:g}",
        for_=5 * 60,
        severity=Severity.WARNING,
        limits=(CONTAINER_STALLED_RATIO,),
        summary=f"{_CONTAINER} is stalled for memory {PERCENT} of the time",
        description=(
            f"The memory limit of {_NAME} is too low for what runs in it: it pages instead of working and an OOM kill "
            "is near. Give it more --memory at its next placement. Known on cgroup v2 only."
        ),
    ),
    AlertRule(
        name="ContainerThreadsNearLimit",
        expr=(
            f"max {_BY} ({lowest(cgroup.THREADS, '2m')} / ({highest(cgroup.THREADS_MAX, '2m')} > 0)) > "
            f"{CONTAINER_THREADS_RATIO.value:g}"
        ),
        for_=2 * 60,
        severity=Severity.WARNING,
        limits=(CONTAINER_THREADS_RATIO,),
        summary=f"{_CONTAINER} has {PERCENT} of the tasks that it may have",
        description=(
            f"At its limit the database in {_NAME} can't serve a new connection and a backup can't start a thread. "
            "Look for connections that are never closed."
        ),
    ),
    AlertRule(
        name="ContainerRestarting",
        expr=f"max {_BY} ({increase(docker.RESTARTS, '15m')}) > {CONTAINER_RESTARTS.value:g}",
        severity=Severity.WARNING,
        limits=(CONTAINER_RESTARTS,),
        summary=f"{_CONTAINER} was restarted {{{{ $value | humanize }}}} times in 15 minutes",
        description=(
            f"{_NAME} ends soon after each start, and the daemon starts it again. Its last lines of log say why; stop "
            "it until that is mended."
        ),
    ),
    AlertRule(
        name="ContainerUnhealthy",
        expr=f"max {_BY} ({highest(docker.HEALTH, '2m')}) == 0",
        for_=5 * 60,
        severity=Severity.WARNING,
        summary=f"{_CONTAINER} fails its health check",
        description=(
            f"The container {_NAME} runs, but what runs in it does not answer its own check. A standby or a restored "
            "server that is unhealthy can't be failed over to."
        ),
    ),
)
