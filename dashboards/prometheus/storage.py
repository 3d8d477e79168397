"""Storage: volumes of jobs, filesystems, block devices, and the limits that containers run into."""

from __future__ import annotations

from grafanalib.formatunits import (
    BYTES_IEC,
    BYTES_SEC,
    DURATION_SECONDS,
    IO_OPS_PER_SEC,
    NUMBER_FORMAT,
    PERCENT_UNIT,
    SECONDS,
    SHORT,
)

from alerts import thresholds
from collector import catalogue
from collector.metrics import Metric
from dashboards.addresses import CAPACITY_UID, CONTAINER_UID, HOST_UID, JOBS_UID, STORAGE_UID, neighbours
from dashboards.colours import CRITICAL, GOOD, above, below
from dashboards.panels import faults, glance, lines
from dashboards.prometheus import device_queries as devices
from dashboards.prometheus.filesystem_panels import fleet_filesystems
from dashboards.prometheus.marks import FLEET_MARKS
from dashboards.prometheus.per_label import PerLabel
from dashboards.prometheus.promql import how_many
from dashboards.prometheus.variables import EVERY_HOST, HOSTS, JOB
from dashboards.spec import Column, Dashboard, KeyLink, Mapping, Panel, Query, Row, Table

_SCOPE = EVERY_HOST
_host, _volume, _cgroup, _tables = catalogue.host, catalogue.volume, catalogue.cgroup, catalogue.tables
_VOLUMES = PerLabel(_SCOPE, ("host", "name", "destination"), named=("name", "destination"))
_WELL = (Mapping(0, "no", CRITICAL), Mapping(1, "yes", GOOD))
_READONLY = (Mapping(0, "yes", GOOD), Mapping(1, "read-only", CRITICAL))
_TREND = "6h"


def dashboard() -> Dashboard:
    """From the sized volume of one job down to the disk that all share."""
    return Dashboard(
        uid=STORAGE_UID,
        title="vdbmon / Storage",
        description="Volumes of jobs, filesystems, block devices, throttles: what fills, what is slow, what is held.",
        variables=(JOB, HOSTS),
        rows=(
            Row("now", "Now", (*_at_a_glance(), _volumes_table())),
            Row("volumes", "Volumes", _volumes()),
            Row("filesystems", "Filesystems", fleet_filesystems(_SCOPE)),
            Row("devices", "Block devices", _devices()),
            Row("throttles", "Throttles", _throttles()),
            Row("thin", "Thin pools and du", _thin_pools()),
        ),
        neighbours=neighbours(HOST_UID, CONTAINER_UID, JOBS_UID, CAPACITY_UID),
        annotations=FLEET_MARKS,
    )


def _used_share() -> str:
    return _VOLUMES.expr(f"{_SCOPE.gauge(_volume.USED)} / ({_SCOPE.gauge(_volume.SIZE)} > 0)")


def _by_volume(metric: Metric) -> str:
    return _VOLUMES.gauge(metric).expr


def _at_a_glance() -> tuple[Panel, ...]:
    loop, no_loop = 'device=~"/dev/loop.+"', 'device!~"/dev/loop.+"'

    def least(matcher: str) -> str:
        return f"min({_SCOPE.gauge(_host.FS_AVAIL, matcher)} / ({_SCOPE.gauge(_host.FS_SIZE, matcher)} > 0))"

    return (
        glance(
            "least-volume",
            "Fullest sized volume",
            "Space left in it. Red: the backup in it is about to fail; grow it, the alert VolumeFull says how.",
            least(loop),
            unit=PERCENT_UNIT,
            steps=below(thresholds.VOLUME_AVAIL_CRITICAL),
        ),
        glance(
            "least-filesystem",
            "Fullest filesystem",
            "Space left in it. Red: its host takes no more backups; remove those past their retention.",
            least(no_loop),
            unit=PERCENT_UNIT,
            steps=below(thresholds.DISK_AVAIL_CRITICAL, warning=thresholds.DISK_AVAIL_WARNING),
        ),
        *_faults(),
    )


def _faults() -> tuple[Panel, ...]:
    return (
        faults(
            "unhealthy-volumes",
            "Volumes that don't answer",
            "Or that are not what the container has there. Its next read hangs or fails: see the kernel log.",
            how_many(f"{_by_volume(_volume.HEALTHY)} == 0"),
        ),
        faults(
            "readonly-volumes",
            "Volumes turned read-only",
            "As ext4 makes itself after an I/O error. The job in it fails: look at the disk under it.",
            how_many(f"{_by_volume(_volume.READONLY)} == 1"),
        ),
        faults(
            "hung-filesystems",
            "Filesystems that hang",
            "statvfs doesn't end: a network mount whose server is gone, or a dying disk. All that touches it hangs.",
            how_many(f"{_SCOPE.gauge(_host.FS_DEVICE_ERROR)} == 1"),
        ),
        glance(
            "busiest-disk",
            "Busiest disk",
            "Share of time with I/O in flight. Red: lower the limits of its containers, or place elsewhere.",
            f"max({_SCOPE.rate(_host.DISK_IO_TIME)})",
            unit=PERCENT_UNIT,
            steps=above(thresholds.DISK_BUSY_RATIO),
        ),
    )


def _volumes_table() -> Table:
    inodes = _VOLUMES.expr(f"{_SCOPE.gauge(_volume.FILES_FREE)} / ({_SCOPE.gauge(_volume.FILES)} > 0)")
    return Table(
        slug="volumes",
        title="Volumes",
        description=(
            "What containers have mounted, the fullest first. Shared ones lie on one filesystem. Full: "
            "grow it while the job runs, or place the job again with more --disk."
        ),
        height=10,
        keys=("host", "name", "destination"),
        sort_by="Used share",
        links=(
            KeyLink("host", HOST_UID, carried=("host",)),
            KeyLink("name", CONTAINER_UID, carried=("host", "name")),
        ),
        columns=(
            Column("Size", _by_volume(_volume.SIZE), BYTES_IEC),
            Column("Used", _by_volume(_volume.USED), BYTES_IEC),
            Column("Available", _by_volume(_volume.AVAIL), BYTES_IEC),
            Column("Used share", _used_share(), PERCENT_UNIT),
            Column(
                "Inodes free",
                inodes,
                PERCENT_UNIT,
                below(thresholds.INODES_FREE_CRITICAL, warning=thresholds.INODES_FREE_WARNING),
            ),
            Column("Answers", _by_volume(_volume.HEALTHY), NUMBER_FORMAT, mappings=_WELL),
            Column("Writable", _by_volume(_volume.READONLY), NUMBER_FORMAT, mappings=_READONLY),
            Column("Shared", _by_volume(_volume.SHARED), NUMBER_FORMAT),
        ),
    )


def _volumes() -> tuple[Panel, ...]:
    legend = "{{name}} {{destination}}"
    growth = _VOLUMES.expr(_SCOPE.over_time("deriv", _volume.USED, "$__rate_interval"))
    ahead = _SCOPE.trend(_volume.AVAIL, _TREND, thresholds.DISK_TREND_HORIZON.value)
    return (
        lines(
            "volume-used",
            "Used share of volumes",
            "At 100 % the job's next write fails. Faster than its job: too little --disk.",
            Query(_used_share(), legend),
            unit=PERCENT_UNIT,
        ),
        lines(
            "volume-growth",
            "Growth of volumes",
            "Bytes per second. None while a backup runs: it waits for the source or the network.",
            Query(f"clamp_min({growth}, 0)", legend),
            unit=BYTES_SEC,
        ),
        lines(
            "volume-tomorrow",
            "Available in a day",
            "Drawn on from the last six hours. At zero the volume fills within a day: prune or grow it today.",
            Query(f"clamp_min({_VOLUMES.expr(ahead)}, 0)", legend),
            unit=BYTES_IEC,
        ),
    )


def _devices() -> tuple[Panel, ...]:
    disks = devices.disks(_SCOPE, "host", "device")
    return (
        lines(
            "device-busy",
            "Busy",
            "Share of time with I/O in flight. Above the line the disk is the bottleneck; an SSD may have room left.",
            devices.disk_busy(disks),
            unit=PERCENT_UNIT,
            steps=above(thresholds.DISK_BUSY_RATIO),
            width=12,
        ),
        lines(
            "device-queue",
            "Queue",
            "Requests in flight on average. Long at full throughput: more jobs than the disk serves; start them apart.",
            devices.disk_queue(disks),
            unit=SHORT,
            steps=above(thresholds.DISK_QUEUE_LENGTH),
            width=12,
        ),
        lines(
            "device-bytes",
            "Throughput",
            "Bytes by device. At the figure that the inventory names, the host has none left to place.",
            *devices.disk_bytes(disks),
            unit=BYTES_SEC,
        ),
        lines(
            "device-operations",
            "Operations",
            "Reads and writes completed. Many with little throughput: small random I/O, as in a prepare.",
            *devices.disk_operations(disks),
            unit=IO_OPS_PER_SEC,
        ),
        lines(
            "device-latency",
            "Time per operation",
            "Mean of reads and of writes. Rising at equal throughput: saturated or failing; check SMART.",
            *devices.disk_latency(disks),
            unit=SECONDS,
            steps=above(thresholds.DISK_WAIT_SECONDS),
        ),
    )


def _throttles() -> tuple[Panel, ...]:
    throttled = PerLabel(_SCOPE, ("host", "name", "device"), named=("name", "device"))
    read_limit, write_limit = _SCOPE.gauge(_cgroup.IO_LIMIT_READ_BPS), _SCOPE.gauge(_cgroup.IO_LIMIT_WRITE_BPS)
    return (
        lines(
            "read-of-limit",
            "Read of limit",
            "On the line the limit sets the pace. If the disk below is idle, raise it while the container runs.",
            throttled.of_limit(_cgroup.FS_READ_BYTES, _cgroup.IO_LIMIT_READ_BPS),
            unit=PERCENT_UNIT,
            steps=above(thresholds.BLKIO_AT_LIMIT_RATIO),
        ),
        lines(
            "written-of-limit",
            "Written of limit",
            "Above 100 %: buffered writes of cgroup v1 pass the limit. Jobs of vdbmon write directly, so they don't.",
            throttled.of_limit(_cgroup.FS_WRITE_BYTES, _cgroup.IO_LIMIT_WRITE_BPS),
            unit=PERCENT_UNIT,
            steps=above(thresholds.BLKIO_AT_LIMIT_RATIO),
        ),
        lines(
            "limits",
            "Limits given away",
            "Sum of the limits by host. Above what the disk does, limits no longer keep containers apart.",
            Query(f"sum by (host) ({read_limit})", "{{host}} read"),
            Query(f"sum by (host) ({write_limit})", "{{host}} written"),
            unit=BYTES_SEC,
        ),
    )


def _thin_pools() -> tuple[Panel, ...]:
    by = "max by (host, pool, kind)"
    used = f"{by} ({_SCOPE.gauge(_tables.POOL_USED)}) / {by} ({_SCOPE.gauge(_tables.POOL_BLOCKS)} > 0)"
    return (
        lines(
            "thin-pool-used",
            "Thin pools",
            "Used blocks to all, data and metadata apart. Full, a pool takes no writes: extend it before.",
            Query(used, "{{host}} {{pool}} {{kind}}"),
            unit=PERCENT_UNIT,
            steps=above(thresholds.THIN_POOL_CRITICAL, warning=thresholds.THIN_POOL_WARNING),
        ),
        lines(
            "volume-du",
            "Disk space by du",
            "Of the volumes that the configuration names for du. Far below the used space: deleted files held open.",
            _VOLUMES.gauge(_volume.DU_BYTES),
            unit=BYTES_IEC,
        ),
        lines(
            "volume-du-age",
            "Age of du",
            "How old these figures are. A climb: du overruns its budget; name fewer folders.",
            Query(f"time() - {_by_volume(_volume.DU_LAST)}", "{{name}} {{destination}}"),
            unit=DURATION_SECONDS,
        ),
    )
