"""What telegraf calls the metrics of the catalogue.

Sources: telegraf's plugins inputs.docker, cpu, mem, swap, system, kernel, kernel_vmstat, disk, diskio, net,
linux_sysctl_fs and conntrack; a name is used only where the meaning is telegraf's too. The other metrics go where
telegraf's own inputs.prometheus (metric_version = 2) would put them: measurement `prometheus`, field = name, tags =
labels. Nothing is lost.

Field names that begin with `_` never leave the projection: they are readings that `collector.projections.telegraf`
computes others from.
"""

from __future__ import annotations

from dataclasses import dataclass

from collector.catalogue import cgroup, containers, docker, host, network, tables
from collector.foreign import ForeignMetric
from collector.metrics import Metric

Tags = tuple[tuple[str, str], ...]

NANO = 10**9
MICRO = 10**6
MILLI = 10**3


@dataclass(frozen=True, slots=True)
class Rule:
    """Where one metric goes.

    Attributes:
        field: template, filled with what `label_context` gives.
        tags: names and templates.
        scale: telegraf's units in one of ours, for example nanoseconds in a second.
        whole: telegraf sends an integer.
    """

    measurement: str
    field: str
    tags: Tags = ()
    scale: int = 1
    whole: bool = True


def label_context(metric: Metric, labels: tuple[str, ...]) -> dict[str, str]:
    """The words that the templates of rules may use: the sample's labels and what telegraf makes of them."""
    given = dict(zip(metric.labels, labels, strict=True))
    image_name, image_version = split_image(given.get("image", ""))
    cpu = given.get("cpu", "total")
    made = {
        "image_name": image_name,
        "image_version": image_version,
        "cpu_tag": "cpu-total" if cpu == "total" else f"cpu{cpu}",
        "device_name": given.get("device", "").removeprefix("/dev/"),
        "total_": "total_" if given.get("scope") == "hierarchy" else "",
    }
    return made | given


def split_image(image: str) -> tuple[str, str]:
    """Name and version of an image: `registry:5000/mariadb:10.11` is `registry:5000/mariadb`, `10.11`.

    As telegraf does, an image without a tag has the version `unknown`; unlike there, a digest is the version only
    where there is no tag.
    """
    if not image:
        return "", ""
    name, _, digest = image.partition("@")
    slash, colon = name.rfind("/"), name.rfind(":")
    if colon > slash:
        return name[:colon], name[colon + 1 :]
    return name, digest or "unknown"


_CONTAINER: Tags = (
    ("container_name", "{name}"),
    ("container_image", "{image_name}"),
    ("container_version", "{image_version}"),
)


def _cpu(field: str, scale: int = 1) -> tuple[Rule, ...]:
    return (Rule("docker_container_cpu", field, (*_CONTAINER, ("cpu", "{cpu_tag}")), scale),)


def _memory(field: str) -> tuple[Rule, ...]:
    return (Rule("docker_container_mem", field, _CONTAINER),)


def _block_io(field: str) -> tuple[Rule, ...]:
    return (Rule("docker_container_blkio", field, (*_CONTAINER, ("device", "{device}"))),)


def _container_net(field: str) -> tuple[Rule, ...]:
    return (Rule("docker_container_net", field, (*_CONTAINER, ("network", "{interface}"))),)


def _status(field: str, scale: int = 1) -> tuple[Rule, ...]:
    return (Rule("docker_container_status", field, _CONTAINER, scale),)


def _disk(field: str) -> tuple[Rule, ...]:
    return (Rule("disk", field, (("path", "{mountpoint}"), ("device", "{device_name}"), ("fstype", "{fstype}"))),)


def _disk_io(field: str, scale: int = 1) -> tuple[Rule, ...]:
    return (Rule("diskio", field, (("name", "{device}"),), scale),)


def _net(field: str) -> tuple[Rule, ...]:
    return (Rule("net", field, (("interface", "{device}"),)),)


_MEMINFO = {
    "MemTotal": "total",
    "MemFree": "free",
    "MemAvailable": "available",
    "Buffers": "buffered",
    "Cached": "_page_cache",
    "Active": "active",
    "Inactive": "inactive",
    "Dirty": "dirty",
    "Writeback": "write_back",
    "WritebackTmp": "write_back_tmp",
    "Slab": "slab",
    "SReclaimable": "sreclaimable",
    "SUnreclaim": "sunreclaim",
    "Shmem": "shared",
    "Mapped": "mapped",
    "PageTables": "page_tables",
    "CommitLimit": "commit_limit",
    "Committed_AS": "committed_as",
    "SwapCached": "swap_cached",
    "VmallocTotal": "vmalloc_total",
    "VmallocUsed": "vmalloc_used",
    "VmallocChunk": "vmalloc_chunk",
    "HighTotal": "high_total",
    "HighFree": "high_free",
    "LowTotal": "low_total",
    "LowFree": "low_free",
    "HugePages_Total": "huge_pages_total",
    "HugePages_Free": "huge_pages_free",
    "Hugepagesize": "huge_page_size",
}
_GOPSUTIL_PAGE = 4096  # gopsutil takes pages for 4 KiB on every architecture

RULES: dict[Metric, tuple[Rule, ...]] = {
    cgroup.CPU_USAGE: _cpu("usage_total", NANO),
    cgroup.CPU_USER: _cpu("usage_in_usermode", NANO),
    cgroup.CPU_SYSTEM: _cpu("usage_in_kernelmode", NANO),
    cgroup.CFS_PERIODS: _cpu("throttling_periods"),
    cgroup.CFS_THROTTLED_PERIODS: _cpu("throttling_throttled_periods"),
    cgroup.CFS_THROTTLED_SECONDS: _cpu("throttling_throttled_time", NANO),
    cgroup.MEMORY_USAGE: _memory("_usage"),
    cgroup.MEMORY_MAX_USAGE: _memory("max_usage"),
    cgroup.MEMORY_RSS: _memory("rss"),
    cgroup.MEMORY_CACHE: _memory("cache"),
    cgroup.MEMORY_MAPPED_FILE: _memory("mapped_file"),
    cgroup.MEMORY_ACTIVE_FILE: _memory("total_active_file"),
    cgroup.MEMORY_INACTIVE_FILE: _memory("total_inactive_file"),
    cgroup.MEMORY_WRITEBACK: _memory("total_writeback"),
    cgroup.MEMORY_FAILCNT: _memory("fail_count"),
    cgroup.MEMORY_FAILURES: _memory("{total_}{failure_type}"),
    cgroup.SPEC_MEMORY_LIMIT: _memory("limit"),
    cgroup.FS_READ_BYTES: _block_io("io_service_bytes_recursive_read"),
    cgroup.FS_WRITE_BYTES: _block_io("io_service_bytes_recursive_write"),
    cgroup.FS_READS: _block_io("io_serviced_recursive_read"),
    cgroup.FS_WRITES: _block_io("io_serviced_recursive_write"),
    cgroup.START_TIME: _status("started_at", NANO),
    # Gathered later, the daemon's own count takes the place of the kernel's where its files can be read.
    containers.RUNNING: (Rule("docker", "n_containers_running"),),
    docker.STATES: (Rule("docker", "n_containers_{state}"),),
    docker.RESTARTS: _status("restart_count"),
    docker.EXIT_CODE: _status("exitcode"),
    docker.FINISHED: _status("finished_at", NANO),
    network.RECEIVE_BYTES: _container_net("rx_bytes"),
    network.RECEIVE_PACKETS: _container_net("rx_packets"),
    network.RECEIVE_ERRORS: _container_net("rx_errors"),
    network.RECEIVE_DROPPED: _container_net("rx_dropped"),
    network.TRANSMIT_BYTES: _container_net("tx_bytes"),
    network.TRANSMIT_PACKETS: _container_net("tx_packets"),
    network.TRANSMIT_ERRORS: _container_net("tx_errors"),
    network.TRANSMIT_DROPPED: _container_net("tx_dropped"),
    host.CPU_SECONDS: (Rule("cpu", "time_{mode}", (("cpu", "{cpu_tag}"),), whole=False),),
    host.CPU_CORES: (Rule("system", "n_cpus"),),
    host.LOAD1: (Rule("system", "load1", whole=False),),
    host.LOAD5: (Rule("system", "load5", whole=False),),
    host.LOAD15: (Rule("system", "load15", whole=False),),
    host.BOOT_TIME: (Rule("kernel", "boot_time"), Rule("system", "_boot_time")),
    host.CONTEXT_SWITCHES: (Rule("kernel", "context_switches"),),
    host.INTERRUPTS: (Rule("kernel", "interrupts"),),
    host.FORKS: (Rule("kernel", "processes_forked"),),
    **{metric: (Rule("kernel_vmstat", field),) for field, metric in host.VMSTAT.items()},
    host.VMSTAT["pswpin"]: (Rule("kernel_vmstat", "pswpin"), Rule("swap", "in", scale=_GOPSUTIL_PAGE)),
    host.VMSTAT["pswpout"]: (Rule("kernel_vmstat", "pswpout"), Rule("swap", "out", scale=_GOPSUTIL_PAGE)),
    host.CPU_PHYSICAL_CORES: (Rule("system", "n_physical_cpus"),),
    host.FILES_ALLOCATED: (Rule("linux_sysctl_fs", "file-nr"),),
    host.FILES_MAXIMUM: (Rule("linux_sysctl_fs", "file-max"),),
    **{host.MEMORY[name]: (Rule("mem", field),) for name, field in _MEMINFO.items()},
    host.MEMORY["SwapTotal"]: (Rule("mem", "swap_total"), Rule("swap", "total")),
    host.MEMORY["SwapFree"]: (Rule("mem", "swap_free"), Rule("swap", "free")),
    host.FS_SIZE: _disk("total"),
    host.FS_FREE: _disk("_free_with_reserve"),
    host.FS_AVAIL: _disk("free"),
    host.FS_FILES: _disk("inodes_total"),
    host.FS_FILES_FREE: _disk("inodes_free"),
    host.DISK_READ_BYTES: _disk_io("read_bytes"),
    host.DISK_WRITTEN_BYTES: _disk_io("write_bytes"),
    host.DISK_READS: _disk_io("reads"),
    host.DISK_WRITES: _disk_io("writes"),
    host.DISK_READ_TIME: _disk_io("read_time", MILLI),
    host.DISK_WRITE_TIME: _disk_io("write_time", MILLI),
    host.DISK_IO_TIME: _disk_io("io_time", MILLI),
    host.DISK_IO_TIME_WEIGHTED: _disk_io("weighted_io_time", MILLI),
    host.DISK_IO_NOW: _disk_io("iops_in_progress"),
    host.DISK_READS_MERGED: _disk_io("merged_reads"),
    host.DISK_WRITES_MERGED: _disk_io("merged_writes"),
    host.NET_RECEIVE_BYTES: _net("bytes_recv"),
    host.NET_TRANSMIT_BYTES: _net("bytes_sent"),
    host.NET_RECEIVE_PACKETS: _net("packets_recv"),
    host.NET_TRANSMIT_PACKETS: _net("packets_sent"),
    host.NET_RECEIVE_ERRS: _net("err_in"),
    host.NET_TRANSMIT_ERRS: _net("err_out"),
    host.NET_RECEIVE_DROP: _net("drop_in"),
    host.NET_TRANSMIT_DROP: _net("drop_out"),
    **{
        metric: (Rule("pressure", "total", (("resource", resource), ("type", kind)), MICRO),)
        for (resource, kind), metric in host.PRESSURE.items()
    },
    tables.CONNTRACK: (Rule("conntrack", "nf_conntrack_count"),),
    tables.CONNTRACK_LIMIT: (Rule("conntrack", "nf_conntrack_max"),),
}


def rules_of(metric: Metric) -> tuple[Rule, ...]:
    """Where this metric goes; what telegraf has no name for goes where its inputs.prometheus would put it.

    What a command printed as line protocol goes back to the measurement and field that it came as.
    """
    known = RULES.get(metric)
    if known is not None:
        return known
    tags = tuple((name, f"{{{name}}}") for name in metric.labels)
    if isinstance(metric, ForeignMetric) and metric.measurement:
        return (Rule(metric.measurement, _literal(metric.field), tags, whole=metric.whole),)
    return (Rule("prometheus", metric.name, tags, whole=False),)


def _literal(text: str) -> str:
    """A template that gives the text itself."""
    return text.replace("{", "{{").replace("}", "}}")
