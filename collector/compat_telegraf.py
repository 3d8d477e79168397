"""Telegraf's rows of `docs/compat.md`.

Read in the sources of telegraf (commit b272631). A field is written as in line protocol, `measurement field`, a tag as
`measurement,tag`.
"""

from __future__ import annotations

from collections.abc import Iterator

from collector.compat_entries import Name, Reference, emitted, missing
from collector.host.snmp import SNMP_FIELDS

_CONTAINER_MEASUREMENTS = ("cpu", "mem", "blkio", "net", "status", "health")
_CONTAINER_TAGS = ("engine_host", "container_name", "container_image", "container_version")
_TWINS = (
    *("active_anon", "active_file", "cache", "inactive_anon", "inactive_file", "mapped_file", "pgfault", "pgmajfault"),
    *("pgpgin", "pgpgout", "rss", "rss_huge", "unevictable", "writeback"),
)
_RLIMITS = (
    *("cpu_time", "file_locks", "memory_data", "memory_locked", "memory_rss", "memory_stack", "memory_vms"),
    *("nice_priority", "num_fds", "realtime_priority", "signals_pending"),
)

_UPGRADE = "splits every series when the engine is upgraded"
_STATE = "splits every series when the state changes; `n_containers_*`, `exitcode` and `finished_at` say it"
_ID = "64 characters in every point; once in `docker_container_status` is enough to join by"
_CFQ = "the kernel's files for it went with the CFQ scheduler in Linux 5.0; cgroup v2 never had them"
_PERCPU = "one more file per container and reading, on cgroup v1 only"
_SYSTEM_DF = "takes `GET /system/df`, which walks the storage for minutes and holds the daemon's lock"
_SMAPS = "`smaps` is never read: it stalls a database"
_STATUS_FILE = "takes one more read per process, of `status` or `limits`"
_ONE_PROCESS = "of one process; here a group of them stands for it"
_GO = "of Go's run time; `process_*` in the measurement `prometheus` has CPU and memory of the agent"
_QUEUES = "the output's own metrics have it, as `vdbmon_output_*`"
_CGROUP = (
    "has no fields of its own but the files that a site lists; what they say of containers is in `docker_container_*`, "
    "under names that are the same for both cgroup versions"
)


def _container_tags() -> Iterator[Name]:
    for measurement in _CONTAINER_MEASUREMENTS:
        prefix = f"docker_container_{measurement},"
        yield from emitted(prefix, *_CONTAINER_TAGS)
        yield from missing(prefix, "server_version", why=_UPGRADE)
        yield from missing(prefix, "container_status", why=_STATE)


def _block_io() -> Iterator[Name]:
    prefix = "docker_container_blkio "
    yield Name("docker_container_blkio,device", note="numbers and `total`")
    yield from emitted(prefix, "io_service_bytes_recursive_read", "io_service_bytes_recursive_write")
    for operation in ("sync", "async", "discard", "total"):
        yield Name(f"{prefix}io_service_bytes_recursive_{operation}", note="cgroup v1")
    yield from emitted(prefix, "io_serviced_recursive_read", "io_serviced_recursive_write")
    for operation in ("sync", "async", "discard", "total"):
        yield Name(f"{prefix}io_serviced_recursive_{operation}", missing="reads and writes are there")
    for operation in ("read", "write", "sync", "async", "total"):
        for kind in ("queue_recursive", "service_time_recursive", "wait_time", "merged_recursive"):
            yield Name(f"{prefix}io_{kind}_{operation}", missing=_CFQ)
    yield from missing(prefix, "io_time_recursive", "sectors_recursive", why=_CFQ)


def _memory() -> Iterator[Name]:
    prefix = "docker_container_mem "
    yield Name(prefix + "usage", note="less page cache on cgroup v1, less inactive file pages on v2, as there")
    yield Name(prefix + "limit", note="the machine's memory where none is set, as there")
    yield from emitted(prefix, "max_usage", note="v2: where the kernel has `memory.peak`; there 0")
    yield from emitted(prefix, "usage_percent")
    yield from emitted(prefix, "fail_count", note="also while it is 0; v2: `max` of memory.events, there `oom`")
    for name in _TWINS:
        yield Name(prefix + name, note="with cgroups beneath the container's, but for page faults on v1")
        yield Name(f"{prefix}total_{name}", note="cgroup v1")
    yield Name(prefix + "hierarchical_memory_limit", missing="it is `limit`, unless a cgroup above has a lower one")
    yield Name(prefix + "container_id", missing=_ID)


def _protocols() -> Iterator[Name]:
    for protocol, fields in SNMP_FIELDS.items():
        for field in fields:
            yield Name(f"net {protocol}_{field}".lower(), note="where the kernel has it")
    yield Name("net icmpmsg_*", missing="a field for each type that ever came; `icmp_*` counts them")


_DOCKER = (
    *emitted("docker ", "n_cpus", "memory_total", "n_containers"),
    *emitted("docker ", "n_containers_running", "n_containers_stopped", "n_containers_paused"),
    Name("docker n_used_file_descriptors", note="of dockerd, counted in /proc"),
    *emitted("docker ", "n_images", "n_goroutines", "n_listener_events", note="while `info` answers; every 15 s"),
    Name("docker,engine_host", note="the name of this host"),
    *missing("docker,", "server_version", why=_UPGRADE),
    *_container_tags(),
    *missing("docker_container_*,", "source", "LABEL", "ENVIRONMENT", why="ids and labels multiply series"),
    *emitted("docker_container_cpu ", "usage_total", "usage_in_usermode", "usage_in_kernelmode"),
    Name("docker_container_cpu usage_system", note="of the host, without steal, as there"),
    *emitted(
        "docker_container_cpu throttling_", "periods", "throttled_periods", "throttled_time", note="under a quota"
    ),
    Name(
        "docker_container_cpu usage_percent",
        note="100 is one core; measured against the clock, not against the host's CPUs",
    ),
    Name("docker_container_cpu,cpu", note="`cpu-total`"),
    Name("docker_container_cpu,cpu=cpuN", missing=_PERCPU),
    *missing("docker_container_cpu ", "container_id", why=_ID),
    *_memory(),
    *_block_io(),
    *missing("docker_container_blkio ", "container_id", why=_ID),
    *(
        Name(f"docker_container_net {way}_{what}", note="not for containers on the host's network")
        for way in ("rx", "tx")
        for what in ("bytes", "packets", "errors", "dropped")
    ),
    Name("docker_container_net,network", note="interfaces and `total`"),
    *missing("docker_container_net ", "container_id", why=_ID),
    *emitted("docker_container_status ", "oomkilled", "pid", "exitcode", "restart_count", "uptime_ns", "container_id"),
    Name("docker_container_status started_at", note="of those that run"),
    Name("docker_container_status finished_at", note="of those that ended within the last hour"),
    *emitted("docker_container_health ", "health_status", "failing_streak", note="with a health check"),
    *missing("docker_disk_usage ", "layers_size", "size_root_fs", "shared_size", why=_SYSTEM_DF),
    Name("docker_disk_usage size_rw", missing="`container_fs_usage_bytes` counts the logs as well"),
    Name("docker_disk_usage size", note="of volumes that `[inputs.volume] du` names, in blocks on disk"),
    *emitted("docker_disk_usage,", "volume_name", "engine_host"),
    *missing("docker_disk_usage,", "image_id", "image_name", "image_version", why=_SYSTEM_DF),
)

_MODES = ("user", "system", "idle", "nice", "iowait", "irq", "softirq", "steal", "guest", "guest_nice", "active")
_HOST = (
    *(Name(f"cpu {kind}_{mode}") for kind in ("usage", "time") for mode in _MODES),
    Name("cpu,cpu", note="`cpu-total` is the sum of the others"),
    *missing("cpu,", "core_id", "physical_id", why="off by default there"),
    *emitted("mem ", "total", "available", "used", "free", "active", "inactive", "buffered", "cached", "slab"),
    *emitted("mem ", "sreclaimable", "sunreclaim", "shared", "mapped", "dirty", "write_back", "write_back_tmp"),
    *emitted("mem ", "page_tables", "commit_limit", "committed_as", "swap_total", "swap_free", "swap_cached"),
    *emitted("mem ", "huge_page_size", "huge_pages_total", "huge_pages_free"),
    *emitted("mem ", "vmalloc_total", "vmalloc_used", "vmalloc_chunk", "used_percent", "available_percent"),
    *emitted(
        "mem ", "high_total", "high_free", "low_total", "low_free", note="32-bit kernels have it; there 0 on others"
    ),
    *emitted("swap ", "total", "used", "free", "in", "out", "used_percent"),
    *emitted("system ", "load1", "load5", "load15", "n_cpus", "n_physical_cpus", "uptime", "uptime_format"),
    *missing("system ", "n_users", "n_unique_users", why="takes a pass over utmp, which newer systems no longer keep"),
    *emitted("disk ", "total", "used", "free", "used_percent"),
    *emitted("disk inodes_", "total", "used", "free", "used_percent"),
    *emitted("disk,", "path", "device", "fstype", "mode"),
    *missing("disk,", "label", why="takes a walk over /dev/disk/by-label"),
    *emitted("diskio ", "reads", "writes", "read_bytes", "write_bytes", "read_time", "write_time", "io_time"),
    *emitted("diskio ", "weighted_io_time", "merged_reads", "merged_writes", "iops_in_progress"),
    Name("diskio io_util"),
    *emitted("diskio ", "io_await", "io_svctm", note="where there was I/O between the readings"),
    Name("diskio,name", note="disks without their partitions"),
    *missing("diskio,", "serial", "wwid", why="takes udev's data base; off by default there"),
    *(Name(f"net {what}_{way}") for what in ("bytes", "packets") for way in ("sent", "recv")),
    *emitted("net ", "err_in", "err_out", "drop_in", "drop_out"),
    Name("net speed", note="absent where the card doesn't know it; there -1"),
    Name("net,interface", note="not for veth interfaces, whose inside is a container's; also for those that are down"),
    *_protocols(),
    *emitted("processes ", "blocked", "running", "sleeping", "stopped", "zombies", "dead", "paging", "parked", "idle"),
    *emitted("processes ", "total", note="as the states, read every 30 s"),
    Name("processes total_threads"),
)

_PROCSTAT = (
    *emitted("procstat ", "num_threads", "num_fds", "memory_rss", "disk_read_bytes", "disk_write_bytes", note="sums"),
    Name("procstat cpu_usage", note="100 is one core"),
    Name("procstat memory_usage", note="shared pages counted in each process"),
    Name("procstat created_at", note="of the oldest"),
    *emitted("procstat,", "engine_host", note="not there"),
    *emitted("procstat,", "process_name", note="the name of the group"),
    *emitted("procstat,", "container_name", "container_image", "container_version", note="not there"),
    *missing(
        "procstat,", "pid", "pidfile", "exe", "pattern", "user", "cgroup", why="groups are set in `[inputs.process]`"
    ),
    *missing("procstat ", "pid", "ppid", "status", "nice_priority", "realtime_priority", why=_ONE_PROCESS),
    *missing("procstat cpu_time_", "user", "system", "iowait", why="`vdbmon_process_cpu_seconds_total` is their sum"),
    *missing("procstat memory_", "pss", "swap", "usage_anonymous", why=_SMAPS),
    *missing("procstat memory_", "vms", "data", "stack", "locked", why="says little of a group that shares memory"),
    *missing("procstat ", "read_bytes", "write_bytes", why="through the page cache; the disk's share is `disk_*`"),
    *missing("procstat ", "read_count", "write_count", why="system calls, not I/O of a disk"),
    *missing("procstat ", "major_faults", "minor_faults", why="`docker_container_mem` has them by container"),
    *missing(
        "procstat ", "child_major_faults", "child_minor_faults", why="`docker_container_mem` has them by container"
    ),
    *missing("procstat ", "voluntary_context_switches", "involuntary_context_switches", why=_STATUS_FILE),
    *missing("procstat ", "signals_pending", why=_STATUS_FILE),
    *(Name(f"procstat rlimit_{name}_{end}", missing=_STATUS_FILE) for name in _RLIMITS for end in ("soft", "hard")),
    *emitted("procstat_lookup ", "pid_count", "running", "result_code"),
    *emitted("procstat_lookup,", "result"),
    *emitted(
        "procstat_lookup,", "process_name", "container_name", "container_image", "container_version", note="not there"
    ),
    *emitted("procstat_lookup,", "engine_host", note="not there"),
    *missing("procstat_lookup,", "pid_finder", "exe", "pattern", why="groups are set in `[inputs.process]`"),
)

_INTERNAL = (
    Name("internal_agent gather_errors"),
    *emitted("internal_agent ", "metrics_written", "metrics_dropped", note="where something is pushed"),
    *missing(
        "internal_agent ", "metrics_gathered", "metrics_rejected", "gather_timeouts", why="`vdbmon_input_*` has it"
    ),
    *missing("internal_agent,", "go_version", "version", why="`vdbmon_build_info` has our version"),
    Name("internal_gather gather_time_ns", note="of the last gathering, or of the one under way if that is longer"),
    Name("internal_gather errors", note="gatherings that failed or overran"),
    *missing("internal_gather ", "metrics_gathered", why="`vdbmon_input_samples` counts the last gathering"),
    *missing("internal_gather ", "gather_timeouts", "startup_errors", why="among `errors`"),
    Name("internal_gather,input"),
    *emitted("internal_write ", "metrics_written", "metrics_dropped", "buffer_size", note="where something is pushed"),
    *emitted("internal_write,", "output", note="where something is pushed"),
    Name("internal_write metrics_rejected", note="among `metrics_dropped` too"),
    Name("internal_write errors", note="writes that were not accepted"),
    Name("internal_write write_time_ns", note="of the last write"),
    *missing("internal_write ", "metrics_added", "metrics_filtered", "buffer_limit", "startup_errors", why=_QUEUES),
    Name("internal_memstats *", missing=_GO),
)

TELEGRAF = Reference(
    "telegraf",
    "What is pushed. A field is written `measurement field`, a tag `measurement,tag`. A name is telegraf's only where "
    "its meaning and its unit are; integers stay integers. The points of a collection carry one time, and what needs "
    "two readings is absent in the first. What telegraf has no name for goes to the measurement `prometheus`, as its "
    "inputs.prometheus would put it; `docs/metrics.md` has both names of all metrics. Where there is nothing to read a "
    "field is absent; telegraf often writes 0.",
    (*_DOCKER, *_HOST, *_PROCSTAT, Name("cgroup *", missing=_CGROUP), *_INTERNAL),
)
