"""Control groups of containers: CPU, memory, block I/O, limits, pids, pressure.

Sources: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/{cpuacct,memory,blkio-controller,pids}.rst of the Linux
kernel. Names and meanings are cAdvisor's (`container_*`); what a controller doesn't offer is absent, never 0.
"""

from __future__ import annotations

from collector.metrics import Unit, counter, gauge

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
MEMORY_SWAP = gauge("container_memory_swap", "Swap used.", *_C, unit=Unit.BYTES)
MEMORY_FAILCNT = counter("container_memory_failcnt", "Times the memory limit was hit.", *_C)
MEMORY_FAILURES = counter("container_memory_failures_total", "Page faults, by type.", *_C, "failure_type", "scope")
OOM_EVENTS = counter("container_oom_events_total", "Processes killed for want of memory, kept by container name.", *_C)

FS_READ_BYTES = counter(
    "container_fs_reads_bytes_total", "Bytes read from a block device.", *_C, "device", unit=Unit.BYTES
)
FS_WRITE_BYTES = counter(
    "container_fs_writes_bytes_total", "Bytes written to a block device.", *_C, "device", unit=Unit.BYTES
)
FS_READS = counter("container_fs_reads_total", "Reads from a block device.", *_C, "device")
FS_WRITES = counter("container_fs_writes_total", "Writes to a block device.", *_C, "device")
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

START_TIME = gauge(
    "container_start_time_seconds", "When the container's first process started.", *_C, unit=Unit.TIMESTAMP
)
LAST_SEEN = gauge("container_last_seen", "When the container was last seen.", *_C, unit=Unit.TIMESTAMP)
