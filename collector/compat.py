"""`docs/compat.md`: the names of cAdvisor, node_exporter, dockprom and telegraf, and which of them the agent emits.

The lists were read in the sources of cAdvisor v0.60.5, node_exporter (commit a7dcc3a) and dockprom (commit 61b7267). An
entry without a reason is emitted, one with a reason is not; `disagreements` holds both against the catalogue.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from collector.compat_entries import Name, Reference, emitted, missing
from collector.compat_telegraf import TELEGRAF
from collector.host.memory import MEMINFO_BYTES, MEMINFO_COUNTS, VMSTAT_FIELDS
from collector.host.snmp import SNMP_FIELDS
from collector.netdev import COLUMNS

_CFQ = "the kernel's files for it went with the CFQ scheduler in Linux 5.0; cgroup v2 never had them"
_WALK = "of containers that `[inputs.volume] du` names: it takes a walk over the writable layer and the logs"
_HOSTS = "says nothing of the container: it is the host's file system, which node_filesystem_* has"
_SOCKETS = "takes a walk over all sockets of the container at each scrape; cAdvisor has it off by default"
_TASKSTATS = "takes a netlink call per container that iterates over its tasks; cAdvisor has it off by default"

CADVISOR = Reference(
    "cAdvisor",
    "Labels are `name` and `image`, with those of the table in the sources beside them. There is no label `id`: it "
    "changes when a container is made anew, and stands in `vdbmon_container_info`. Docker's labels become "
    "`container_label_<name>` for those in `[inputs.docker] docker_label_include`; without it none does, which "
    'selectors like `container_label_org_label_schema_group=""` take for a match. `container_env_*` never does: '
    "environments hold secrets. Cgroups that are no containers have no series. Values carry no timestamps, so a series "
    "ends with its container. Limits that are not set are absent, where cAdvisor has 0.",
    (
        *emitted("container_cpu_", "user_seconds_total", "system_seconds_total"),
        *emitted("container_cpu_", "usage_seconds_total", note="`cpu` is always `total`"),
        *emitted("container_cpu_cfs_", "periods_total", "throttled_periods_total", "throttled_seconds_total"),
        *emitted("container_cpu_cfs_", "burst_periods_total", "burst_seconds_total"),
        *missing("container_", "cpu_load_average_10s", "cpu_load_d_average_10s", "tasks_state", why=_TASKSTATS),
        *emitted("container_memory_", "usage_bytes", "max_usage_bytes", "working_set_bytes", "cache", "rss", "swap"),
        *emitted("container_memory_", "mapped_file", "kernel_usage"),
        *emitted("container_memory_", "total_active_file_bytes", "total_inactive_file_bytes"),
        *emitted("container_memory_", "file_dirty_bytes", "file_writeback_bytes", "failcnt"),
        *emitted("container_memory_", "events_high_total", "events_max_total", note="cgroup v2"),
        *emitted("container_memory_", "pgscan_total", "pgsteal_total", note="cgroup v2"),
        *emitted("container_memory_", "workingset_refault_file_total", "workingset_refault_anon_total"),
        *emitted("container_memory_", "failures_total", note='`scope="container"` on cgroup v1 only'),
        *emitted("container_fs_", "usage_bytes", note=_WALK),
        *missing("container_fs_", "limit_bytes", "inodes_free", "inodes_total", why=_HOSTS),
        *emitted("container_fs_", "reads_bytes_total", "writes_bytes_total", "reads_total", "writes_total"),
        *missing("container_fs_", "reads_merged_total", "writes_merged_total", why=_CFQ),
        *missing("container_fs_", "sector_reads_total", "sector_writes_total", why=_CFQ),
        *missing("container_fs_", "read_seconds_total", "write_seconds_total", why=_CFQ),
        *missing("container_fs_", "io_time_seconds_total", "io_time_weighted_seconds_total", "io_current", why=_CFQ),
        *emitted("container_fs_", "io_cost_usage_seconds_total", note="cgroup v2 with io.cost"),
        *emitted("container_fs_", "io_cost_wait_seconds_total", note="cgroup v2 with io.cost"),
        *emitted("container_fs_", "io_cost_indebt_seconds_total", note="cgroup v2 with io.cost"),
        *emitted("container_fs_", "io_cost_indelay_seconds_total", note="cgroup v2 with io.cost"),
        *emitted("container_blkio_", "device_usage_total"),
        *(
            Name(f"container_network_{way}_{what}_total", note="not for containers on the host's network")
            for way in ("receive", "transmit")
            for what in ("bytes", "packets", "errors", "packets_dropped")
        ),
        *missing("container_network_", "tcp_usage_total", "tcp6_usage_total", why=_SOCKETS),
        *missing("container_network_", "udp_usage_total", "udp6_usage_total", why=_SOCKETS),
        *missing("container_network_", "advance_tcp_stats_total", why="a hundred series for each container"),
        *emitted("container_", "processes", "threads", "threads_max", "file_descriptors"),
        *missing("container_", "sockets", why="takes a readlink of every descriptor of every process"),
        *missing("container_", "ulimits_soft", why="a constant of the container's making: `docker inspect` has it"),
        *(
            Name(f"container_pressure_{resource}_{kind}_seconds_total", note="cgroup v2")
            for resource in ("cpu", "memory", "io")
            for kind in ("waiting", "stalled")
        ),
        *emitted("container_", "last_seen", "start_time_seconds", "creation_time_seconds"),
        *emitted("container_", "health_state", note="from the daemon's files, at most 5 s old"),
        *emitted("container_", "oom_events_total", note="kept by name: it outlives the container"),
        *emitted("container_spec_", "cpu_period", "cpu_quota", "memory_limit_bytes"),
        *emitted("container_spec_", "cpu_shares", note="v2: by cAdvisor's formula, which newer runtimes don't use"),
        *emitted("container_spec_", "memory_swap_limit_bytes", note="v1: memory and swap together, v2: swap alone"),
        *emitted("container_spec_", "memory_reservation_limit_bytes", note="v2: memory.low, which Docker sets"),
        *emitted("machine_", "cpu_cores", "cpu_physical_cores", "cpu_sockets", "memory_bytes", "swap_bytes"),
        *missing("", "cadvisor_version_info", why="`vdbmon_build_info` has our version"),
    ),
)

_NO_VETH = "not for veth interfaces: their inside is a container's"
_DISKS = "also for loop devices in use: sized volumes are such"

NODE_EXPORTER = Reference(
    "node_exporter",
    "Label sets are the same; the test suite holds them against the real program. Which mounts, disks and interfaces "
    "count is node_exporter's default, with the exceptions below. What the agent has no use for (timex, hwmon, "
    "the rest of netstat, ...) is left to node_exporter.",
    (
        *emitted("node_", "cpu_seconds_total"),
        *emitted("node_", "cpu_guest_seconds_total", note="where there ever was a virtual machine; there always"),
        *emitted("node_processes_", "threads", note="there off by default"),
        *emitted("node_processes_", "pids", "state", "max_processes", note="read every 30 s; there off by default"),
        *(
            Name(
                f"node_netstat_{protocol}_{field}", note="where the kernel has it; there untyped, and fewer by default"
            )
            for protocol, fields in SNMP_FIELDS.items()
            for field in fields
        ),
        *(
            Name(f"node_memory_{field.replace('(', '_').replace(')', '')}_bytes", note="where the kernel has the field")
            for field in MEMINFO_BYTES
        ),
        *(Name(f"node_memory_{field}") for field in MEMINFO_COUNTS),
        *(
            Name(f"node_disk_{name}", note=_DISKS)
            for name in (
                *("read_bytes_total", "written_bytes_total", "reads_completed_total", "writes_completed_total"),
                *("reads_merged_total", "writes_merged_total", "read_time_seconds_total", "write_time_seconds_total"),
                *("io_time_seconds_total", "io_time_weighted_seconds_total", "discards_completed_total"),
                *("discards_merged_total", "discarded_sectors_total", "discard_time_seconds_total"),
                *("flush_requests_total", "flush_requests_time_seconds_total", "io_now"),
            )
        ),
        *emitted("node_filesystem_", "size_bytes", "free_bytes", "avail_bytes", "files", "files_free", "readonly"),
        *emitted("node_filesystem_", "device_error"),
        *(Name(f"node_network_{column}_total", note=_NO_VETH) for column in COLUMNS),
        *missing("node_network_", "receive_nohandler_total", why="/proc/net/dev doesn't have it; netlink does"),
        *emitted("node_network_", "up", "carrier", "mtu_bytes", note=_NO_VETH),
        *emitted("node_network_", "speed_bytes", note="absent where the card doesn't know it; read once a minute"),
        *emitted("node_", "load1", "load5", "load15"),
        *emitted("node_pressure_", "cpu_waiting_seconds_total", "io_waiting_seconds_total"),
        *emitted("node_pressure_", "io_stalled_seconds_total", "memory_waiting_seconds_total"),
        *emitted("node_pressure_", "memory_stalled_seconds_total"),
        *emitted("node_pressure_", "irq_stalled_seconds_total", note="where the kernel accounts interrupts"),
        *emitted("node_", "procs_running", "procs_blocked", "intr_total", "context_switches_total", "forks_total"),
        *emitted("node_", "boot_time_seconds", "time_seconds", "filefd_allocated", "filefd_maximum"),
        *emitted("node_", "arp_entries", "nf_conntrack_entries", "nf_conntrack_entries_limit"),
        *(Name(f"node_vmstat_{field}", note="a counter; there untyped") for field in VMSTAT_FIELDS),
        *emitted("node_scrape_collector_", "success", "duration_seconds", note="of the families above"),
    ),
)

DOCKPROM = Reference(
    "dockprom",
    "The names in its dashboards and alerts (containers, host, alerts); none selects `job`, so that one agent stands "
    "in for both of its exporters.",
    (
        *emitted("container_", "cpu_user_seconds_total", "cpu_usage_seconds_total", "memory_usage_bytes"),
        *emitted("container_", "memory_cache"),
        *emitted("container_", "fs_usage_bytes", note=_WALK),
        *emitted("container_network_", "receive_bytes_total", "transmit_bytes_total"),
        *emitted("", "machine_cpu_cores", "node_cpu_seconds_total"),
        *emitted("node_memory_", "MemTotal_bytes", "MemFree_bytes", "Buffers_bytes", "Cached_bytes"),
        *emitted("node_memory_", "MemAvailable_bytes", "SwapTotal_bytes", "SwapFree_bytes"),
        *emitted("node_filesystem_", "size_bytes", "free_bytes", note='edit its `fstype="aufs"`, as its README says'),
        *emitted("node_", "load1"),
        *emitted("node_disk_", "read_bytes_total", "written_bytes_total", "io_time_seconds_total", note=_DISKS),
        *emitted("node_network_", "receive_bytes_total", "transmit_bytes_total"),
        *emitted("node_", "time_seconds", "boot_time_seconds", "procs_running", "procs_blocked", "intr_total"),
        *emitted("node_vmstat_", "pswpin", "pswpout"),
        *missing("", "up", why="Prometheus makes it"),
        *missing("", "node_cpu", why="a name of node_exporter before 0.16, left in its services dashboard"),
    ),
)

IN_THE_CATALOGUE = (CADVISOR, NODE_EXPORTER, DOCKPROM)
REFERENCES = (*IN_THE_CATALOGUE, TELEGRAF)

_INTRODUCTION = """# Names of other programs

Generated from `collector/compat.py` and `collector/compat_telegraf.py`, which are held against the catalogue and what
the agent sends; don't edit. `vdbmon agent compat` prints it.
"""


def disagreements(references: Collection[Reference], catalogue: Collection[str]) -> Iterator[str]:
    """A sentence for each entry that says other than the catalogue, and for each that comes twice."""
    for reference in references:
        seen: set[str] = set()
        for entry in reference.names:
            if entry.name in seen:
                yield f"{reference.title}: {entry.name} is listed twice"
            seen.add(entry.name)
            if entry.missing and entry.name in catalogue:
                yield f"{reference.title}: {entry.name} is listed as missing, and it is in the catalogue"
            if not entry.missing and entry.name not in catalogue:
                yield f"{reference.title}: {entry.name} is listed as emitted, and it is not in the catalogue"


def compat_page(references: Collection[Reference] = REFERENCES) -> str:
    """The page: a table for each program."""
    return _INTRODUCTION + "".join(_section(reference) for reference in references)


def _section(reference: Reference) -> str:
    emitted = sum(not entry.missing for entry in reference.names)
    rows = (
        f"| `{entry.name}` | {'no' if entry.missing else 'yes'} | {entry.missing or entry.note} |\n"
        for entry in reference.names
    )
    return (
        f"\n## {reference.title}\n\n{reference.introduction}\n\n"
        f"{emitted} of {len(reference.names)} names are emitted.\n\n"
        f"| name | emitted | remark |\n|---|---|---|\n{''.join(rows)}"
    )
