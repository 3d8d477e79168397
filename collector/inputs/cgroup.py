"""Control groups of containers: CPU, memory, block I/O, limits, pids, pressure.

Sources: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/{cpuacct,memory,blkio-controller,pids}.rst of the Linux
kernel. Names and meanings are cAdvisor's (`container_*`); what a controller doesn't offer is absent, never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from collector.blockdevices import BlockDevices
from collector.cgroup.reader import CgroupReader
from collector.cgroup.reading import CgroupReading, IoReading, MemoryReading
from collector.cgroup.v1 import V1Reader
from collector.cgroup.v2 import V2Reader
from collector.clock import Clock
from collector.containers import Container, ContainerIndex, Metadata
from collector.kernelfile import SkippedLines
from collector.metrics import Metric, Sample, Unit, counter, gauge
from collector.oom import OomKills

_C = ("name", "image")

CPU_USAGE = counter("container_cpu_usage_seconds_total", "CPU time consumed.", *_C, "cpu", unit=Unit.SECONDS)
CPU_USER = counter("container_cpu_user_seconds_total", "CPU time in user mode.", *_C, unit=Unit.SECONDS)
CPU_SYSTEM = counter("container_cpu_system_seconds_total", "CPU time in kernel mode.", *_C, unit=Unit.SECONDS)
CFS_PERIODS = counter("container_cpu_cfs_periods_total", "Enforcement periods elapsed under a quota.", *_C)
CFS_THROTTLED_PERIODS = counter(
    "container_cpu_cfs_throttled_periods_total", "Enforcement periods in which the quota ran out.", *_C
)
CFS_THROTTLED_SECONDS = counter(
    "container_cpu_cfs_throttled_seconds_total",
    "Time that tasks were held back by the quota.",
    *_C,
    unit=Unit.SECONDS,
)
CFS_BURST_PERIODS = counter("container_cpu_cfs_burst_periods_total", "Periods in which saved quota was used.", *_C)
CFS_BURST_SECONDS = counter(
    "container_cpu_cfs_burst_seconds_total", "Time used beyond the quota out of what was saved.", *_C, unit=Unit.SECONDS
)

MEMORY_USAGE = gauge("container_memory_usage_bytes", "All memory charged, page cache included.", *_C, unit=Unit.BYTES)
MEMORY_MAX_USAGE = gauge(
    "container_memory_max_usage_bytes", "Highest memory usage seen by the kernel.", *_C, unit=Unit.BYTES
)
MEMORY_WORKING_SET = gauge(
    "container_memory_working_set_bytes", "Usage less inactive file pages.", *_C, unit=Unit.BYTES
)
MEMORY_RSS = gauge("container_memory_rss", "Anonymous memory (cAdvisor's rss).", *_C, unit=Unit.BYTES)
MEMORY_CACHE = gauge("container_memory_cache", "Page cache, shared memory included.", *_C, unit=Unit.BYTES)
MEMORY_SHMEM = gauge("vdbmon_container_memory_shmem_bytes", "Shared memory and tmpfs.", *_C, unit=Unit.BYTES)
MEMORY_SLAB = gauge("vdbmon_container_memory_slab_bytes", "Kernel slab memory.", *_C, unit=Unit.BYTES)
MEMORY_MAPPED_FILE = gauge("container_memory_mapped_file", "Mapped file pages.", *_C, unit=Unit.BYTES)
MEMORY_ACTIVE_FILE = gauge("container_memory_total_active_file_bytes", "File pages used often.", *_C, unit=Unit.BYTES)
MEMORY_INACTIVE_FILE = gauge(
    "container_memory_total_inactive_file_bytes", "File pages that are reclaimed first.", *_C, unit=Unit.BYTES
)
MEMORY_ACTIVE_ANON = gauge(
    "vdbmon_container_memory_active_anon_bytes", "Anonymous pages used often.", *_C, unit=Unit.BYTES
)
MEMORY_INACTIVE_ANON = gauge(
    "vdbmon_container_memory_inactive_anon_bytes", "Anonymous pages swapped out first.", *_C, unit=Unit.BYTES
)
MEMORY_RSS_HUGE = gauge(
    "vdbmon_container_memory_rss_huge_bytes", "Anonymous memory in transparent huge pages.", *_C, unit=Unit.BYTES
)
MEMORY_UNEVICTABLE = gauge(
    "vdbmon_container_memory_unevictable_bytes",
    "Memory that can't be reclaimed, as what is locked.",
    *_C,
    unit=Unit.BYTES,
)
MEMORY_PGPGIN = counter("vdbmon_container_memory_pgpgin_total", "Pages charged (cgroup v1).", *_C)
MEMORY_PGPGOUT = counter("vdbmon_container_memory_pgpgout_total", "Pages no longer charged (cgroup v1).", *_C)
MEMORY_DIRTY = gauge("container_memory_file_dirty_bytes", "File pages to be written.", *_C, unit=Unit.BYTES)
MEMORY_WRITEBACK = gauge("container_memory_file_writeback_bytes", "File pages being written.", *_C, unit=Unit.BYTES)
MEMORY_KERNEL = gauge("container_memory_kernel_usage", "Kernel memory, slab included.", *_C, unit=Unit.BYTES)
MEMORY_SWAP = gauge("container_memory_swap", "Swap used.", *_C, unit=Unit.BYTES)
MEMORY_FAILCNT = counter("container_memory_failcnt", "Times the memory limit was hit.", *_C)
MEMORY_FAILURES = counter("container_memory_failures_total", "Page faults, by type.", *_C, "failure_type", "scope")
MEMORY_EVENTS_HIGH = counter(
    "container_memory_events_high_total", "Times that memory.high was exceeded and tasks were made to reclaim.", *_C
)
MEMORY_EVENTS_MAX = counter("container_memory_events_max_total", "Times that memory.max was about to be hit.", *_C)
MEMORY_PGSCAN = counter("container_memory_pgscan_total", "Pages looked at by reclaim.", *_C)
MEMORY_PGSTEAL = counter("container_memory_pgsteal_total", "Pages reclaimed.", *_C)
MEMORY_REFAULT_ANON = counter(
    "container_memory_workingset_refault_anon_total", "Anonymous pages read back soon after they were swapped out.", *_C
)
MEMORY_REFAULT_FILE = counter(
    "container_memory_workingset_refault_file_total", "File pages read back soon after they were reclaimed.", *_C
)
OOM_EVENTS = counter("container_oom_events_total", "Processes killed for want of memory, kept by container name.", *_C)

FS_READ_BYTES = counter(
    "container_fs_reads_bytes_total", "Bytes read from a block device.", *_C, "device", unit=Unit.BYTES
)
FS_WRITE_BYTES = counter(
    "container_fs_writes_bytes_total", "Bytes written to a block device.", *_C, "device", unit=Unit.BYTES
)
FS_READS = counter("container_fs_reads_total", "Reads from a block device.", *_C, "device")
FS_WRITES = counter("container_fs_writes_total", "Writes to a block device.", *_C, "device")
BLKIO_USAGE = counter(
    "container_blkio_device_usage_total",
    "Bytes of a block device by operation, in the kernel's words.",
    *_C,
    *("device", "major", "minor", "operation"),
    unit=Unit.BYTES,
)
IO_COSTS = {
    kind: counter(f"container_fs_io_cost_{kind}_seconds_total", text, *_C, "device", unit=Unit.SECONDS)
    for kind, text in (
        ("usage", "Device time used, as io.cost counts it."),
        ("wait", "Time that I/O waited for its share."),
        ("indebt", "Time in debt for I/O that could not wait."),
        ("indelay", "Time that tasks were delayed to pay the debt."),
    )
}
IO_LIMIT_READ_BPS = gauge(
    "vdbmon_container_spec_read_bytes_per_second",
    "Read limit of a block device.",
    *_C,
    "device",
    unit=Unit.BYTES,
)
IO_LIMIT_WRITE_BPS = gauge(
    "vdbmon_container_spec_write_bytes_per_second",
    "Write limit of a block device.",
    *_C,
    "device",
    unit=Unit.BYTES,
)
IO_LIMIT_READ_IOPS = gauge("vdbmon_container_spec_reads_per_second", "Limit of reads of a block device.", *_C, "device")
IO_LIMIT_WRITE_IOPS = gauge(
    "vdbmon_container_spec_writes_per_second", "Limit of writes to a block device.", *_C, "device"
)

PRESSURE = {
    (resource, kind): counter(
        f"container_pressure_{resource}_{word}_seconds_total",
        f"Time in which {who} waited for {resource}.",
        *_C,
        unit=Unit.SECONDS,
    )
    for resource in ("cpu", "memory", "io")
    for kind, word, who in (("some", "waiting", "some task"), ("full", "stalled", "all tasks"))
}

THREADS = gauge("container_threads", "Tasks (processes and threads) in the container.", *_C)
THREADS_MAX = gauge("container_threads_max", "Limit of tasks.", *_C)
SPEC_CPU_PERIOD = gauge("container_spec_cpu_period", "CPU quota period.", *_C, unit=Unit.MICROSECONDS)
SPEC_CPU_QUOTA = gauge("container_spec_cpu_quota", "CPU quota per period.", *_C, unit=Unit.MICROSECONDS)
SPEC_CPU_SHARES = gauge("container_spec_cpu_shares", "CPU shares as Docker counts them.", *_C)
SPEC_MEMORY_LIMIT = gauge("container_spec_memory_limit_bytes", "Memory limit.", *_C, unit=Unit.BYTES)
SPEC_MEMORY_SWAP_LIMIT = gauge(
    "container_spec_memory_swap_limit_bytes",
    "Limit of memory and swap together on cgroup v1, of swap alone on v2 (as cAdvisor).",
    *_C,
    unit=Unit.BYTES,
)
SPEC_MEMORY_RESERVATION = gauge(
    "container_spec_memory_reservation_limit_bytes", "Memory that reclaim leaves alone.", *_C, unit=Unit.BYTES
)

CREATION_TIME = gauge("container_creation_time_seconds", "When the container was created.", *_C, unit=Unit.TIMESTAMP)
START_TIME = gauge(
    "container_start_time_seconds", "When the container's first process started.", *_C, unit=Unit.TIMESTAMP
)
LAST_SEEN = gauge("container_last_seen", "When the container was last seen.", *_C, unit=Unit.TIMESTAMP)


_DEVICE_IO = (FS_READ_BYTES, FS_WRITE_BYTES, FS_READS, FS_WRITES)
_DEVICE_LIMITS = (IO_LIMIT_READ_BPS, IO_LIMIT_WRITE_BPS, IO_LIMIT_READ_IOPS, IO_LIMIT_WRITE_IOPS)

_Labels = tuple[str, str]


class _Watched:
    """One container: its reader, and the samples made of what it read last.

    Samples are made anew only from parts that have changed: on a busy host most have not.
    """

    __slots__ = (
        "_about",
        "_cpu",
        "_io",
        "_io_limits",
        "_labels",
        "_limits",
        "_memory",
        "_metadata",
        "_reading",
        "reader",
    )

    def __init__(self, reader: CgroupReader) -> None:
        self.reader = reader
        self._labels: _Labels | None = None
        self._reading: CgroupReading | None = None
        self._metadata: Metadata | None = None
        self._cpu: list[Sample] = []
        self._memory: list[Sample] = []
        self._io: list[Sample] = []
        self._io_limits: list[Sample] = []
        self._limits: list[Sample] = []
        self._about: list[Sample] = []

    def samples(self, container: Container, reading: CgroupReading, devices: BlockDevices) -> Iterator[list[Sample]]:
        """The samples of a reading, part by part."""
        labels = (container.name, container.image)
        before = self._reading if labels == self._labels else None
        if before is None or reading.cpu is not before.cpu or reading.cpu_limits is not before.cpu_limits:
            self._cpu = [*_cpu(labels, reading)]
        if before is None or reading.memory is not before.memory:
            self._memory = [*_memory(labels, reading.memory)]
        if before is None or reading.io is not before.io:
            self._io = [*_io(labels, reading.io, devices)]
        if before is None or reading.io_limits is not before.io_limits:
            self._io_limits = [*_io_limits(labels, reading, devices)]
        if before is None or reading.tasks is not before.tasks or reading.pressure is not before.pressure:
            self._limits = [*_tasks_and_pressure(labels, reading)]
        if before is None or container.metadata is not self._metadata:
            self._about = [*_moments(labels, container.metadata)]
        self._labels, self._reading, self._metadata = labels, reading, container.metadata
        yield from (self._cpu, self._memory, self._io, self._io_limits, self._limits, self._about)


class CgroupInput:
    """Reads the cgroup of every container of the index, descriptors kept between gatherings."""

    name = "cgroup"

    def __init__(
        self, index: ContainerIndex, devices: BlockDevices, oom_kills: OomKills, skipped: SkippedLines, clock: Clock
    ) -> None:
        self._index = index
        self._devices = devices
        self._oom_kills = oom_kills
        self._skipped = skipped
        self._clock = clock
        self._watched: dict[str, _Watched] = {}

    def gather(self) -> list[Sample]:
        """All samples of all containers that run now, and the OOM kills of those that ran."""
        containers = self._index.containers
        self._forget({container.id for container in containers})
        running = {(container.name, container.image) for container in containers}
        now = self._clock()
        samples: list[Sample] = []
        for container in containers:
            watched = self._watch(container)
            reading = watched.reader.read()
            labels = (container.name, container.image)
            if reading.memory.oom_kills is not None:
                self._oom_kills.kernel_count(container.id, labels, reading.memory.oom_kills)
            for part in watched.samples(container, reading, self._devices):
                samples.extend(part)
            samples.append(Sample(LAST_SEEN, labels, now))
        samples.extend(OOM_EVENTS.sample(count, *labels) for labels, count in self._oom_kills.totals(running))
        return samples

    def close(self) -> None:
        """Give all descriptors back."""
        self._forget(set())

    def _watch(self, container: Container) -> _Watched:
        watched = self._watched.get(container.id)
        if watched is None:
            hierarchy = self._index.hierarchy
            reader: CgroupReader
            if hierarchy.v2 is not None:
                reader = V2Reader(hierarchy.v2, container.cgroup, self._skipped)
            else:
                reader = V1Reader(hierarchy.v1, container.cgroup, self._skipped)
            watched = self._watched[container.id] = _Watched(reader)
        return watched

    def _forget(self, running: set[str]) -> None:
        for container_id in self._watched.keys() - running:
            self._watched.pop(container_id).reader.close()


def _present(labels: _Labels, values: Iterable[tuple[Metric, float | None]]) -> Iterator[Sample]:
    for metric, value in values:
        if value is not None:
            yield Sample(metric, labels, value)


def _cpu(labels: _Labels, reading: CgroupReading) -> Iterator[Sample]:
    cpu, limits = reading.cpu, reading.cpu_limits
    if cpu.usage is not None:
        yield Sample(CPU_USAGE, (*labels, "total"), cpu.usage)
    yield from _present(
        labels,
        (
            (CPU_USER, cpu.user),
            (CPU_SYSTEM, cpu.system),
            (SPEC_CPU_PERIOD, limits.period),
            (SPEC_CPU_QUOTA, limits.quota),
            (SPEC_CPU_SHARES, limits.shares),
        ),
    )
    if limits.quota is not None:
        yield from _present(
            labels,
            (
                (CFS_PERIODS, cpu.periods),
                (CFS_THROTTLED_PERIODS, cpu.throttled_periods),
                (CFS_THROTTLED_SECONDS, cpu.throttled),
                (CFS_BURST_PERIODS, cpu.bursts),
                (CFS_BURST_SECONDS, cpu.burst),
            ),
        )


def _memory(labels: _Labels, memory: MemoryReading) -> Iterator[Sample]:
    yield from _present(
        labels,
        (
            (MEMORY_USAGE, memory.usage),
            (MEMORY_MAX_USAGE, memory.max_usage),
            (MEMORY_WORKING_SET, memory.working_set),
            (MEMORY_RSS, memory.anon),
            (MEMORY_CACHE, memory.file),
            (MEMORY_SHMEM, memory.shmem),
            (MEMORY_SLAB, memory.slab),
            (MEMORY_MAPPED_FILE, memory.mapped_file),
            (MEMORY_ACTIVE_FILE, memory.active_file),
            (MEMORY_INACTIVE_FILE, memory.inactive_file),
            (MEMORY_ACTIVE_ANON, memory.active_anon),
            (MEMORY_INACTIVE_ANON, memory.inactive_anon),
            (MEMORY_RSS_HUGE, memory.anon_huge),
            (MEMORY_UNEVICTABLE, memory.unevictable),
            (MEMORY_PGPGIN, memory.pages_in),
            (MEMORY_PGPGOUT, memory.pages_out),
            (MEMORY_DIRTY, memory.dirty),
            (MEMORY_WRITEBACK, memory.writeback),
            (MEMORY_KERNEL, memory.kernel),
            (MEMORY_SWAP, memory.swap),
            (MEMORY_FAILCNT, memory.fail_count),
            (MEMORY_EVENTS_HIGH, memory.events_high),
            (MEMORY_EVENTS_MAX, memory.events_max),
            (MEMORY_PGSCAN, memory.pages_scanned),
            (MEMORY_PGSTEAL, memory.pages_stolen),
            (MEMORY_REFAULT_ANON, memory.refaults_anon),
            (MEMORY_REFAULT_FILE, memory.refaults_file),
            (SPEC_MEMORY_LIMIT, memory.limit),
            (SPEC_MEMORY_SWAP_LIMIT, memory.swap_limit),
            (SPEC_MEMORY_RESERVATION, memory.reservation),
        ),
    )
    for kind, scope, count in (
        ("pgfault", "hierarchy", memory.page_faults),
        ("pgmajfault", "hierarchy", memory.major_page_faults),
        ("pgfault", "container", memory.own_page_faults),
        ("pgmajfault", "container", memory.own_major_page_faults),
    ):
        if count is not None:
            yield Sample(MEMORY_FAILURES, (*labels, kind, scope), count)


def _io(labels: _Labels, io: IoReading, devices: BlockDevices) -> Iterator[Sample]:
    for numbers, counts in io.devices.items():
        device = devices.name(numbers)
        for metric, value in zip(_DEVICE_IO, counts, strict=True):
            if value is not None:
                yield Sample(metric, (*labels, device), value)
    for (numbers, operation), count in io.operations.items():
        major, _, minor = numbers.partition(":")
        yield Sample(BLKIO_USAGE, (*labels, devices.name(numbers), major, minor, operation), count)
    for (numbers, kind), seconds in io.costs.items():
        yield Sample(IO_COSTS[kind], (*labels, devices.name(numbers)), seconds)


def _io_limits(labels: _Labels, reading: CgroupReading, devices: BlockDevices) -> Iterator[Sample]:
    for numbers, limit in reading.io_limits.items():
        device = devices.name(numbers)
        for metric, value in zip(_DEVICE_LIMITS, limit, strict=True):
            if value is not None:
                yield Sample(metric, (*labels, device), value)


def _tasks_and_pressure(labels: _Labels, reading: CgroupReading) -> Iterator[Sample]:
    yield from _present(labels, ((THREADS, reading.tasks.current), (THREADS_MAX, reading.tasks.limit)))
    for key, seconds in reading.pressure.items():
        yield Sample(PRESSURE[key], labels, seconds)


def _moments(labels: _Labels, metadata: Metadata | None) -> Iterator[Sample]:
    if metadata is not None:
        yield from _present(labels, ((START_TIME, metadata.started_at), (CREATION_TIME, metadata.created_at)))
