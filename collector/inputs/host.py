"""The host: CPU, memory, load, filesystems, disks, network, pressure.

Names and label sets are node_exporter's. Sources: psutil; /proc/pressure (Documentation/accounting/psi.rst);
/proc/vmstat; statvfs(3) in a child process, because it can hang.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from collector.kernelfile import SkippedLines, complete_lines, parse_flat_keyed, parse_pressure, read_file
from collector.metrics import Metric, Sample, Unit, counter, gauge
from collector.statvfs import FilesystemUsage, StatvfsPool

CPU_SECONDS = counter("node_cpu_seconds_total", "CPU time by mode.", "cpu", "mode", unit=Unit.SECONDS)
CPU_CORES = gauge("machine_cpu_cores", "Logical CPUs online.", unit=Unit.CORES)
MACHINE_MEMORY = gauge("machine_memory_bytes", "Memory of the machine.", unit=Unit.BYTES)
BOOT_TIME = gauge("node_boot_time_seconds", "When the machine booted.", unit=Unit.TIMESTAMP)
TIME = gauge("node_time_seconds", "The host's clock.", unit=Unit.TIMESTAMP)
LOAD1 = gauge("node_load1", "Load average over 1 minute.")
LOAD5 = gauge("node_load5", "Load average over 5 minutes.")
LOAD15 = gauge("node_load15", "Load average over 15 minutes.")
PROCS_RUNNING = gauge("node_procs_running", "Tasks that run or could.")
PROCS_BLOCKED = gauge("node_procs_blocked", "Tasks that wait for I/O.")
CONTEXT_SWITCHES = counter("node_context_switches_total", "Context switches.")
INTERRUPTS = counter("node_intr_total", "Interrupts served.")
FORKS = counter("node_forks_total", "Processes created.")
OOM_KILL = counter("node_vmstat_oom_kill", "Processes killed for want of memory on the whole host.")

MEMORY = {
    field: gauge(f"node_memory_{field}_bytes", f"{field} of /proc/meminfo.", unit=Unit.BYTES)
    for field in (
        "MemTotal",
        "MemFree",
        "MemAvailable",
        "Buffers",
        "Cached",
        "SwapTotal",
        "SwapFree",
        "Dirty",
        "Writeback",
        "Slab",
        "SReclaimable",
        "Shmem",
        "AnonPages",
    )
}

_FS = ("device", "mountpoint", "fstype")
FS_SIZE = gauge("node_filesystem_size_bytes", "Size of the filesystem.", *_FS, unit=Unit.BYTES)
FS_FREE = gauge("node_filesystem_free_bytes", "Free space, root's reserve included.", *_FS, unit=Unit.BYTES)
FS_AVAIL = gauge("node_filesystem_avail_bytes", "Free space for others than root.", *_FS, unit=Unit.BYTES)
FS_FILES = gauge("node_filesystem_files", "Inodes of the filesystem.", *_FS)
FS_FILES_FREE = gauge("node_filesystem_files_free", "Free inodes.", *_FS)
FS_READONLY = gauge("node_filesystem_readonly", "1 if mounted read-only.", *_FS)
FS_DEVICE_ERROR = gauge("node_filesystem_device_error", "1 if the filesystem did not answer statvfs in time.", *_FS)

DISK_READ_BYTES = counter("node_disk_read_bytes_total", "Bytes read.", "device", unit=Unit.BYTES)
DISK_WRITTEN_BYTES = counter("node_disk_written_bytes_total", "Bytes written.", "device", unit=Unit.BYTES)
DISK_READS = counter("node_disk_reads_completed_total", "Reads completed.", "device")
DISK_WRITES = counter("node_disk_writes_completed_total", "Writes completed.", "device")
DISK_READ_TIME = counter("node_disk_read_time_seconds_total", "Time of all reads.", "device", unit=Unit.SECONDS)
DISK_WRITE_TIME = counter("node_disk_write_time_seconds_total", "Time of all writes.", "device", unit=Unit.SECONDS)
DISK_IO_TIME = counter("node_disk_io_time_seconds_total", "Time with I/O in flight.", "device", unit=Unit.SECONDS)

NET_RECEIVE_BYTES = counter("node_network_receive_bytes_total", "Bytes received.", "device", unit=Unit.BYTES)
NET_TRANSMIT_BYTES = counter("node_network_transmit_bytes_total", "Bytes sent.", "device", unit=Unit.BYTES)
NET_RECEIVE_PACKETS = counter("node_network_receive_packets_total", "Packets received.", "device")
NET_TRANSMIT_PACKETS = counter("node_network_transmit_packets_total", "Packets sent.", "device")
NET_RECEIVE_ERRS = counter("node_network_receive_errs_total", "Receive errors.", "device")
NET_TRANSMIT_ERRS = counter("node_network_transmit_errs_total", "Transmit errors.", "device")
NET_RECEIVE_DROP = counter("node_network_receive_drop_total", "Received packets dropped.", "device")
NET_TRANSMIT_DROP = counter("node_network_transmit_drop_total", "Sent packets dropped.", "device")
NET_UP = gauge("node_network_up", "1 if the interface is up.", "device")

PRESSURE = {
    (resource, kind): counter(
        f"node_pressure_{resource}_{word}_seconds_total",
        f"Time in which {who} waited for {resource}.",
        unit=Unit.SECONDS,
    )
    for resource, kind, word, who in (
        ("cpu", "some", "waiting", "some task"),
        ("io", "some", "waiting", "some task"),
        ("io", "full", "stalled", "all tasks"),
        ("memory", "some", "waiting", "some task"),
        ("memory", "full", "stalled", "all tasks"),
    )
}

_CPU_MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_KIB = 1024
_MEMINFO_COLUMNS = 3  # name, value, "kB"
_MOUNT_COLUMNS = 4  # device, mount point, type, options

# node_exporter's defaults (filesystem_linux.go): pseudo file systems, and mounts that belong to containers.
_IGNORED_MOUNT_POINTS = re.compile(
    r"/(?:dev|proc|run/credentials/.+|sys|run/docker/.+|var/lib/(?:docker|containers/storage)/.+)(?:/|$)"
)
_IGNORED_TYPES = frozenset(
    {"autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "erofs"}
    | {"fusectl", "hugetlbfs", "iso9660", "mqueue", "nsfs", "overlay", "proc", "procfs", "pstore", "rpc_pipefs"}
    | {"securityfs", "selinuxfs", "squashfs", "sysfs", "tracefs"}
)
_OCTAL = re.compile(r"\\([0-7]{3})")

Clock = Callable[[], float]


def parse_mounts(text: str) -> list[tuple[str, str, str, bool]]:
    """Device, mount point, type and read-only flag of the file systems that count (proc_pid_mounts(5))."""
    found: dict[str, tuple[str, str, str, bool]] = {}
    for line in text.splitlines():
        fields = line.split(" ")
        if len(fields) < _MOUNT_COLUMNS:
            continue
        device, point, kind = (_OCTAL.sub(lambda match: chr(int(match.group(1), 8)), field) for field in fields[:3])
        if kind not in _IGNORED_TYPES and not _IGNORED_MOUNT_POINTS.match(point):
            # A later line with the same mount point hides the earlier one.
            found[point] = (device, point, kind, "ro" in fields[3].split(","))
    return list(found.values())


def parse_meminfo(data: bytes, skipped: SkippedLines) -> dict[str, int]:
    """Bytes by field of /proc/meminfo; fields without a unit (counts of huge pages) are left out."""
    values: dict[str, int] = {}
    for line in complete_lines(data, skipped):
        fields = line.split()
        if len(fields) == _MEMINFO_COLUMNS and fields[0].endswith(b":") and fields[1].isdigit():
            values[fields[0][:-1].decode()] = int(fields[1]) * _KIB
        elif not (len(fields) == _MEMINFO_COLUMNS - 1 and fields[1].isdigit()):
            skipped.add()
    return values


class HostInput:
    """Reads the host's own counters."""

    name = "host"

    def __init__(self, procfs: Path, filesystems: StatvfsPool, skipped: SkippedLines, clock: Clock) -> None:
        self._procfs = procfs
        self._filesystems = filesystems
        self._skipped = skipped
        self._clock = clock
        self._highest: dict[tuple[str, str], float] = {}

    def gather(self) -> list[Sample]:
        """All samples of the host. A file system that hangs costs its own samples."""
        return [
            *self._machine(),
            *self._cpu(),
            *self._memory(),
            *self._pressure(),
            *_disks(),
            *_network(),
            *self._filesystem_usage(),
        ]

    def _machine(self) -> Iterator[Sample]:
        yield CPU_CORES.sample(psutil.cpu_count() or 1)
        yield BOOT_TIME.sample(psutil.boot_time())
        yield TIME.sample(self._clock())
        for metric, value in zip((LOAD1, LOAD5, LOAD15), psutil.getloadavg(), strict=True):
            yield metric.sample(value)
        stat = self._single_values("stat")
        for metric, key in (
            (PROCS_RUNNING, b"procs_running"),
            (PROCS_BLOCKED, b"procs_blocked"),
            (CONTEXT_SWITCHES, b"ctxt"),
            (INTERRUPTS, b"intr"),
            (FORKS, b"processes"),
        ):
            if key in stat:
                yield metric.sample(stat[key])
        vmstat = parse_flat_keyed(read_file(self._procfs / "vmstat"), self._skipped)
        if b"oom_kill" in vmstat:
            yield OOM_KILL.sample(vmstat[b"oom_kill"])

    def _single_values(self, name: str) -> dict[bytes, int]:
        """First number behind each key of a file whose lines hold one or more (/proc/stat)."""
        rows = (line.split(None, 2) for line in complete_lines(read_file(self._procfs / name), self._skipped))
        return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}

    def _cpu(self) -> Iterator[Sample]:
        for number, times in enumerate(psutil.cpu_times(percpu=True)):
            for mode in _CPU_MODES:
                key = (str(number), mode)
                # idle and iowait may run backwards (proc_stat(5)); a counter must not.
                self._highest[key] = max(getattr(times, mode), self._highest.get(key, 0.0))
                yield Sample(CPU_SECONDS, key, self._highest[key])

    def _memory(self) -> Iterator[Sample]:
        values = parse_meminfo(read_file(self._procfs / "meminfo"), self._skipped)
        for name, metric in MEMORY.items():
            if name in values:
                yield metric.sample(values[name])
        if "MemTotal" in values:
            yield MACHINE_MEMORY.sample(values["MemTotal"])

    def _pressure(self) -> Iterator[Sample]:
        for resource in ("cpu", "io", "memory"):
            try:
                totals = parse_pressure(read_file(self._procfs / "pressure" / resource), self._skipped)
            except OSError:
                continue  # a kernel without PSI, or booted with psi=0
            for kind, seconds in totals.items():
                if (resource, kind) in PRESSURE:
                    yield PRESSURE[resource, kind].sample(seconds)

    def _filesystem_usage(self) -> Iterator[Sample]:
        # Of process 1: the agent itself may live in a mount namespace of its own.
        mounts = parse_mounts(read_file(self._procfs / "1" / "mounts").decode(errors="surrogateescape"))
        usages = self._filesystems.usage([point for _, point, _, _ in mounts])
        for device, point, kind, readonly in mounts:
            labels = tuple(text.encode(errors="replace").decode(errors="replace") for text in (device, point, kind))
            usage = usages.get(point)
            yield Sample(FS_READONLY, labels, float(readonly))
            yield Sample(FS_DEVICE_ERROR, labels, float(usage is None))
            if usage is not None:
                yield from _filesystem(labels, usage)


def _filesystem(labels: tuple[str, ...], usage: FilesystemUsage) -> Iterator[Sample]:
    yield Sample(FS_SIZE, labels, usage.size)
    yield Sample(FS_FREE, labels, usage.free)
    yield Sample(FS_AVAIL, labels, usage.available)
    yield Sample(FS_FILES, labels, usage.files)
    yield Sample(FS_FILES_FREE, labels, usage.files_free)


def _disks() -> Iterator[Sample]:
    for device, io in psutil.disk_io_counters(perdisk=True, nowrap=False).items():
        values: tuple[tuple[Metric, float], ...] = (
            (DISK_READ_BYTES, io.read_bytes),
            (DISK_WRITTEN_BYTES, io.write_bytes),
            (DISK_READS, io.read_count),
            (DISK_WRITES, io.write_count),
            (DISK_READ_TIME, io.read_time / 1000),
            (DISK_WRITE_TIME, io.write_time / 1000),
            (DISK_IO_TIME, io.busy_time / 1000),
        )
        if any(value for _, value in values):  # the kernel has a row for every loop device that could be
            for metric, value in values:
                yield Sample(metric, (device,), value)


def _network() -> Iterator[Sample]:
    for device, io in psutil.net_io_counters(pernic=True, nowrap=False).items():
        if device.startswith("veth"):
            continue  # the inside of it is a container's interface, under the container's name
        for metric, value in (
            (NET_RECEIVE_BYTES, io.bytes_recv),
            (NET_TRANSMIT_BYTES, io.bytes_sent),
            (NET_RECEIVE_PACKETS, io.packets_recv),
            (NET_TRANSMIT_PACKETS, io.packets_sent),
            (NET_RECEIVE_ERRS, io.errin),
            (NET_TRANSMIT_ERRS, io.errout),
            (NET_RECEIVE_DROP, io.dropin),
            (NET_TRANSMIT_DROP, io.dropout),
        ):
            yield Sample(metric, (device,), value)
    for device, stats in psutil.net_if_stats().items():
        if not device.startswith("veth"):
            yield Sample(NET_UP, (device,), float(stats.isup))
