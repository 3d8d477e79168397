"""Telegraf's names of the host and of the agent itself.

Plugins inputs.cpu, mem, swap, system, kernel, kernel_vmstat, disk, diskio, net, processes, linux_sysctl_fs, conntrack,
kernel's `pressure`, and internal.
"""

from __future__ import annotations

from collector.catalogue import host, internal, tables
from collector.metrics import Metric
from collector.projections.telegraf_containers import ENGINE
from collector.projections.telegraf_rule import MICRO, MILLI, NANO, Form, Rule


def _cpu_times(field: str) -> tuple[Rule, ...]:
    return (
        Rule("cpu", field, (("cpu", "{cpu_tag}"),), form=Form.REAL),
        Rule("cpu", field, (("cpu", "cpu-total"),), form=Form.REAL_SUM),
    )


# `mode` is a reading (`telegraf_computed`), so it has no template.
_FILESYSTEM = (("path", "{mountpoint}"), ("device", "{device_name}"), ("fstype", "{fstype}"), ("mode", ""))


def _disk(field: str) -> tuple[Rule, ...]:
    return (Rule("disk", field, _FILESYSTEM),)


def _disk_io(field: str, scale: int = 1) -> tuple[Rule, ...]:
    return (Rule("diskio", field, (("name", "{device}"),), scale),)


def _net(field: str, scale: float = 1) -> tuple[Rule, ...]:
    return (Rule("net", field, (("interface", "{device}"),), scale),)


def _load(field: str) -> tuple[Rule, ...]:
    return (Rule("system", field, form=Form.REAL),)


def _gather(field: str, scale: int = 1) -> Rule:
    return Rule("internal_gather", field, (("input", "{input}"),), scale)


def _write(field: str, scale: int = 1, when: tuple[str, str] | None = None) -> Rule:
    return Rule("internal_write", field, (("output", "{output}"),), scale, Form.WHOLE_SUM, when=when)


def _agent(field: str) -> Rule:
    return Rule("internal_agent", field, form=Form.WHOLE_SUM)


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

HOST_RULES: dict[Metric, tuple[Rule, ...]] = {
    host.CPU_SECONDS: _cpu_times("time_{mode}"),
    host.CPU_GUEST_SECONDS: _cpu_times("_guest_{mode}"),
    host.CPU_CORES: (Rule("system", "n_cpus"), Rule("docker", "n_cpus", ENGINE)),
    host.LOAD1: _load("load1"),
    host.LOAD5: _load("load5"),
    host.LOAD15: _load("load15"),
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
    host.MEMORY["MemTotal"]: (Rule("mem", "total"), Rule("docker", "memory_total", ENGINE)),
    host.MEMORY["SwapTotal"]: (Rule("mem", "swap_total"), Rule("swap", "total")),
    host.MEMORY["SwapFree"]: (Rule("mem", "swap_free"), Rule("swap", "free")),
    host.FS_SIZE: _disk("total"),
    host.FS_FREE: _disk("_free_with_reserve"),
    host.FS_AVAIL: _disk("free"),
    host.FS_FILES: _disk("inodes_total"),
    host.FS_FILES_FREE: _disk("inodes_free"),
    host.FS_READONLY: _disk("_readonly"),
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
    host.NET_SPEED: _net("speed", 8 / 10**6),  # Mbit/s
    **{
        metric: (Rule("net", f"{protocol}_{field}".lower(), (("interface", "all"),)),)
        for (protocol, field), metric in host.NETSTAT.items()
    },
    **{
        metric: (Rule("pressure", "total", (("resource", resource), ("type", kind)), MICRO),)
        for (resource, kind), metric in host.PRESSURE.items()
    },
    tables.CONNTRACK: (Rule("conntrack", "nf_conntrack_count"),),
    tables.CONNTRACK_LIMIT: (Rule("conntrack", "nf_conntrack_max"),),
    tables.PROCESSES: tuple(
        Rule("processes", word, when=("state", state)) for state, word in tables.PROCESS_STATES.items()
    ),
    tables.PIDS: (Rule("processes", "total"),),
    host.THREADS: (Rule("processes", "total_threads"),),
    internal.INPUT_DURATION: (_gather("gather_time_ns", NANO),),
    internal.INPUT_ERRORS: (_gather("errors"), _agent("gather_errors")),
    internal.OUTPUT_WRITTEN: (_write("metrics_written"), _agent("metrics_written")),
    internal.OUTPUT_DROPPED: (
        _write("metrics_dropped"),
        _write("metrics_rejected", when=("cause", "rejected")),
        _agent("metrics_dropped"),
    ),
    internal.OUTPUT_ERRORS: (_write("errors"),),
    internal.OUTPUT_LAST_WRITE: (_write("write_time_ns", NANO),),
    internal.OUTPUT_QUEUED: (_write("buffer_size"),),
}
