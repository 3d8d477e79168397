"""Host: use on the left, saturation on the right (Gregg's USE method), from what telegraf's names hold."""

from __future__ import annotations

from grafanalib.formatunits import (
    BYTES_IEC,
    BYTES_SEC,
    MILLI_SECONDS,
    NUMBER_FORMAT,
    PACKETS_SEC,
    PERCENT_UNIT,
    SECONDS,
    SHORT,
)

from alerts import thresholds
from collector import catalogue
from dashboards.addresses import (
    INFLUX_CONTAINER_UID,
    INFLUX_FLEET_UID,
    INFLUX_HOST_UID,
    INFLUX_NETWORK_UID,
    neighbours,
)
from dashboards.colours import above
from dashboards.influxdb import values as v
from dashboards.influxdb.influxql import computed, stored
from dashboards.influxdb.marks import marks
from dashboards.influxdb.per_tag import PerTag
from dashboards.influxdb.usage import busiest_disk, least_disk_space, memory_used, pressure
from dashboards.panels import glance, lines
from dashboards.shared import host as shared
from dashboards.spec import Column, Dashboard, Panel, Query, Row, Source, Table

_SCOPE = v.HOSTS_SCOPE
_host = catalogue.host
_MODES = ("user", "system", "iowait", "steal", "nice", "softirq", "irq")


def dashboard() -> Dashboard:
    """Everything about one machine that InfluxDB holds."""
    return Dashboard(
        uid=INFLUX_HOST_UID,
        title="vdbmon / InfluxDB / Host",
        description="One host as InfluxDB has it: what is used, what is saturated, whether its Docker daemon answers.",
        source=Source.INFLUXDB,
        variables=(v.HOST,),
        rows=(
            Row("now", "Now", _at_a_glance()),
            Row("cpu", "CPU", _cpu()),
            Row("memory", "Memory", _memory()),
            Row("disk", "Disk I/O", _disk()),
            Row("filesystems", "Filesystems", _filesystems()),
            Row("network", "Network", _network()),
            Row("docker", "Docker daemon and agent", _docker()),
        ),
        neighbours=neighbours(INFLUX_FLEET_UID, INFLUX_CONTAINER_UID, INFLUX_NETWORK_UID),
        annotations=marks(),
    )


def _at_a_glance() -> tuple[Panel, ...]:
    return (
        shared.CPU_USED_NOW.of(_SCOPE.gauge(v.CPU_ACTIVE, where=v.TOTAL_CPU, divide=v.PERCENT)),
        shared.MEMORY_USED_NOW.of(memory_used(_SCOPE)),
        shared.DISK_SPACE_NOW.of(least_disk_space(_SCOPE)),
        shared.DISK_BUSY_NOW.of(busiest_disk(_SCOPE)),
        glance(
            "containers-running",
            "Containers running",
            "As the daemon's files or the kernel say. None though jobs should run: see the row `Docker daemon`.",
            _SCOPE.gauge(v.CONTAINERS, function="last"),
            unit=NUMBER_FORMAT,
        ),
        shared.UPTIME.of(_SCOPE.gauge(v.UPTIME, function="last")),
    )


def _cpu() -> tuple[Panel, ...]:
    def usage(mode: str) -> Query:
        value = computed(_host.CPU_SECONDS, f"usage_{mode}")
        return Query(_SCOPE.gauge(value, where=v.TOTAL_CPU, divide=v.PERCENT), mode)

    return (
        lines(
            "cpu-by-mode",
            "CPU by mode",
            "Use, by where the time goes. Much steal: the hypervisor is overbooked. Much iowait: see `Disk I/O`.",
            *map(usage, _MODES),
            unit=PERCENT_UNIT,
            stacked=True,
            width=12,
        ),
        lines(
            "cpu-waiting",
            "CPU pressure",
            "Saturation: share of time in which a task waited for a CPU. Above the line: place no more here.",
            Query(pressure(_SCOPE, "cpu", "some"), "some waited"),
            unit=PERCENT_UNIT,
            steps=above(thresholds.CPU_WAITING_RATIO),
            width=12,
        ),
        lines(
            "load",
            "Load",
            "Tasks that run or wait. Far above the CPUs: they queue; the pressure says whether that hurts.",
            Query(_SCOPE.gauge(stored(_host.LOAD1)), "1 min"),
            Query(_SCOPE.gauge(stored(_host.LOAD5)), "5 min"),
            Query(_SCOPE.gauge(stored(_host.CPU_CORES, "system")), "CPUs", is_limit=True),
            unit=SHORT,
            width=24,
        ),
    )


def _memory() -> tuple[Panel, ...]:
    return (
        lines(
            "memory-used",
            "Memory used",
            "Use: what a new process could not have. Above the line one more container means an OOM kill.",
            Query(memory_used(_SCOPE), "used"),
            unit=PERCENT_UNIT,
            steps=above(thresholds.MEMORY_USED_RATIO),
            width=12,
        ),
        lines(
            "memory-pressure",
            "Memory pressure",
            "Saturation: share of time in which tasks waited for memory. `All waited` above the line: it pages.",
            Query(pressure(_SCOPE, "memory", "some"), "some waited"),
            Query(pressure(_SCOPE, "memory", "full"), "all waited"),
            unit=PERCENT_UNIT,
            steps=above(thresholds.MEMORY_STALLED_RATIO),
            width=12,
        ),
        *_memory_parts(),
    )


def _memory_parts() -> tuple[Panel, ...]:
    def part(value: str, text: str) -> Query:
        return Query(_SCOPE.gauge(computed(_host.MEMORY["MemTotal"], value, "mem")), text)

    return (
        lines(
            "memory-parts",
            "Memory by use",
            "Page cache goes when needed, used memory doesn't. Buffer pools of databases are used memory.",
            part("used", "used"),
            part("cached", "page cache"),
            part("buffered", "buffers"),
            part("free", "free"),
            unit=BYTES_IEC,
            stacked=True,
        ),
        shared.MEMORY_DIRTY.of(
            Query(_SCOPE.gauge(stored(_host.MEMORY["Dirty"])), "dirty"),
            Query(_SCOPE.gauge(stored(_host.MEMORY["Writeback"])), "being written"),
        ),
        shared.SWAP.of(Query(_SCOPE.gauge(computed(_host.MEMORY["SwapTotal"], "used", "swap")), "used")),
    )


def _disk() -> tuple[Panel, ...]:
    disks = PerTag(_SCOPE, ("name",))
    return (
        lines(
            "disk-busy",
            "Disk busy",
            "Use: share of time with I/O in flight. Above the line the disk is the bottleneck.",
            disks.gauge(v.DISK_UTIL, divide=v.PERCENT),
            unit=PERCENT_UNIT,
            steps=above(thresholds.DISK_BUSY_RATIO),
            width=12,
        ),
        lines(
            "io-pressure",
            "I/O pressure",
            "Saturation: share of time in which tasks waited for I/O. High with an idle disk: a limit holds them.",
            Query(pressure(_SCOPE, "io", "some"), "some waited"),
            Query(pressure(_SCOPE, "io", "full"), "all waited"),
            unit=PERCENT_UNIT,
            steps=above(thresholds.IO_STALLED_RATIO),
            width=12,
        ),
        shared.DISK_BYTES.of(
            disks.rate(_host.DISK_READ_BYTES, "read"), disks.rate(_host.DISK_WRITTEN_BYTES, "written")
        ),
        shared.DISK_OPERATIONS.of(disks.rate(_host.DISK_READS, "reads"), disks.rate(_host.DISK_WRITES, "writes")),
        lines(
            "disk-latency",
            "Time per operation",
            "Mean of reads and writes. Rising at equal throughput: saturated or failing; check SMART.",
            disks.gauge(v.DISK_AWAIT),
            unit=MILLI_SECONDS,
        ),
    )


def _filesystems() -> tuple[Panel, ...]:
    by = ("path", "device")
    return (
        shared.SPACE_AVAILABLE.of(Query(_SCOPE.ratio(v.DISK_FREE, v.DISK_TOTAL, "path"), "$tag_path"), width=12),
        Table(
            slug="filesystems",
            title="Filesystems",
            description="All mounted filesystems. One that vanished hangs or was unmounted: read the kernel log.",
            keys=by,
            sort_by="Available",
            descending=False,
            columns=(
                Column("Size", _SCOPE.latest(v.DISK_TOTAL, "Size", *by), BYTES_IEC),
                Column("Available", _SCOPE.latest(v.DISK_FREE, "Available", *by), BYTES_IEC),
                Column("Inodes free", _SCOPE.latest(stored(_host.FS_FILES_FREE), "Inodes free", *by), NUMBER_FORMAT),
            ),
            width=12,
        ),
    )


def _network() -> tuple[Panel, ...]:
    links = PerTag(_SCOPE, ("interface",), where=v.NO_LOOPBACK)
    return (
        lines(
            "network-bytes",
            "Network throughput",
            "Use. Near the link's speed backups slow each other down: start them apart.",
            links.rate(_host.NET_RECEIVE_BYTES, "received"),
            links.rate(_host.NET_TRANSMIT_BYTES, "sent"),
            unit=BYTES_SEC,
            width=12,
        ),
        lines(
            "network-drops",
            "Dropped packets",
            "Saturation. Above zero for long: a queue overflows or a rate limit drops.",
            links.rate(_host.NET_RECEIVE_DROP, "received"),
            links.rate(_host.NET_TRANSMIT_DROP, "sent"),
            unit=PACKETS_SEC,
            width=12,
        ),
    )


def _docker() -> tuple[Panel, ...]:
    endpoints = PerTag(_SCOPE, ("endpoint",))
    return (
        lines(
            "docker-duration",
            "Time of a Docker call",
            (
                "A call that hangs counts up. Compare endpoints: if only `containers` and `info` climb, one "
                "container hangs."
            ),
            endpoints.gauge(v.PROBE_DURATION, function="max"),
            unit=SECONDS,
            steps=above(thresholds.DOCKER_SLOW_SECONDS),
        ),
        lines(
            "docker-answers",
            "Docker endpoints that answer",
            "1 answers, 0 misses its deadline. Containers run on; nothing is placed here until all answer.",
            endpoints.gauge(v.PROBE_SUCCESS, function="min"),
            unit=NUMBER_FORMAT,
        ),
        lines(
            "input-duration",
            "Time of a collection",
            "By input. One that climbs is stuck in the kernel or in a command; only its own figures age.",
            PerTag(_SCOPE, ("input",)).gauge(stored(catalogue.internal.INPUT_DURATION), function="max"),
            unit=SECONDS,
        ),
    )
