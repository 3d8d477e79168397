"""Alerts of what holds the data: filesystems, sized volumes, disks, thin pools.

Slow alerts read gauges through `highest` or `lowest`, whichever is the better value: one failed scrape then neither
resets `for` nor resolves the alert, and one bad sample raises nothing.
"""

from __future__ import annotations

from alerts.recording import DISK_QUEUE
from alerts.rule import (
    DURATION,
    HOST,
    PERCENT,
    AlertRule,
    Closes,
    Severity,
    duration,
    highest,
    label,
    lowest,
    rate,
    selector,
    was,
)
from alerts.selectors import LOOP, NO_DISK_FILESYSTEM, NO_LOOP, NO_VIRTUAL_DISK
from alerts.thresholds import (
    DISK_AVAIL_CRITICAL,
    DISK_AVAIL_WARNING,
    DISK_QUEUE_LENGTH,
    DISK_TREND_AVAIL,
    DISK_TREND_HORIZON,
    DISK_WAIT_SECONDS,
    GATE_FOR,
    INODES_FREE_CRITICAL,
    INODES_FREE_WARNING,
    KEEP_FIRING_FOR,
    THIN_POOL_CRITICAL,
    THIN_POOL_WARNING,
    VOLUME_AVAIL_CRITICAL,
    VOLUME_TREND_AVAIL,
    VOLUME_TREND_HORIZON,
)
from collector.catalogue import host, tables, volume
from collector.metrics import Metric

_FS_LABELS = "host, device, mountpoint"
_WRITABLE = f"unless max by ({_FS_LABELS}) ({selector(host.FS_READONLY)}) == 1"
_MOUNTPOINT = label("mountpoint")
_DEVICE = label("device")
_FILESYSTEM = f"{_MOUNTPOINT} ({_DEVICE}) on {HOST}"
_VOLUME = f"{label('destination')} of {label('name')} on {HOST}"
_POOL = f"{label('pool')} on {HOST}"


def _share(part: Metric, whole: Metric, *matchers: str) -> str:
    return f"max by ({_FS_LABELS}) ({selector(part, *matchers)} / {selector(whole, *matchers)})"


def _best_share(part: Metric, whole: Metric, *matchers: str) -> str:
    best = f"{highest(part, '5m', *matchers)} / {highest(whole, '5m', *matchers)}"
    return f"max by ({_FS_LABELS}) ({best})"


def _mean_time(seconds: Metric, count: Metric) -> str:
    spent, done = rate(seconds, "5m", NO_VIRTUAL_DISK), rate(count, "5m", NO_VIRTUAL_DISK)
    return f"max by (host, device) ({spent} / ({done} > 0))"


def _trend(metric: Metric, window: str, seconds: float, *matchers: str) -> str:
    return f"predict_linear({selector(metric, *matchers)}[{window}], {seconds:.0f})"


_AVAIL_TREND = _trend(host.FS_AVAIL, "6h", DISK_TREND_HORIZON.value, NO_DISK_FILESYSTEM, NO_LOOP)
_VOLUME_TREND = _trend(volume.AVAIL, "15m", VOLUME_TREND_HORIZON.value)
_VOLUME_SHARE = f"max by (host, name, destination) ({highest(volume.AVAIL, '5m')} / {highest(volume.SIZE, '5m')})"

_DISKS = (NO_DISK_FILESYSTEM, NO_LOOP)

FILESYSTEM_RULES = (
    AlertRule(
        name="HostFilesystemFull",
        expr=f"{_share(host.FS_AVAIL, host.FS_SIZE, *_DISKS)} < {DISK_AVAIL_CRITICAL.value:g} {_WRITABLE}",
        for_=GATE_FOR,
        keep_firing_for=KEEP_FIRING_FOR,
        severity=Severity.CRITICAL,
        closes=Closes.HOST,
        limits=(DISK_AVAIL_CRITICAL,),
        summary=f"{_FILESYSTEM} has {PERCENT} left",
        description=(
            f"The filesystem {_MOUNTPOINT} of {HOST} is below {DISK_AVAIL_CRITICAL.value:.0%}. Running backups may "
            "fail at their next write and no backup is placed here. Make room, or move the volumes to a larger disk."
        ),
    ),
    AlertRule(
        name="HostDiskLow",
        expr=f"{_best_share(host.FS_AVAIL, host.FS_SIZE, *_DISKS)} < {DISK_AVAIL_WARNING.value:g} {_WRITABLE}",
        for_=15 * 60,
        severity=Severity.WARNING,
        limits=(DISK_AVAIL_WARNING,),
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
            f"{_best_share(host.FS_AVAIL, host.FS_SIZE, *_DISKS)} < {DISK_TREND_AVAIL.value:g} {_WRITABLE}"
        ),
        for_=3600,
        severity=Severity.WARNING,
        limits=(DISK_TREND_AVAIL, DISK_TREND_HORIZON),
        summary=f"{_FILESYSTEM} will be full within {duration(int(DISK_TREND_HORIZON.value))}",
        description=(
            f"At the pace of the last 6 hours {_MOUNTPOINT} of {HOST} runs full within a day, and less than "
            f"{DISK_TREND_AVAIL.value:.0%} of it is left. Find out what grows before the host closes itself."
        ),
    ),
    AlertRule(
        name="HostInodesLow",
        expr=(
            f"{_best_share(host.FS_FILES_FREE, host.FS_FILES, NO_DISK_FILESYSTEM)} < {INODES_FREE_WARNING.value:g} "
            f"{_WRITABLE}"
        ),
        for_=30 * 60,
        severity=Severity.WARNING,
        limits=(INODES_FREE_WARNING,),
        summary=f"{_FILESYSTEM} has {PERCENT} of its inodes left",
        description=(
            f"Without inodes no file can be made on {_MOUNTPOINT} of {HOST}, however much space is left. Look for a "
            "folder with very many small files; ext4 can't get more inodes afterwards."
        ),
    ),
    AlertRule(
        name="HostInodesFull",
        expr=f"{_share(host.FS_FILES_FREE, host.FS_FILES, *_DISKS)} < {INODES_FREE_CRITICAL.value:g} {_WRITABLE}",
        for_=GATE_FOR,
        keep_firing_for=KEEP_FIRING_FOR,
        severity=Severity.CRITICAL,
        closes=Closes.HOST,
        limits=(INODES_FREE_CRITICAL,),
        summary=f"{_FILESYSTEM} has {PERCENT} of its inodes left",
        description=(
            f"{_MOUNTPOINT} of {HOST} is about to take no more files, however much space is left, and no backup is "
            "placed here. Remove what has very many small files: old images, build caches, logs."
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
    AlertRule(
        name="FilesystemTurnedReadonly",
        expr=(
            f"max by ({_FS_LABELS}) ({selector(host.FS_READONLY, *_DISKS)}) == 1 and "
            f"max by ({_FS_LABELS}) ({was(host.FS_READONLY, 0, *_DISKS)}) == 0"
        ),
        for_=GATE_FOR,
        keep_firing_for=KEEP_FIRING_FOR,
        severity=Severity.CRITICAL,
        closes=Closes.HOST,
        summary=f"{_FILESYSTEM} became read-only",
        description=(
            f"{_MOUNTPOINT} of {HOST} could be written to and can't any more: the kernel mounts a filesystem read-only "
            "when it finds it damaged. Backups that write there fail, and none is placed here. The kernel log has the "
            "first error."
        ),
    ),
)

VOLUME_RULES = (
    AlertRule(
        name="VolumeFull",
        expr=(
            f"{_share(host.FS_AVAIL, host.FS_SIZE, NO_DISK_FILESYSTEM, LOOP)} < {VOLUME_AVAIL_CRITICAL.value:g} "
            f"{_WRITABLE}"
        ),
        for_=GATE_FOR,
        keep_firing_for=KEEP_FIRING_FOR,
        severity=Severity.CRITICAL,
        closes=Closes.HOST,
        limits=(VOLUME_AVAIL_CRITICAL,),
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
        name="VolumeFilling",
        expr=(
            f"max by (host, name, destination) ({_VOLUME_TREND}) < 0 and {_VOLUME_SHARE} < {VOLUME_TREND_AVAIL.value:g}"
        ),
        for_=2 * 60,
        severity=Severity.WARNING,
        limits=(VOLUME_TREND_AVAIL, VOLUME_TREND_HORIZON),
        summary=f"Volume {_VOLUME} will be full within {duration(int(VOLUME_TREND_HORIZON.value))}",
        description=(
            f"At the pace of the last 15 minutes the volume {_VOLUME} is full before the hour is over, and less than "
            f"{VOLUME_TREND_AVAIL.value:.0%} of it is left. If the backup has more to write than that, grow the volume "
            "now; it can be done while the backup runs."
        ),
    ),
    AlertRule(
        name="VolumeTurnedReadonly",
        expr=(
            f"max by (host, name, destination) ({highest(volume.READONLY, '1m')}) == 1 and "
            f"max by (host, name, destination) ({was(volume.READONLY, 0)}) == 0"
        ),
        for_=30,
        severity=Severity.CRITICAL,
        summary=f"Volume {_VOLUME} became read-only",
        description=(
            f"The filesystem of the volume {_VOLUME} found itself damaged and takes no more writes; the backup in it "
            "fails. Keep the volume until the kernel log says why, and place the backup again."
        ),
    ),
    AlertRule(
        name="VolumeMountBroken",
        expr=f"max by (host, name, destination) ({highest(volume.HEALTHY, '2m')}) == 0",
        for_=60,
        severity=Severity.CRITICAL,
        summary=f"Volume {_VOLUME} is not what the container has there",
        description=(
            f"The volume {_VOLUME} does not answer, or another filesystem is mounted there than the one the container "
            "sees. What the backup writes may be lost with the container. Stop the backup and look at the mount."
        ),
    ),
)

DISK_RULES = (
    AlertRule(
        name="HostDiskSaturated",
        expr=f"{lowest(DISK_QUEUE.name, '5m')} > {DISK_QUEUE_LENGTH.value:g}",
        for_=30 * 60,
        severity=Severity.WARNING,
        limits=(DISK_QUEUE_LENGTH,),
        summary=f"Disk {_DEVICE} of {HOST} has a queue of {{{{ $value | humanize }}}} I/Os",
        description=(
            f"For half an hour more I/Os have waited for {_DEVICE} of {HOST} than it can serve. Backups there take "
            "longer. Find who reads and writes with `vdbmon top` and lower limits, or place backups elsewhere."
        ),
    ),
    AlertRule(
        name="HostDiskSlow",
        expr=(
            f"{_mean_time(host.DISK_READ_TIME, host.DISK_READS)} > {DISK_WAIT_SECONDS.value:g} or "
            f"{_mean_time(host.DISK_WRITE_TIME, host.DISK_WRITES)} > {DISK_WAIT_SECONDS.value:g}"
        ),
        for_=5 * 60,
        severity=Severity.WARNING,
        limits=(DISK_WAIT_SECONDS,),
        summary=f"An I/O on disk {_DEVICE} of {HOST} takes {DURATION}",
        description=(
            f"Reads or writes of {_DEVICE} on {HOST} take longer than a disk should need also when it is busy. Usual "
            "causes: a dying disk, a degraded array, a throttled cloud volume."
        ),
    ),
)

THIN_POOL_RULES = (
    AlertRule(
        name="ThinPoolLow",
        expr=(
            f"max by (host, pool, kind) ({lowest(tables.POOL_USED, '5m')} / {highest(tables.POOL_BLOCKS, '5m')}) > "
            f"{THIN_POOL_WARNING.value:g}"
        ),
        for_=15 * 60,
        severity=Severity.WARNING,
        limits=(THIN_POOL_WARNING,),
        summary=f"Thin pool {_POOL} has used {PERCENT} of its {label('kind')} blocks",
        description=(
            f"When the pool {_POOL} is full, every volume in it stops taking writes at once. Extend it with "
            "`lvextend`, or remove volumes."
        ),
    ),
    AlertRule(
        name="ThinPoolFull",
        expr=(
            f"max by (host, pool) ({selector(tables.POOL_USED)} / {selector(tables.POOL_BLOCKS)}) > "
            f"{THIN_POOL_CRITICAL.value:g} or max by (host, pool) ({selector(tables.POOL_WRITABLE)}) == 0"
        ),
        for_=GATE_FOR,
        keep_firing_for=KEEP_FIRING_FOR,
        severity=Severity.CRITICAL,
        closes=Closes.HOST,
        limits=(THIN_POOL_CRITICAL,),
        summary=f"Thin pool {_POOL} takes no more writes, or is about to",
        description=(
            f"The pool {_POOL} is full, read-only or failed: every volume in it fails at its next write. No backup is "
            "placed here. Extend the pool before anything else."
        ),
    ),
)

RULES = (*FILESYSTEM_RULES, *VOLUME_RULES, *DISK_RULES, *THIN_POOL_RULES)
