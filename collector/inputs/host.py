"""The host: CPU, memory, load, filesystems, disks, network, pressure.

Names, label sets and meanings are node_exporter's, the few `machine_*` cAdvisor's. Parsers and the sources of the
formats are in `collector.host`; sizes of file systems are asked in a child process, because statvfs(3) can hang.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from collector.clock import Clock
from collector.host.cpu import GUEST_MODES, MODES, Stat, Times, Topology, never_backwards, parse_cpuinfo, parse_stat
from collector.host.disks import parse_diskstats
from collector.host.files import KeptFiles
from collector.host.links import LinkReader
from collector.host.memory import MEMINFO_BYTES, MEMINFO_COUNTS, VMSTAT_FIELDS, parse_meminfo, parse_vmstat
from collector.host.snmp import SNMP_FIELDS, SNMP_GAUGES, parse_snmp
from collector.host.usage import HostFilesystems
from collector.kernelfile import SkippedLines, is_number, parse_pressure
from collector.metrics import Metric, PartialGathering, Sample, Unit, counter, gauge
from collector.netdev import COLUMNS, parse_net_dev
from collector.statvfs import FilesystemUsage, StatvfsPool

CPU_SECONDS = counter("node_cpu_seconds_total", "CPU time by mode.", "cpu", "mode", unit=Unit.SECONDS)
CPU_GUEST_SECONDS = counter(
    "node_cpu_guest_seconds_total",
    "CPU time of virtual machines, which user and nice contain; absent where there never was one.",
    "cpu",
    "mode",
    unit=Unit.SECONDS,
)
CPU_CORES = gauge("machine_cpu_cores", "Logical CPUs online.", unit=Unit.CORES)
CPU_PHYSICAL_CORES = gauge("machine_cpu_physical_cores", "Physical cores.", unit=Unit.CORES)
CPU_SOCKETS = gauge("machine_cpu_sockets", "CPU packages.")
MACHINE_MEMORY = gauge("machine_memory_bytes", "Memory of the machine.", unit=Unit.BYTES)
MACHINE_SWAP = gauge("machine_swap_bytes", "Swap space of the machine.", unit=Unit.BYTES)
BOOT_TIME = gauge("node_boot_time_seconds", "When the machine booted.", unit=Unit.TIMESTAMP)
TIME = gauge("node_time_seconds", "The host's clock.", unit=Unit.TIMESTAMP)
LOAD1 = gauge("node_load1", "Load average over 1 minute.")
LOAD5 = gauge("node_load5", "Load average over 5 minutes.")
LOAD15 = gauge("node_load15", "Load average over 15 minutes.")
THREADS = gauge("node_processes_threads", "Threads that exist.")
PROCS_RUNNING = gauge("node_procs_running", "Tasks that run or could.")
PROCS_BLOCKED = gauge("node_procs_blocked", "Tasks that wait for I/O.")
CONTEXT_SWITCHES = counter("node_context_switches_total", "Context switches.")
INTERRUPTS = counter("node_intr_total", "Interrupts served.")
FORKS = counter("node_forks_total", "Processes created.")
FILES_ALLOCATED = gauge("node_filefd_allocated", "Open file handles.")
FILES_MAXIMUM = gauge("node_filefd_maximum", "File handles that may be open.")
VMSTAT = {field: counter(f"node_vmstat_{field}", f"{field} of /proc/vmstat.") for field in VMSTAT_FIELDS}
OOM_KILL = VMSTAT["oom_kill"]  # processes killed for want of memory on the whole host


def _meminfo_name(field: str) -> str:
    """`Active(anon)` is `node_memory_Active_anon_bytes`."""
    return "node_memory_" + field.replace("(", "_").replace(")", "")


MEMORY = {
    field: gauge(f"{_meminfo_name(field)}_bytes", f"{field} of /proc/meminfo.", unit=Unit.BYTES)
    for field in MEMINFO_BYTES
} | {field: gauge(_meminfo_name(field), f"{field} of /proc/meminfo, in pages.") for field in MEMINFO_COUNTS}

# node_exporter puts the error's text into `device_error` of all samples of a file system; it is empty while it answers.
_FS = ("device", "mountpoint", "fstype", "device_error")
FS_SIZE = gauge("node_filesystem_size_bytes", "Size of the filesystem.", *_FS, unit=Unit.BYTES)
FS_FREE = gauge("node_filesystem_free_bytes", "Free space, root's reserve included.", *_FS, unit=Unit.BYTES)
FS_AVAIL = gauge("node_filesystem_avail_bytes", "Free space for others than root.", *_FS, unit=Unit.BYTES)
FS_FILES = gauge("node_filesystem_files", "Inodes of the filesystem.", *_FS)
FS_FILES_FREE = gauge("node_filesystem_files_free", "Free inodes.", *_FS)
FS_READONLY = gauge("node_filesystem_readonly", "1 if mounted read-only.", *_FS)
FS_DEVICE_ERROR = gauge("node_filesystem_device_error", "1 if the filesystem did not answer statvfs in time.", *_FS)

DISK_READS = counter("node_disk_reads_completed_total", "Reads completed.", "device")
DISK_READS_MERGED = counter("node_disk_reads_merged_total", "Reads merged with others in the queue.", "device")
DISK_READ_BYTES = counter("node_disk_read_bytes_total", "Bytes read.", "device", unit=Unit.BYTES)
DISK_READ_TIME = counter("node_disk_read_time_seconds_total", "Time of all reads.", "device", unit=Unit.SECONDS)
DISK_WRITES = counter("node_disk_writes_completed_total", "Writes completed.", "device")
DISK_WRITES_MERGED = counter("node_disk_writes_merged_total", "Writes merged with others in the queue.", "device")
DISK_WRITTEN_BYTES = counter("node_disk_written_bytes_total", "Bytes written.", "device", unit=Unit.BYTES)
DISK_WRITE_TIME = counter("node_disk_write_time_seconds_total", "Time of all writes.", "device", unit=Unit.SECONDS)
DISK_IO_NOW = gauge("node_disk_io_now", "I/Os in flight.", "device")
DISK_IO_TIME = counter("node_disk_io_time_seconds_total", "Time with I/O in flight.", "device", unit=Unit.SECONDS)
DISK_IO_TIME_WEIGHTED = counter(
    "node_disk_io_time_weighted_seconds_total",
    "Time of I/O, summed over what is in flight.",
    "device",
    unit=Unit.SECONDS,
)
DISK_DISCARDS = counter("node_disk_discards_completed_total", "Discards completed.", "device")
DISK_DISCARDS_MERGED = counter("node_disk_discards_merged_total", "Discards merged with others.", "device")
DISK_DISCARDED_SECTORS = counter("node_disk_discarded_sectors_total", "Sectors of 512 bytes discarded.", "device")
DISK_DISCARD_TIME = counter(
    "node_disk_discard_time_seconds_total", "Time of all discards.", "device", unit=Unit.SECONDS
)
DISK_FLUSHES = counter("node_disk_flush_requests_total", "Flushes completed.", "device")
DISK_FLUSH_TIME = counter(
    "node_disk_flush_requests_time_seconds_total", "Time of all flushes.", "device", unit=Unit.SECONDS
)
# In the order of the columns of /proc/diskstats.
_DISK_COLUMNS: tuple[tuple[Metric, float], ...] = (
    *((DISK_READS, 1), (DISK_READS_MERGED, 1), (DISK_READ_BYTES, 512), (DISK_READ_TIME, 1e-3)),
    *((DISK_WRITES, 1), (DISK_WRITES_MERGED, 1), (DISK_WRITTEN_BYTES, 512), (DISK_WRITE_TIME, 1e-3)),
    *((DISK_IO_NOW, 1), (DISK_IO_TIME, 1e-3), (DISK_IO_TIME_WEIGHTED, 1e-3)),
    *((DISK_DISCARDS, 1), (DISK_DISCARDS_MERGED, 1), (DISK_DISCARDED_SECTORS, 1), (DISK_DISCARD_TIME, 1e-3)),
    *((DISK_FLUSHES, 1), (DISK_FLUSH_TIME, 1e-3)),
)

NETWORK = {
    column: counter(
        f"node_network_{column}_total",
        f"{column.replace('_', ' ').capitalize()} of /proc/net/dev.",
        "device",
        unit=Unit.BYTES if column.endswith("_bytes") else Unit.NONE,
    )
    for column in COLUMNS
}
NET_RECEIVE_BYTES, NET_TRANSMIT_BYTES = NETWORK["receive_bytes"], NETWORK["transmit_bytes"]
NET_RECEIVE_PACKETS, NET_TRANSMIT_PACKETS = NETWORK["receive_packets"], NETWORK["transmit_packets"]
NET_RECEIVE_ERRS, NET_TRANSMIT_ERRS = NETWORK["receive_errs"], NETWORK["transmit_errs"]
NET_RECEIVE_DROP, NET_TRANSMIT_DROP = NETWORK["receive_drop"], NETWORK["transmit_drop"]
NET_UP = gauge("node_network_up", "1 if the interface's operstate is up.", "device")
NET_CARRIER = gauge("node_network_carrier", "1 if the interface has a carrier; absent while it is down.", "device")
NET_MTU = gauge("node_network_mtu_bytes", "Largest packet.", "device", unit=Unit.BYTES)
NET_SPEED = gauge("node_network_speed_bytes", "Speed of the link, bytes per second.", "device", unit=Unit.BYTES)

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
        ("irq", "full", "stalled", "all tasks"),
    )
}

NETSTAT = {
    (protocol, field): declare(
        f"node_netstat_{protocol}_{field}", f"{field} of {protocol} in /proc/net/snmp.", unit=Unit.NONE
    )
    for protocol, fields in SNMP_FIELDS.items()
    for field in fields
    for declare in (gauge if field in SNMP_GAUGES else counter,)
}

COLLECTOR_SUCCESS = gauge(
    "node_scrape_collector_success", "1 if this part of the host could be read; names are node_exporter's.", "collector"
)
COLLECTOR_DURATION = gauge(
    "node_scrape_collector_duration_seconds", "Time that reading this part took.", "collector", unit=Unit.SECONDS
)

_STAT_COUNTS = (
    (PROCS_RUNNING, b"procs_running"),
    (PROCS_BLOCKED, b"procs_blocked"),
    (CONTEXT_SWITCHES, b"ctxt"),
    (INTERRUPTS, b"intr"),
    (FORKS, b"processes"),
    (BOOT_TIME, b"btime"),
)
_VMSTAT_KEYS = {field.encode(): metric for field, metric in VMSTAT.items()}
_MEGABIT = 10**6 // 8  # bytes per second
_TIMED_OUT = "mountpoint timeout"  # node_exporter's words
_FAILED = "statfs failed"

_LOAD_AVERAGES = re.compile(rb"(\d{1,9}\.\d\d) (\d{1,9}\.\d\d) (\d{1,9}\.\d\d) \d+/(\d{1,10}) \d+\n")

log = logging.getLogger(__name__)


class HostInput:
    """Reads the host's own counters, each family of them for itself.

    Args:
        sysfs: where the host's /sys is, for what is known of network interfaces.
    """

    name = "host"

    def __init__(
        self,
        procfs: Path,
        sysfs: Path,
        filesystems: StatvfsPool,
        skipped: SkippedLines,
        clock: Clock,
        *,
        monotonic: Clock = time.monotonic,
    ) -> None:
        self._files = KeptFiles(procfs)
        self._links = LinkReader(sysfs / "class/net", skipped, monotonic)
        self._filesystems = HostFilesystems(self._files, filesystems, skipped, clock, monotonic)
        self._skipped = skipped
        self._clock = clock
        self._cpu_times: dict[str, Times] = {}
        self._topology = Topology(0, 0, 0)
        # Those that one file gives are read together and have one outcome.
        self._families: tuple[tuple[tuple[str, ...], Callable[[], Iterator[Sample]]], ...] = (
            (("cpu", "stat"), self._stat),
            (("loadavg",), self._load),
            (("meminfo",), self._memory),
            (("vmstat",), self._vmstat),
            (("pressure",), self._pressure),
            (("filefd",), self._file_handles),
            (("diskstats",), self._disks),
            (("netdev", "netclass"), self._network),
            (("netstat",), self._protocols),
            (("filesystem",), self._filesystem_usage),
        )

    def gather(self) -> list[Sample]:
        """All samples of the host. A file system that hangs costs its own samples.

        Raises:
            PartialGathering: a family could not be read; it has the samples of the others.
        """
        self._filesystems.start()
        samples = [TIME.sample(self._clock())]
        failed: list[str] = []
        for collectors, read in self._families:
            began = time.perf_counter()
            try:
                samples.extend(read())
            except OSError as error:
                failed.append(f"{collectors[0]}: {error}")
                success = 0.0
            else:
                success = 1.0
            duration = time.perf_counter() - began
            for name in collectors:
                samples.append(Sample(COLLECTOR_SUCCESS, (name,), success))
                samples.append(Sample(COLLECTOR_DURATION, (name,), duration))
        if failed:
            raise PartialGathering("; ".join(failed), samples)
        return samples

    def close(self) -> None:
        """Give all descriptors back."""
        self._files.close()
        self._links.close()

    def _stat(self) -> Iterator[Sample]:
        stat = parse_stat(self._files.read("stat"), self._skipped)
        for metric, key in _STAT_COUNTS:
            if key in stat.counts:
                yield Sample(metric, (), stat.counts[key])
        yield from self._cpus(stat)

    def _cpus(self, stat: Stat) -> Iterator[Sample]:
        if self._topology.processors != len(stat.cpus):  # at the first reading, and when CPUs come or go
            self._topology = parse_cpuinfo(self._files.read_optional("cpuinfo") or b"")
        self._cpu_times = {cpu: never_backwards(self._cpu_times.get(cpu), now) for cpu, now in stat.cpus.items()}
        if stat.counts:  # they follow the CPUs: the list of CPUs was not cut off
            yield Sample(CPU_CORES, (), len(self._cpu_times))
        if self._topology.processors == len(stat.cpus):
            if self._topology.physical_cores:
                yield Sample(CPU_PHYSICAL_CORES, (), self._topology.physical_cores)
            if self._topology.sockets:
                yield Sample(CPU_SOCKETS, (), self._topology.sockets)
        for cpu, times in self._cpu_times.items():
            for mode, seconds in zip(MODES, times, strict=False):
                yield Sample(CPU_SECONDS, (cpu, mode), seconds)
        yield from self._guests()

    def _guests(self) -> Iterator[Sample]:
        if any(any(times[len(MODES) :]) for times in self._cpu_times.values()):
            for cpu, times in self._cpu_times.items():
                for mode, seconds in zip(GUEST_MODES, times[len(MODES) :], strict=False):
                    yield Sample(CPU_GUEST_SECONDS, (cpu, mode), seconds)

    def _load(self) -> Iterator[Sample]:
        # Three averages, tasks that run and exist, the youngest pid: proc_loadavg(5).
        match = _LOAD_AVERAGES.match(self._files.read("loadavg"))
        if match is None:
            self._skipped.add()
            return
        for metric, average in zip((LOAD1, LOAD5, LOAD15), match.groups()[:3], strict=True):
            yield Sample(metric, (), float(average))
        yield Sample(THREADS, (), int(match[4]))

    def _memory(self) -> Iterator[Sample]:
        values = parse_meminfo(self._files.read("meminfo"), self._skipped)
        for field, value in values.items():
            metric = MEMORY.get(field)
            if metric is not None:
                yield Sample(metric, (), value)
        for field, metric in (("MemTotal", MACHINE_MEMORY), ("SwapTotal", MACHINE_SWAP)):
            if field in values:
                yield Sample(metric, (), values[field])

    def _vmstat(self) -> Iterator[Sample]:
        for key, value in parse_vmstat(self._files.read("vmstat"), _VMSTAT_KEYS, self._skipped).items():
            yield Sample(_VMSTAT_KEYS[key], (), value)

    def _pressure(self) -> Iterator[Sample]:
        for resource in ("cpu", "io", "memory", "irq"):
            data = self._files.read_optional(f"pressure/{resource}")  # a kernel without PSI, or booted with psi=0
            for kind, seconds in parse_pressure(data or b"", self._skipped).items():
                if (resource, kind) in PRESSURE:
                    yield Sample(PRESSURE[resource, kind], (), seconds)

    def _file_handles(self) -> Iterator[Sample]:
        # Allocated, unused (always 0 since Linux 2.6), maximum: Documentation/admin-guide/sysctl/fs.rst.
        data = self._files.read("sys/fs/file-nr")
        words = data.split()
        if data.endswith(b"\n") and len(words) == 3 and all(map(is_number, words)):  # noqa: PLR2004 - as above
            yield Sample(FILES_ALLOCATED, (), int(words[0]))
            yield Sample(FILES_MAXIMUM, (), int(words[2]))
        else:
            self._skipped.add()

    def _disks(self) -> Iterator[Sample]:
        for device, values in parse_diskstats(self._files.read("diskstats"), self._skipped).items():
            labels = (device,)
            for (metric, scale), value in zip(_DISK_COLUMNS, values, strict=False):
                yield Sample(metric, labels, value * scale)

    def _network(self) -> Iterator[Sample]:
        interfaces = parse_net_dev(self._files.read("net/dev"), self._skipped)
        # The inside of a veth pair is a container's interface, and counted under the container's name.
        devices = [device for device in interfaces if not device.startswith("veth")]
        links = self._links.read(devices)
        for device in devices:
            labels = (device,)
            for metric, value in zip(NETWORK.values(), interfaces[device], strict=True):
                yield Sample(metric, labels, value)
            link = links[device]
            if link.operstate is not None:
                yield Sample(NET_UP, labels, float(link.operstate == "up"))
            for metric, attribute in ((NET_CARRIER, link.carrier), (NET_MTU, link.mtu)):
                if attribute is not None:
                    yield Sample(metric, labels, attribute)
            if link.speed is not None:
                yield Sample(NET_SPEED, labels, link.speed * _MEGABIT)

    def _protocols(self) -> Iterator[Sample]:
        for key, value in parse_snmp(self._files.read("net/snmp"), self._skipped).items():
            metric = NETSTAT.get(key)
            if metric is not None:
                yield Sample(metric, (), value)

    def _filesystem_usage(self) -> Iterator[Sample]:
        for mount, usage in self._filesystems.usages():
            error = ""
            if usage is None:
                error = _TIMED_OUT if self._filesystems.hangs(mount) else _FAILED
            labels = (mount.device, mount.point, mount.kind, error)
            yield Sample(FS_READONLY, labels, float(mount.readonly))
            yield Sample(FS_DEVICE_ERROR, labels, float(usage is None))
            if usage is not None:
                yield from _filesystem(labels, usage)


def _filesystem(labels: tuple[str, ...], usage: FilesystemUsage) -> Iterator[Sample]:
    yield Sample(FS_SIZE, labels, usage.size)
    yield Sample(FS_FREE, labels, usage.free)
    yield Sample(FS_AVAIL, labels, usage.available)
    yield Sample(FS_FILES, labels, usage.files)
    yield Sample(FS_FILES_FREE, labels, usage.files_free)
