"""Alerts of a host: filesystems, memory, pressure.

Slow alerts read gauges through `max_over_time` or `min_over_time`, whichever is the better value: one failed scrape
then neither resets `for` nor resolves the alert, and one bad sample raises nothing.
"""

from __future__ import annotations

from alerts.rule import HOST, PERCENT, AlertRule, Closes, Severity, duration, label, selector
from alerts.thresholds import (
    CPU_WAITING_RATIO,
    DISK_AVAIL_CRITICAL,
    DISK_AVAIL_WARNING,
    DISK_BUSY_RATIO,
    DISK_TREND_AVAIL,
    DISK_TREND_HORIZON,
    GATE_FOR,
    INODES_FREE_WARNING,
    IO_STALLED_RATIO,
    KEEP_FIRING_FOR,
    MEMORY_STALLED_RATIO,
    MEMORY_USED_RATIO,
    VOLUME_AVAIL_CRITICAL,
)
from collector.catalogue import host
from collector.metrics import Metric

_NO_DISK = 'fstype!~"tmpfs|devtmpfs|ramfs|overlay|squashfs|erofs|iso9660"'
_LOOP = 'device=~"/dev/loop.*"'
_NO_LOOP = 'device!~"/dev/loop.*"'
_NO_VIRTUAL_DISK = 'device!~"(loop|ram|zram|sr|fd)[0-9]+"'

_FS_LABELS = "host, device, mountpoint"
_WRITABLE = f"unless max by ({_FS_LABELS}) ({selector(host.FS_READONLY)}) == 1"
_MOUNTPOINT = label("mountpoint")
_DEVICE = label("device")
_FILESYSTEM = f"{_MOUNTPOINT} ({_DEVICE}) on {HOST}"


def _share(part: Metric, whole: Metric, *matchers: str) -> str:
    return f"max by ({_FS_LABELS}) ({selector(part, *matchers)} / {selector(whole, *matchers)})"


def _best_share(part: Metric, whole: Metric, *matchers: str) -> str:
    best = f"max_over_time({selector(part, *matchers)}[5m]) / max_over_time({selector(whole, *matchers)}[5m])"
    return f"max by ({_FS_LABELS}) ({best})"


def _pressure(resource: str, kind: str, window: str) -> str:
    return f"max by (host) (rate({selector(host.PRESSURE[resource, kind])}[{window}]))"


_MEMORY_USED = f"1 - {selector(host.MEMORY['MemAvailable'])} / {selector(host.MEMORY['MemTotal'])}"
_DISK_BUSY = f"max by (host) (rate({selector(host.DISK_IO_TIME, _NO_VIRTUAL_DISK)}[1m]))"
_AVAIL_TREND = f"predict_linear({selector(host.FS_AVAIL, _NO_DISK, _NO_LOOP)}[6h], {DISK_TREND_HORIZON.value:.0f})"

RULES = (
    AlertRule(
        name="HostFilesystemFull",
        expr=f"{_share(host.FS_AVAIL, host.FS_SIZE, _NO_DISK, _NO_LOOP)} < {DISK_AVAIL_CRITICAL.value:g} {_WRITABLE}",
        for_=GATE_FOR,
        keep_firing_for=KEEP_FIRING_FOR,
        severity=Severity.CRITICAL,
        closes=Closes.HOST,
        summary=f"{_FILESYSTEM} has {PERCENT} left",
        description=(
            f"The filesystem {_MOUNTPOINT} of {HOST} is below {DISK_AVAIL_CRITICAL.value:.0%}. Running backups may "
            "fail at their next write and no backup is placed here. Make room, or move the volumes to a larger disk."
        ),
    ),
    AlertRule(
        name="VolumeFull",
        expr=(f"{_share(host.FS_AVAIL, host.FS_SIZE, _NO_DISK, _LOOP)} < {VOLUME_AVAIL_CRITICAL.value:g} {_WRITABLE}"),
        for_=GATE_FOR,
        keep_firing_for=KEEP_FIRING_FOR,
        severity=Severity.CRITICAL,
        closes=Closes.HOST,
        summary=f"Volume {_FILESYSTEM} has {PERCENT} left",
        description=(
            f"The sized volume at {_MOUNTPOINT} ({_DEVICE}) of {HOST} is below {VOLUME_AVAIL_CRITICAL.value:.0%}: the "
            "backup in it was given too little --disk and is about to fail. No backup is placed on this host "
            "meanwhile. Remove it with `vdbmon rm NAME` and place it again with more --disk, or grow it: find its "
            f"file with `losetup {_DEVICE}`, enlarge that with `truncate -s`, then `losetup -c {_DEVICE}` and "
            f"`resize2fs {_DEVICE}`."
        ),
    ),
    AlertRule(
        name="HostDiskLow",
        expr=(
            f"{_best_share(host.FS_AVAIL, host.FS_SIZE, _NO_DISK, _NO_LOOP)} < {DISK_AVAIL_WARNING.value:g} {_WRITABLE}"
        ),
        for_=15 * 60,
        severity=Severity.WARNING,
        summary=f"{_FILESYSTEM} has {PERCENT} left",
        description=(
            f"The filesystem {_MOUNTPOINT} of {HOST} has been below {DISK_AVAIL_WARNING.value:.0%} for 15 minutes. At "
            f"{DISK_AVAIL_CRITICAL.value:.0%} the host is closed for new backups. Remove backups past their "
            "retention."
        ),
    ),
    AlertRule(
        name="HostDiskFilling",
        expr=(
            f"max by ({_FS_LABELS}) ({_AVAIL_TREND}) < 0 and "
            f"{_best_share(host.FS_AVAIL, host.FS_SIZE, _NO_DISK, _NO_LOOP)} < {DISK_TREND_AVAIL.value:g} {_WRITABLE}"
        ),
        for_=3600,
        severity=Severity.WARNING,
        summary=f"{_FILESYSTEM} will be full within {duration(int(DISK_TREND_HORIZON.value))}",
        description=(
            f"At the pace of the last 6 hours {_MOUNTPOINT} of {HOST} runs full within a day, and less than "
            f"{DISK_TREND_AVAIL.value:.0%} of it is left. Find out what grows before the host closes itself."
        ),
    ),
    AlertRule(
        name="HostInodesLow",
        expr=(
            f"{_best_share(host.FS_FILES_FREE, host.FS_FILES, _NO_DISK)} < {INODES_FREE_WARNING.value:g} {_WRITABLE}"
        ),
        for_=30 * 60,
        severity=Severity.WARNING,
        summary=f"{_FILESYSTEM} has {PERCENT} of its inodes left",
        description=(
            f"Without inodes no file can be made on {_MOUNTPOINT} of {HOST}, however much space is left. Look for a "
            "folder with very many small files; ext4 can't get more inodes afterwards."
        ),
    ),
    AlertRule(
        name="HostMemoryLow",
        expr=f"max by (host) ({_MEMORY_USED}) > {MEMORY_USED_RATIO.value:g}",
        for_=GATE_FOR,
        keep_firing_for=KEEP_FIRING_FOR,
        severity=Severity.WARNING,
        closes=Closes.HOST,
        summary=f"{HOST} uses {PERCENT} of its memory",
        description=(
            f"Less than {1 - MEMORY_USED_RATIO.value:.0%} of the memory of {HOST} is available; page cache counts as "
            "available. No backup is placed here. Find the container that grew with `vdbmon ps` and lower its limit."
        ),
    ),
    AlertRule(
        name="HostMemoryPressure",
        expr=f"{_pressure('memory', 'full', '5m')} > {MEMORY_STALLED_RATIO.value:g}",
        for_=5 * 60,
        severity=Severity.WARNING,
        summary=f"{HOST} is stalled for memory {PERCENT} of the time",
        description=(
            f"All tasks of {HOST} wait for memory at once for more than {MEMORY_STALLED_RATIO.value:.0%} of the time: "
            "the host pages instead of working, and backups crawl. Move or stop a container."
        ),
    ),
    AlertRule(
        name="HostIOPressure",
        expr=(
            f"{_pressure('io', 'full', '1m')} > {IO_STALLED_RATIO.value:g} and {_DISK_BUSY} > {DISK_BUSY_RATIO.value:g}"
        ),
        for_=GATE_FOR,
        keep_firing_for=KEEP_FIRING_FOR,
        severity=Severity.WARNING,
        closes=Closes.HOST,
        summary=f"{HOST} is stalled for I/O {PERCENT} of the time",
        description=(
            f"Tasks of {HOST} mostly wait for I/O while a disk is busy more than {DISK_BUSY_RATIO.value:.0%} of the "
            "time: the disk is the bottleneck, not a limit. No backup is placed here until the running ones have "
            "eased off."
        ),
    ),
    AlertRule(
        name="HostCPUPressure",
        expr=f"{_pressure('cpu', 'some', '5m')} > {CPU_WAITING_RATIO.value:g}",
        for_=15 * 60,
        severity=Severity.INFO,
        summary=f"Tasks of {HOST} wait for a CPU {PERCENT} of the time",
        description=(
            f"More runs on {HOST} than it has CPUs for. Backups take longer; nothing is lost. Check the host's cpus "
            "in the inventory against its real ones."
        ),
    ),
    AlertRule(
        name="HostOOMKill",
        expr=f"max by (host) (increase({selector(host.OOM_KILL)}[15m])) > 0",
        severity=Severity.WARNING,
        summary=f"The kernel of {HOST} killed a process for want of memory",
        description=(
            f"Within the last 15 minutes a process on {HOST} was killed. If ContainerOOMKilled names a container it "
            "was that container's limit; if not, the whole host ran out of memory. The kernel log has the process."
        ),
    ),
    AlertRule(
        name="FilesystemNotAnswering",
        # The text of the error is a label: what errs is another series than what answers, so they are joined first.
        expr=f"min_over_time(max by ({_FS_LABELS}) ({selector(host.FS_DEVICE_ERROR)})[2m:]) == 1",
        for_=2 * 60,
        severity=Severity.WARNING,
        summary=f"{_FILESYSTEM} does not answer",
        description=(
            f"statvfs on {_MOUNTPOINT} of {HOST} hangs or fails, so its figures are missing and its space alerts are "
            "blind. Usual causes: an NFS server that is gone, a dying disk. Whatever touches the path hangs too."
        ),
    ),
)
