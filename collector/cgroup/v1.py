"""Readings from cgroup v1 controllers.

Sources: Documentation/admin-guide/cgroup-v1/{cpuacct,memory,blkio-controller,pids}.rst,
Documentation/scheduler/sched-bwc.rst. Block I/O comes from `blkio.throttle.*`: the other counters depend on the I/O
scheduler.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from collector.cgroup.files import CgroupFiles, Parsed
from collector.cgroup.reading import CgroupReading, CpuLimits, CpuReading, DeviceIo, DeviceLimit, MemoryReading
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
    """`MAJOR:MINOR BYTES_PER_SECOND` lines by device; devices without a limit are not listed."""
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


class V1Reader:
    """Reads one container's cgroup in all mounted controllers."""

    def __init__(self, roots: Mapping[str, Path], path: str, skipped: SkippedLines) -> None:
        self._files = CgroupFiles(skipped)
        self._directories = {name: f"{root}{path}" for name, root in roots.items()}

    def read(self) -> CgroupReading:
        """What the kernel says now; all parts absent once the cgroup is gone."""
        io, io_operations, io_limits = self._io()
        return CgroupReading(
            cpu=self._cpu(),
            cpu_limits=self._cpu_limits(),
            memory=self._memory(),
            io=io,
            io_operations=io_operations,
            io_limits=io_limits,
            tasks=self._number("pids", "pids.current"),
            tasks_limit=self._number("pids", "pids.max", parse_limit),
        )

    def close(self) -> None:
        """Give the descriptors back."""
        self._files.close()

    def _cpu(self) -> CpuReading:
        usage = self._number("cpuacct", "cpuacct.usage")
        stat = self._keyed("cpuacct", "cpuacct.stat")
        throttling = self._keyed("cpu", "cpu.stat")
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

    def _cpu_limits(self) -> CpuLimits:
        return CpuLimits(
            period=self._number("cpu", "cpu.cfs_period_us"),
            quota=self._number("cpu", "cpu.cfs_quota_us", parse_limit),
            shares=self._number("cpu", "cpu.shares"),
        )

    def _memory(self) -> MemoryReading:
        stat = self._keyed("memory", "memory.stat")
        return MemoryReading(
            usage=self._number("memory", "memory.usage_in_bytes"),
            max_usage=self._number("memory", "memory.max_usage_in_bytes"),
            limit=_limit(self._number("memory", "memory.limit_in_bytes")),
            swap_limit=_limit(stat.get(b"hierarchical_memsw_limit")),
            reservation=_limit(self._number("memory", "memory.soft_limit_in_bytes")),
            kernel=self._number("memory", "memory.kmem.usage_in_bytes"),
            anon=stat.get(b"total_rss"),
            file=stat.get(b"total_cache"),
            shmem=stat.get(b"total_shmem"),
            mapped_file=stat.get(b"total_mapped_file"),
            active_file=stat.get(b"total_active_file"),
            inactive_file=stat.get(b"total_inactive_file"),
            dirty=stat.get(b"total_dirty"),
            writeback=stat.get(b"total_writeback"),
            swap=stat.get(b"total_swap"),
            fail_count=self._number("memory", "memory.failcnt"),
            oom_kills=self._keyed("memory", "memory.oom_control").get(b"oom_kill"),
            page_faults=stat.get(b"total_pgfault"),
            major_page_faults=stat.get(b"total_pgmajfault"),
            own_page_faults=stat.get(b"pgfault"),
            own_major_page_faults=stat.get(b"pgmajfault"),
            refaults_anon=stat.get(b"total_workingset_refault_anon"),
            refaults_file=stat.get(b"total_workingset_refault_file"),
        )

    def _io(self) -> tuple[dict[str, DeviceIo], dict[tuple[str, str], int], dict[str, DeviceLimit]]:
        transferred = self._read("blkio", "blkio.throttle.io_service_bytes_recursive", parse_blkio) or {}
        operations = self._read("blkio", "blkio.throttle.io_serviced_recursive", parse_blkio) or {}
        read_limits = self._read("blkio", "blkio.throttle.read_bps_device", parse_throttle) or {}
        write_limits = self._read("blkio", "blkio.throttle.write_bps_device", parse_throttle) or {}
        io = {
            device: DeviceIo(
                transferred.get((device, _READ_BYTES)),
                transferred.get((device, _WRITE_BYTES)),
                operations.get((device, _READ_BYTES)),
                operations.get((device, _WRITE_BYTES)),
            )
            for device in dict.fromkeys(device for device, _ in (*transferred, *operations))
        }
        limits = {
            device: DeviceLimit(read_limits.get(device), write_limits.get(device))
            for device in {**read_limits, **write_limits}
        }
        by_operation = {(device, operation.decode()): count for (device, operation), count in transferred.items()}
        return io, by_operation, limits

    def _number(
        self, controller: str, name: str, parse: Callable[[bytes, SkippedLines], int | None] = parse_count
    ) -> int | None:
        return self._read(controller, name, parse)

    def _keyed(self, controller: str, name: str) -> dict[bytes, int]:
        return self._read(controller, name, parse_flat_keyed) or {}

    def _read(self, controller: str, name: str, parse: Callable[[bytes, SkippedLines], Parsed]) -> Parsed | None:
        directory = self._directories.get(controller)
        return None if directory is None else self._files.read(f"{directory}/{name}", parse)
