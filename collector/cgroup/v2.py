"""Readings from the unified hierarchy.

Source: Documentation/admin-guide/cgroup-v2.rst (cpu.stat in microseconds; memory.stat, memory.events, io.stat, io.max,
*.pressure).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from collector.cgroup.files import CgroupFiles, Parsed
from collector.cgroup.reading import CgroupReading, CpuLimits, CpuReading, DeviceIo, DeviceLimit, MemoryReading
from collector.kernelfile import (
    SkippedLines,
    complete_lines,
    is_number,
    parse_count,
    parse_flat_keyed,
    parse_limit,
    parse_pressure,
)

# What the io.cost controller adds to io.stat, in microseconds (block/blk-iocost.c).
_COSTS = tuple((kind, f"cost.{kind}".encode()) for kind in ("usage", "wait", "indebt", "indelay"))

Nested = dict[str, dict[bytes, int]]


def parse_nested_keyed(data: bytes, skipped: SkippedLines) -> Nested:
    """`MAJOR:MINOR KEY=VALUE ...` lines by device; `max` stands for no limit and is left out.

    A line may name several devices before its first key (seen with loop devices): their numbers are one device's values
    repeated, so the line can't be told apart and is skipped.
    """
    values: Nested = {}
    for line in complete_lines(data, skipped):
        device, _, rest = line.partition(b" ")
        pairs = [field.partition(b"=") for field in rest.split()]
        major, colon, minor = device.partition(b":")
        well_formed = all(mark and key and (is_number(value) or value == b"max") for key, mark, value in pairs)
        if not (colon and is_number(major) and is_number(minor) and pairs and well_formed):
            skipped.add()
            continue
        values[device.decode()] = {key: int(value) for key, _, value in pairs if value != b"max"}
    return values


def parse_cpu_max(data: bytes, skipped: SkippedLines) -> tuple[int | None, int | None]:
    """`QUOTA PERIOD` in microseconds; the quota is None for `max`."""
    fields = data.removesuffix(b"\n").split(b" ")
    if len(fields) == 2 and data.endswith(b"\n") and is_number(fields[1]):  # noqa: PLR2004
        if is_number(fields[0]):
            return int(fields[0]), int(fields[1])
        if fields[0] == b"max":
            return None, int(fields[1])
    skipped.add()
    return None, None


def shares_of_weight(weight: int) -> int:
    """Docker's CPU shares (2..262144) out of cpu.weight (1..10000); runc's conversion, reversed."""
    return 2 + (weight - 1) * 262142 // 9999


def _seconds(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1e6


class V2Reader:
    """Reads one container's cgroup in the unified hierarchy."""

    def __init__(self, root: Path, path: str, skipped: SkippedLines) -> None:
        self._files = CgroupFiles(skipped)
        self._directory = f"{root}{path}"

    def read(self) -> CgroupReading:
        """What the kernel says now; all parts absent once the cgroup is gone."""
        quota, period = self._read("cpu.max", parse_cpu_max) or (None, None)
        weight = self._read("cpu.weight", parse_count)
        io = self._read("io.stat", parse_nested_keyed) or {}
        return CgroupReading(
            cpu=self._cpu(),
            cpu_limits=CpuLimits(period, quota, None if weight is None else shares_of_weight(weight)),
            memory=self._memory(),
            io={
                device: DeviceIo(row.get(b"rbytes"), row.get(b"wbytes"), row.get(b"rios"), row.get(b"wios"))
                for device, row in io.items()
            },
            io_operations={
                (device, operation): row[key]
                for device, row in io.items()
                for operation, key in (("Read", b"rbytes"), ("Write", b"wbytes"))
                if key in row
            },
            io_costs={
                (device, kind): row[key] / 1e6 for device, row in io.items() for kind, key in _COSTS if key in row
            },
            io_limits={
                device: DeviceLimit(row.get(b"rbps"), row.get(b"wbps"))
                for device, row in (self._read("io.max", parse_nested_keyed) or {}).items()
            },
            pressure=self._pressure(),
            tasks=self._read("pids.current", parse_count),
            tasks_limit=self._read("pids.max", parse_limit),
        )

    def close(self) -> None:
        """Give the descriptors back."""
        self._files.close()

    def _cpu(self) -> CpuReading:
        stat = self._read("cpu.stat", parse_flat_keyed) or {}
        return CpuReading(
            usage=_seconds(stat.get(b"usage_usec")),
            user=_seconds(stat.get(b"user_usec")),
            system=_seconds(stat.get(b"system_usec")),
            periods=stat.get(b"nr_periods"),
            throttled_periods=stat.get(b"nr_throttled"),
            throttled=_seconds(stat.get(b"throttled_usec")),
            bursts=stat.get(b"nr_bursts"),
            burst=_seconds(stat.get(b"burst_usec")),
        )

    def _memory(self) -> MemoryReading:
        stat = self._read("memory.stat", parse_flat_keyed) or {}
        events = self._read("memory.events", parse_flat_keyed) or {}
        return MemoryReading(
            usage=self._read("memory.current", parse_count),
            max_usage=self._read("memory.peak", parse_count),
            limit=self._read("memory.max", parse_limit),
            swap_limit=self._read("memory.swap.max", parse_limit),
            reservation=self._read("memory.low", parse_limit),
            kernel=stat.get(b"kernel"),
            anon=stat.get(b"anon"),
            file=stat.get(b"file"),
            shmem=stat.get(b"shmem"),
            slab=stat.get(b"slab"),
            mapped_file=stat.get(b"file_mapped"),
            active_file=stat.get(b"active_file"),
            inactive_file=stat.get(b"inactive_file"),
            dirty=stat.get(b"file_dirty"),
            writeback=stat.get(b"file_writeback"),
            swap=self._read("memory.swap.current", parse_count),
            fail_count=events.get(b"max"),
            events_high=events.get(b"high"),
            events_max=events.get(b"max"),
            oom_kills=events.get(b"oom_kill"),
            page_faults=stat.get(b"pgfault"),
            major_page_faults=stat.get(b"pgmajfault"),
            pages_scanned=stat.get(b"pgscan"),
            pages_stolen=stat.get(b"pgsteal"),
            refaults_anon=stat.get(b"workingset_refault_anon"),
            refaults_file=stat.get(b"workingset_refault_file"),
        )

    def _pressure(self) -> dict[tuple[str, str], float]:
        return {
            (resource, kind): seconds
            for resource in ("cpu", "memory", "io")
            for kind, seconds in (self._read(f"{resource}.pressure", parse_pressure) or {}).items()
        }

    def _read(self, name: str, parse: Callable[[bytes, SkippedLines], Parsed]) -> Parsed | None:
        return self._files.read(f"{self._directory}/{name}", parse)
