"""Which field of which kernel file a metric of a container stands for, read without the collector's parsers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Files = Mapping[str, str]

# Metric -> file, field, units per unit of the metric.
_FLAT = {
    "container_cpu_usage_seconds_total": ("cpu.stat", "usage_usec", 1e6),
    "container_cpu_user_seconds_total": ("cpu.stat", "user_usec", 1e6),
    "container_cpu_system_seconds_total": ("cpu.stat", "system_usec", 1e6),
    "container_cpu_cfs_periods_total": ("cpu.stat", "nr_periods", 1),
    "container_cpu_cfs_throttled_periods_total": ("cpu.stat", "nr_throttled", 1),
    "container_cpu_cfs_throttled_seconds_total": ("cpu.stat", "throttled_usec", 1e6),
    "container_cpu_cfs_burst_periods_total": ("cpu.stat", "nr_bursts", 1),
    "container_cpu_cfs_burst_seconds_total": ("cpu.stat", "burst_usec", 1e6),
    "container_memory_events_high_total": ("memory.events", "high", 1),
    "container_memory_events_max_total": ("memory.events", "max", 1),
    "container_memory_pgscan_total": ("memory.stat", "pgscan", 1),
    "container_memory_pgsteal_total": ("memory.stat", "pgsteal", 1),
    "container_memory_workingset_refault_anon_total": ("memory.stat", "workingset_refault_anon", 1),
    "container_memory_workingset_refault_file_total": ("memory.stat", "workingset_refault_file", 1),
    "container_memory_failcnt": ("memory.events", "max", 1),
    "container_oom_events_total": ("memory.events", "oom_kill", 1),
    "container_memory_usage_bytes": ("memory.current", "", 1),
    "container_memory_max_usage_bytes": ("memory.peak", "", 1),
    "container_memory_rss": ("memory.stat", "anon", 1),
    "container_memory_cache": ("memory.stat", "file", 1),
    "container_memory_kernel_usage": ("memory.stat", "kernel", 1),
    "container_memory_file_dirty_bytes": ("memory.stat", "file_dirty", 1),
    "container_memory_file_writeback_bytes": ("memory.stat", "file_writeback", 1),
    "container_memory_total_active_file_bytes": ("memory.stat", "active_file", 1),
    "container_memory_total_inactive_file_bytes": ("memory.stat", "inactive_file", 1),
    "container_memory_swap": ("memory.swap.current", "", 1),
    "container_memory_mapped_file": ("memory.stat", "file_mapped", 1),
    "vdbmon_container_memory_shmem_bytes": ("memory.stat", "shmem", 1),
    "vdbmon_container_memory_slab_bytes": ("memory.stat", "slab", 1),
    "container_spec_memory_limit_bytes": ("memory.max", "", 1),
    "container_threads": ("pids.current", "", 1),
    "container_threads_max": ("pids.max", "", 1),
}
_BY_DEVICE = {
    "container_fs_reads_bytes_total": "rbytes",
    "container_fs_writes_bytes_total": "wbytes",
    "container_fs_reads_total": "rios",
    "container_fs_writes_total": "wios",
}
_PRESSURE = {
    f"container_pressure_{resource}_{word}_seconds_total": (f"{resource}.pressure", kind)
    for resource in ("cpu", "memory", "io")
    for word, kind in (("waiting", "some"), ("stalled", "full"))
}
_NET_DEV = {
    "container_network_receive_bytes_total": 0,
    "container_network_receive_packets_total": 1,
    "container_network_receive_errors_total": 2,
    "container_network_receive_packets_dropped_total": 3,
    "container_network_transmit_bytes_total": 8,
    "container_network_transmit_packets_total": 9,
    "container_network_transmit_errors_total": 10,
    "container_network_transmit_packets_dropped_total": 11,
}
_PROCESS_IO = {
    "vdbmon_process_read_bytes_total": "read_bytes:",
    "vdbmon_process_write_bytes_total": "write_bytes:",
}
# /proc/PID/stat after the command: utime and stime, in hundredths of a second on every kernel of Debian's.
_UTIME, _STIME, _TICKS = 11, 12, 100


def read_beside(files: Files, metric: str, labels: Sequence[str]) -> float:
    """The value of a metric in the text of a container's files. `labels` are those after its name and image.

    Raises:
        KeyError: it isn't known where this metric comes from, or the file lacks it.
    """
    if metric in _FLAT:
        file, key, scale = _FLAT[metric]
        return (int(_keyed(files[file])[key]) if key else int(files[file])) / scale
    if metric in _BY_DEVICE:
        return int(_devices(files["io.stat"])[labels[0]][_BY_DEVICE[metric]])
    if metric == "container_blkio_device_usage_total":
        return int(_devices(files["io.stat"])[labels[0]]["rbytes" if labels[-1] == "Read" else "wbytes"])
    if metric in _PRESSURE:
        file, kind = _PRESSURE[metric]
        return int(_keyed(files[file], "total=")[kind]) / 1e6
    if metric in _NET_DEV:
        counters = _keyed(files["net/dev"].replace(f"{labels[0]}:", labels[0]), None)
        return int(counters[labels[0]].split()[_NET_DEV[metric]])
    if metric == "container_memory_failures_total":
        return int(_keyed(files["memory.stat"])[labels[0]])
    if metric == "vdbmon_process_cpu_seconds_total":
        return sum(_ticks(text) for name, text in files.items() if name.endswith("/stat")) / _TICKS
    key = _PROCESS_IO[metric]
    return sum(int(_keyed(text)[key]) for name, text in files.items() if name.endswith("/io"))


def is_known(metric: str) -> bool:
    """Whether a gauge is copied from one field of one file."""
    return metric in _FLAT


def _keyed(text: str, after: str | None = " ") -> dict[str, str]:
    """What follows the first word of each line: all of it, or what stands behind the last `after`."""
    rows = [line.split(maxsplit=1) for line in text.splitlines()]
    return {row[0]: row[-1].rpartition(after)[2] if after else row[-1] for row in rows if row}


def _devices(text: str) -> dict[str, dict[str, str]]:
    rows = [line.split() for line in text.splitlines()]
    disks = {f"254:{16 * number}": f"/dev/vd{letter}" for number, letter in enumerate("abcd")}
    return {disks[row[0]]: dict(field.split("=") for field in row[1:]) for row in rows}


def _ticks(stat: str) -> int:
    fields = stat.rpartition(")")[2].split()
    return int(fields[_UTIME]) + int(fields[_STIME])
