"""Filesystems of a host, and the sized volumes among them: ext4 in a file, mounted through a loop device."""

from __future__ import annotations

from grafanalib.formatunits import BYTES_IEC, NUMBER_FORMAT, PERCENT_UNIT

from alerts import thresholds
from collector import catalogue
from collector.metrics import Metric
from dashboards.colours import CRITICAL, GOOD, below
from dashboards.panels import lines
from dashboards.prometheus.promql import Scope
from dashboards.shared import host as shared
from dashboards.spec import Column, Mapping, Panel, Query, Table

_host = catalogue.host
_BY_MOUNT = "max by (mountpoint, device)"
_REAL = 'device!~"/dev/loop.+", fstype!~"tmpfs|devtmpfs|ramfs|overlay|squashfs"'
_TREND = "6h"
_SIZED_VOLUME = 'device=~"/dev/loop.+"'
_WRITABLE = (Mapping(0, "yes", GOOD), Mapping(1, "read-only", CRITICAL))
_ANSWERS = (Mapping(0, "yes", GOOD), Mapping(1, "hangs", CRITICAL))


def filesystem_panels(scope: Scope) -> tuple[Panel, ...]:
    """Space left over time, and all filesystems with their figures."""
    return (
        shared.SPACE_AVAILABLE.of(
            Query(_ratio(scope, _host.FS_AVAIL, _host.FS_SIZE, 'device!~"/dev/loop.+"'), "{{mountpoint}}"), width=12
        ),
        lines(
            "volume-space-available",
            "Space available in sized volumes",
            "A sized volume fills up alone. Below the line the backup in it will fail: give it more.",
            Query(_ratio(scope, _host.FS_AVAIL, _host.FS_SIZE, _SIZED_VOLUME), "{{mountpoint}}"),
            unit=PERCENT_UNIT,
            steps=below(thresholds.VOLUME_AVAIL_CRITICAL),
            width=12,
        ),
        _filesystem_table(scope),
    )


def fleet_filesystems(scope: Scope) -> tuple[Panel, ...]:
    """The fullest filesystems of many hosts, and where their course leads."""
    by = "max by (host, mountpoint)"
    avail = f"{scope.gauge(_host.FS_AVAIL, _REAL)} / ({scope.gauge(_host.FS_SIZE, _REAL)} > 0)"
    inodes = f"{scope.gauge(_host.FS_FILES_FREE, _REAL)} / ({scope.gauge(_host.FS_FILES, _REAL)} > 0)"
    ahead = scope.trend(_host.FS_AVAIL, _TREND, thresholds.DISK_TREND_HORIZON.value, _REAL)
    return (
        lines(
            "filesystem-available",
            "Space available",
            "Available to size. Below the lines: remove backups past their retention, or the next write fails.",
            Query(f"{by} ({avail})", "{{host}} {{mountpoint}}"),
            unit=PERCENT_UNIT,
            steps=below(thresholds.DISK_AVAIL_CRITICAL, warning=thresholds.DISK_AVAIL_WARNING),
        ),
        lines(
            "filesystem-tomorrow",
            "Available in a day",
            "Drawn on from the last six hours. At zero it fills within a day, unless a backup's sawtooth misleads.",
            Query(f"clamp_min({by} ({ahead}), 0)", "{{host}} {{mountpoint}}"),
            unit=BYTES_IEC,
        ),
        lines(
            "filesystem-inodes",
            "Inodes free",
            "Without inodes no file is made, however much space is left. Look for a folder with very many files.",
            Query(f"{by} ({inodes})", "{{host}} {{mountpoint}}"),
            unit=PERCENT_UNIT,
            steps=below(thresholds.INODES_FREE_CRITICAL, warning=thresholds.INODES_FREE_WARNING),
        ),
    )


def _filesystem_table(scope: Scope) -> Table:
    def by_mount(metric: Metric) -> str:
        return f"{_BY_MOUNT} ({scope.gauge(metric)})"

    return Table(
        slug="filesystems",
        title="Filesystems",
        description=(
            "All mounted filesystems, the fullest first. One that hangs is usually a network mount whose server is "
            "gone; one that turned read-only has had an I/O error: read the kernel log."
        ),
        keys=("mountpoint", "device"),
        sort_by="Available share",
        descending=False,
        columns=(
            Column("Size", by_mount(_host.FS_SIZE), BYTES_IEC),
            Column("Available", by_mount(_host.FS_AVAIL), BYTES_IEC),
            Column(
                "Available share",
                _ratio(scope, _host.FS_AVAIL, _host.FS_SIZE),
                PERCENT_UNIT,
                below(thresholds.DISK_AVAIL_CRITICAL, warning=thresholds.DISK_AVAIL_WARNING),
            ),
            Column(
                "Inodes free",
                _ratio(scope, _host.FS_FILES_FREE, _host.FS_FILES),
                PERCENT_UNIT,
                below(thresholds.INODES_FREE_CRITICAL, warning=thresholds.INODES_FREE_WARNING),
            ),
            Column("Writable", by_mount(_host.FS_READONLY), NUMBER_FORMAT, mappings=_WRITABLE),
            Column("Answers", by_mount(_host.FS_DEVICE_ERROR), NUMBER_FORMAT, mappings=_ANSWERS),
        ),
    )


def _ratio(scope: Scope, part: Metric, whole: Metric, matchers: str = "") -> str:
    return f"{_BY_MOUNT} ({scope.gauge(part, matchers)} / ({scope.gauge(whole, matchers)} > 0))"
