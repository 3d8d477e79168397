"""Control groups of containers: CPU, memory, block I/O, limits, pids, pressure.

Sources: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/{cpuacct,memory,blkio-controller,pids}.rst of the Linux
kernel. Names and meanings are cAdvisor's (`container_*`); what a controller doesn't offer is absent, never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from collector.blockdevices import BlockDevices
from collector.cgroup.reading import CgroupReading, MemoryReading
from collector.cgroup.v1 import V1Reader
from collector.cgroup.v2 import V2Reader
from collector.containers import Container, ContainerIndex
from collector.kernelfile import SkippedLines
from collector.metrics import Metric, Sample, Unit, counter, gauge
from collector.oom import OomKills

Clock = Callable[[], float]
Reader = V1Reader | V2Reader

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
        self._readers: dict[str, Reader] = {}

    def gather(self) -> list[Sample]:
        """All samples of all containers that run now, and the OOM kills of those that ran."""
        containers = self._index.containers
        self._forget({container.id for container in containers})
        running = {(container.name, container.image) for container in containers}
        now = self._clock()
        samples: list[Sample] = []
        for container in containers:
            reading = self._reader(container).read()
            if reading.memory.oom_kills is not None:
                labels = (container.name, container.image)
                self._oom_kills.kernel_count(container.id, labels, reading.memory.oom_kills)
            samples.extend(self._samples(container, reading, now))
        samples.extend(OOM_EVENTS.sample(count, *labels) for labels, count in self._oom_kills.totals(running))
        return samples

    def close(self) -> None:
        """Give all descriptors back."""
        self._forget(set())

    def _reader(self, container: Container) -> Reader:
        reader = self._readers.get(container.id)
        if reader is None:
            hierarchy = self._index.hierarchy
            if hierarchy.v2 is not None:
                reader = V2Reader(hierarchy.v2, container.cgroup, self._skipped)
            else:
                reader = V1Reader(hierarchy.v1, container.cgroup, self._skipped)
            self._readers[container.id] = reader
        return reader

    def _forget(self, running: set[str]) -> None:
        for container_id in self._readers.keys() - running:
            self._readers.pop(container_id).close()

    def _samples(self, container: Container, reading: CgroupReading, now: float) -> Iterator[Sample]:
        labels = (container.name, container.image)
        for metric, value in (*_cpu(reading), *_memory(reading.memory), *_limits(reading)):
            if value is not None:
                yield Sample(metric, labels, value)
        if reading.cpu.usage is not None:
            yield Sample(CPU_USAGE, (*labels, "total"), reading.cpu.usage)
        for kind, scope, count in _page_faults(reading.memory):
            if count is not None:
                yield Sample(MEMORY_FAILURES, (*labels, kind, scope), count)
        yield from self._io(labels, reading)
        for key, seconds in reading.pressure.items():
            yield Sample(PRESSURE[key], labels, seconds)
        yield Sample(LAST_SEEN, labels, now)
        if container.metadata is not None:
            for metric, moment in (
                (START_TIME, container.metadata.started_at),
                (CREATION_TIME, container.metadata.created_at),
            ):
                if moment is not None:
                    yield Sample(metric, labels, moment)

    def _io(self, labels: tuple[str, str], reading: CgroupReading) -> Iterator[Sample]:
        for numbers, io in reading.io.items():
            device = self._devices.name(numbers)
            for metric, value in zip((FS_READ_BYTES, FS_WRITE_BYTES, FS_READS, FS_WRITES), io, strict=True):
                if value is not None:
                    yield Sample(metric, (*labels, device), value)
        for (numbers, operation), count in reading.io_operations.items():
            major, _, minor = numbers.partition(":")
            yield Sample(BLKIO_USAGE, (*labels, self._devices.name(numbers), major, minor, operation), count)
        for (numbers, kind), seconds in reading.io_costs.items():
            yield Sample(IO_COSTS[kind], (*labels, self._devices.name(numbers)), seconds)
        for numbers, limit in reading.io_limits.items():
            device = self._devices.name(numbers)
            for metric, value in zip((IO_LIMIT_READ_BPS, IO_LIMIT_WRITE_BPS), limit, strict=True):
                if value is not None:
                    yield Sample(metric, (*labels, device), value)


def _cpu(reading: CgroupReading) -> Iterator[tuple[Metric, float | None]]:
    yield CPU_USER, reading.cpu.user
    yield CPU_SYSTEM, reading.cpu.system
    if reading.cpu_limits.quota is not None:
        yield CFS_PERIODS, reading.cpu.periods
        yield CFS_THROTTLED_PERIODS, reading.cpu.throttled_periods
        yield CFS_THROTTLED_SECONDS, reading.cpu.throttled
        yield CFS_BURST_PERIODS, reading.cpu.bursts
        yield CFS_BURST_SECONDS, reading.cpu.burst


def _memory(memory: MemoryReading) -> Iterator[tuple[Metric, float | None]]:
    yield MEMORY_USAGE, memory.usage
    yield MEMORY_MAX_USAGE, memory.max_usage
    yield MEMORY_WORKING_SET, memory.working_set
    yield MEMORY_RSS, memory.anon
    yield MEMORY_CACHE, memory.file
    yield MEMORY_SHMEM, memory.shmem
    yield MEMORY_SLAB, memory.slab
    yield MEMORY_MAPPED_FILE, memory.mapped_file
    yield MEMORY_ACTIVE_FILE, memory.active_file
    yield MEMORY_INACTIVE_FILE, memory.inactive_file
    yield MEMORY_DIRTY, memory.dirty
    yield MEMORY_WRITEBACK, memory.writeback
    yield MEMORY_KERNEL, memory.kernel
    yield MEMORY_SWAP, memory.swap
    yield MEMORY_FAILCNT, memory.fail_count
    yield MEMORY_EVENTS_HIGH, memory.events_high
    yield MEMORY_EVENTS_MAX, memory.events_max
    yield MEMORY_PGSCAN, memory.pages_scanned
    yield MEMORY_PGSTEAL, memory.pages_stolen
    yield MEMORY_REFAULT_ANON, memory.refaults_anon
    yield MEMORY_REFAULT_FILE, memory.refaults_file


def _page_faults(memory: MemoryReading) -> Iterator[tuple[str, str, int | None]]:
    yield "pgfault", "hierarchy", memory.page_faults
    yield "pgmajfault", "hierarchy", memory.major_page_faults
    yield "pgfault", "container", memory.own_page_faults
    yield "pgmajfault", "container", memory.own_major_page_faults


def _limits(reading: CgroupReading) -> Iterator[tuple[Metric, float | None]]:
    yield SPEC_CPU_PERIOD, reading.cpu_limits.period
    yield SPEC_CPU_QUOTA, reading.cpu_limits.quota
    yield SPEC_CPU_SHARES, reading.cpu_limits.shares
    yield SPEC_MEMORY_LIMIT, reading.memory.limit
    yield SPEC_MEMORY_SWAP_LIMIT, reading.memory.swap_limit
    yield SPEC_MEMORY_RESERVATION, reading.memory.reservation
    yield THREADS, reading.tasks
    yield THREADS_MAX, reading.tasks_limit
