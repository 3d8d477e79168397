"""Readings from cgroup v1 controllers.

Sources: Documentation/admin-guide/cgroup-v1/{cpuacct,memory,blkio-controller,pids}.rst,
Documentation/scheduler/sched-bwc.rst. Block I/O comes from `blkio.throttle.*`: the other counters depend on the I/O
scheduler.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from collector.cgroup.files import Made, Parse, Part, Values
from collector.cgroup.reader import CgroupReader
from collector.cgroup.reading import (
    CpuLimits,
    CpuReading,
    DeviceIo,
    DeviceLimit,
    IoReading,
    MemoryReading,
    Tasks,
)
from collector.kernelfile import SkippedLines, complete_lines, is_number, parse_count, parse_flat_keyed, parse_limit

_TICKS = os.sysconf("SC_CLK_TCK")
# The kernel writes "no limit" as the largest multiple of the page size below 2**63 (memory.rst).
_NO_MEMORY_LIMIT = 2**62
_READ_BYTES, _WRITE_BYTES = b"Read", b"Write"

Numbers = dict[tuple[str, bytes], int]


def parse_blkio(data: bytes, skipped: SkippedLines) -> Numbers:
    """`MAJOR:MINOR OPERATION VALUE` lines by device and operation; the closing `Total` line is no device."""
    values: Numbers = {}
    for line in complete_lines(data, skipped):
        fields = line.split()
        if len(fields) == 3 and is_number(fields[2]) and fields[1].isalpha() and _is_device(fields[0]):  # noqa: PLR2004
            values[fields[0].decode(), fields[1]] = int(fields[2])
        elif not (len(fields) == 2 and fields[0] == b"Total"):  # noqa: PLR2004
            skipped.add()
    return values


def parse_throttle(data: bytes, skipped: SkippedLines) -> dict[str, int]:
    """`MAJOR:MINOR PER_SECOND` lines by device, bytes or operations; devices without a limit are not listed."""
    values: dict[str, int] = {}
    for line in complete_lines(data, skipped):
        device, _, value = line.partition(b" ")
        if _is_device(device) and is_number(value):
            values[device.decode()] = int(value)
        else:
            skipped.add()
    return values


def _is_device(field: bytes) -> bool:
    major, colon, minor = field.partition(b":")
    return bool(colon) and is_number(major) and is_number(minor)


def _limit(limit: int | None) -> int | None:
    return None if limit is None or limit >= _NO_MEMORY_LIMIT else limit


# Files by controller and name, for each part of a reading.
_Files = Mapping[str, Mapping[str, Parse]]

_CPU: _Files = {
    "cpuacct": {"cpuacct.usage": parse_count, "cpuacct.stat": parse_flat_keyed},
    "cpu": {"cpu.stat": parse_flat_keyed},
}
_CPU_LIMITS: _Files = {
    "cpu": {"cpu.cfs_period_us": parse_count, "cpu.cfs_quota_us": parse_limit, "cpu.shares": parse_count},
}
_MEMORY: _Files = {
    "memory": {
        "memory.stat": parse_flat_keyed,
        "memory.oom_control": parse_flat_keyed,
        "memory.usage_in_bytes": parse_count,
        "memory.max_usage_in_bytes": parse_count,
        "memory.limit_in_bytes": parse_count,
        "memory.soft_limit_in_bytes": parse_count,
        "memory.kmem.usage_in_bytes": parse_count,
        "memory.failcnt": parse_count,
    },
}
_IO: _Files = {
    "blkio": {
        "blkio.throttle.io_service_bytes_recursive": parse_blkio,
        "blkio.throttle.io_serviced_recursive": parse_blkio,
    }
}
_IO_LIMITS: _Files = {
    "blkio": dict.fromkeys((f"blkio.throttle.{kind}_device" for kind in DeviceLimit._fields), parse_throttle)
}
_TASKS: _Files = {"pids": {"pids.current": parse_count, "pids.max": parse_limit}}


class V1Reader(CgroupReader):
    """Reads one container's cgroup in all mounted controllers."""

    def __init__(self, roots: Mapping[str, Path], path: str, skipped: SkippedLines) -> None:
        def part(files: _Files, make: Callable[[Values], Made]) -> Part[Made]:
            found = {
                name: (f"{roots[controller]}{path}/{name}", parse)
                for controller, parsers in files.items()
                if controller in roots
                for name, parse in parsers.items()
            }
            return Part(found, make, skipped)

        super().__init__(
            cpu=part(_CPU, _cpu),
            cpu_limits=part(_CPU_LIMITS, _cpu_limits),
            memory=part(_MEMORY, _memory),
            io=part(_IO, _io),
            io_limits=part(_IO_LIMITS, _io_limits),
            tasks=part(_TASKS, _tasks),
            pressure=part({}, _no_pressure),
        )


def _cpu(files: Values) -> CpuReading:
    usage = files.get("cpuacct.usage")
    stat = files.get("cpuacct.stat") or {}
    throttling = files.get("cpu.stat") or {}
    user, system = stat.get(b"user"), stat.get(b"system")
    throttled, burst = throttling.get(b"throttled_time"), throttling.get(b"burst_time")
    return CpuReading(
        usage=None if usage is None else usage / 1e9,
        user=None if user is None else user / _TICKS,
        system=None if system is None else system / _TICKS,
        periods=throttling.get(b"nr_periods"),
        throttled_periods=throttling.get(b"nr_throttled"),
        throttled=None if throttled is None else throttled / 1e9,
        bursts=throttling.get(b"nr_bursts"),
        burst=None if burst is None else burst / 1e9,
    )


def _cpu_limits(files: Values) -> CpuLimits:
    return CpuLimits(
        period=files.get("cpu.cfs_period_us"), quota=files.get("cpu.cfs_quota_us"), shares=files.get("cpu.shares")
    )


def _memory(files: Values) -> MemoryReading:
    stat = files.get("memory.stat") or {}
    return MemoryReading(
        usage=files.get("memory.usage_in_bytes"),
        max_usage=files.get("memory.max_usage_in_bytes"),
        limit=_limit(files.get("memory.limit_in_bytes")),
        swap_limit=_limit(stat.get(b"hierarchical_memsw_limit")),
        reservation=_limit(files.get("memory.soft_limit_in_bytes")),
        kernel=files.get("memory.kmem.usage_in_bytes"),
        anon=stat.get(b"total_rss"),
        file=stat.get(b"total_cache"),
        shmem=stat.get(b"total_shmem"),
        mapped_file=stat.get(b"total_mapped_file"),
        active_file=stat.get(b"total_active_file"),
        inactive_file=stat.get(b"total_inactive_file"),
        active_anon=stat.get(b"total_active_anon"),
        inactive_anon=stat.get(b"total_inactive_anon"),
        anon_huge=stat.get(b"total_rss_huge"),
        unevictable=stat.get(b"total_unevictable"),
        pages_in=stat.get(b"total_pgpgin"),
        pages_out=stat.get(b"total_pgpgout"),
        dirty=stat.get(b"total_dirty"),
        writeback=stat.get(b"total_writeback"),
        swap=stat.get(b"total_swap"),
        fail_count=files.get("memory.failcnt"),
        oom_kills=(files.get("memory.oom_control") or {}).get(b"oom_kill"),
        page_faults=stat.get(b"total_pgfault"),
        major_page_faults=stat.get(b"total_pgmajfault"),
        own_page_faults=stat.get(b"pgfault"),
        own_major_page_faults=stat.get(b"pgmajfault"),
        refaults_anon=stat.get(b"total_workingset_refault_anon"),
        refaults_file=stat.get(b"total_workingset_refault_file"),
    )


def _io(files: Values) -> IoReading:
    transferred: Numbers = files.get("blkio.throttle.io_service_bytes_recursive") or {}
    operations: Numbers = files.get("blkio.throttle.io_serviced_recursive") or {}
    devices = {
        device: DeviceIo(
            transferred.get((device, _READ_BYTES)),
            transferred.get((device, _WRITE_BYTES)),
            operations.get((device, _READ_BYTES)),
            operations.get((device, _WRITE_BYTES)),
        )
        for device in dict.fromkeys(device for device, _ in (*transferred, *operations))
    }
    return IoReading(
        devices=devices,
        operations={(device, operation.decode()): count for (device, operation), count in transferred.items()},
    )


def _io_limits(files: Values) -> dict[str, DeviceLimit]:
    kinds = [files.get(f"blkio.throttle.{kind}_device") or {} for kind in DeviceLimit._fields]
    devices = dict.fromkeys(device for limits in kinds for device in limits)
    return {device: DeviceLimit(*(limits.get(device) for limits in kinds)) for device in devices}


def _tasks(files: Values) -> Tasks:
    return Tasks(files.get("pids.current"), files.get("pids.max"))


def _no_pressure(_files: Values) -> Mapping[tuple[str, str], float]:
    return {}
