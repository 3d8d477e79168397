"""Readings from the unified hierarchy.

Source: Documentation/admin-guide/cgroup-v2.rst (cpu.stat in microseconds; memory.stat, memory.events, io.stat, io.max,
*.pressure).
"""

from __future__ import annotations

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
    """Docker's CPU shares (2..262144) out of cpu.weight (1..10000), as cAdvisor does it.

    That reverses runc's old conversion; since opencontainers/runc#4785 it is another one (1,024 shares weigh 100, not
    39), and nothing in the cgroup says by which of them a weight was set.
    """
    return 2 + (weight - 1) * 262142 // 9999


def _seconds(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1e6


_CPU = {"cpu.stat": parse_flat_keyed}
_CPU_LIMITS = {"cpu.max": parse_cpu_max, "cpu.weight": parse_count}
_MEMORY = {
    "memory.stat": parse_flat_keyed,
    "memory.events": parse_flat_keyed,
    "memory.current": parse_count,
    "memory.peak": parse_count,
    "memory.max": parse_limit,
    "memory.low": parse_limit,
    "memory.swap.current": parse_count,
    "memory.swap.max": parse_limit,
}
_IO = {"io.stat": parse_nested_keyed}
_IO_LIMITS = {"io.max": parse_nested_keyed}
_PRESSURE = {f"{resource}.pressure": parse_pressure for resource in ("cpu", "memory", "io")}
_TASKS = {"pids.current": parse_count, "pids.max": parse_limit}


class V2Reader(CgroupReader):
    """Reads one container's cgroup in the unified hierarchy."""

    def __init__(self, root: Path, path: str, skipped: SkippedLines) -> None:
        def part(parsers: Mapping[str, Parse], make: Callable[[Values], Made]) -> Part[Made]:
            return Part({name: (f"{root}{path}/{name}", parse) for name, parse in parsers.items()}, make, skipped)

        super().__init__(
            cpu=part(_CPU, _cpu),
            cpu_limits=part(_CPU_LIMITS, _cpu_limits),
            memory=part(_MEMORY, _memory),
            io=part(_IO, _io),
            io_limits=part(_IO_LIMITS, _io_limits),
            tasks=part(_TASKS, _tasks),
            pressure=part(_PRESSURE, _pressure),
        )


def _cpu(files: Values) -> CpuReading:
    stat = files["cpu.stat"] or {}
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


def _cpu_limits(files: Values) -> CpuLimits:
    quota, period = files["cpu.max"] or (None, None)
    weight = files["cpu.weight"]
    return CpuLimits(period, quota, None if weight is None else shares_of_weight(weight))


def _memory(files: Values) -> MemoryReading:
    stat = files["memory.stat"] or {}
    events = files["memory.events"] or {}
    return MemoryReading(
        usage=files["memory.current"],
        max_usage=files["memory.peak"],
        limit=files["memory.max"],
        swap_limit=files["memory.swap.max"],
        reservation=files["memory.low"],
        kernel=stat.get(b"kernel"),
        anon=stat.get(b"anon"),
        file=stat.get(b"file"),
        shmem=stat.get(b"shmem"),
        slab=stat.get(b"slab"),
        mapped_file=stat.get(b"file_mapped"),
        active_file=stat.get(b"active_file"),
        inactive_file=stat.get(b"inactive_file"),
        active_anon=stat.get(b"active_anon"),
        inactive_anon=stat.get(b"inactive_anon"),
        anon_huge=stat.get(b"anon_thp"),
        unevictable=stat.get(b"unevictable"),
        dirty=stat.get(b"file_dirty"),
        writeback=stat.get(b"file_writeback"),
        swap=files["memory.swap.current"],
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


def _io(files: Values) -> IoReading:
    rows: Nested = files["io.stat"] or {}
    return IoReading(
        devices={
            device: DeviceIo(row.get(b"rbytes"), row.get(b"wbytes"), row.get(b"rios"), row.get(b"wios"))
            for device, row in rows.items()
        },
        operations={
            (device, operation): row[key]
            for device, row in rows.items()
            for operation, key in (("Read", b"rbytes"), ("Write", b"wbytes"))
            if key in row
        },
        costs={(device, kind): row[key] / 1e6 for device, row in rows.items() for kind, key in _COSTS if key in row},
    )


def _io_limits(files: Values) -> dict[str, DeviceLimit]:
    rows: Nested = files["io.max"] or {}
    keys = (b"rbps", b"wbps", b"riops", b"wiops")
    return {device: DeviceLimit(*map(row.get, keys)) for device, row in rows.items()}


def _pressure(files: Values) -> Mapping[tuple[str, str], float]:
    return {
        (resource, kind): seconds
        for resource in ("cpu", "memory", "io")
        for kind, seconds in (files[f"{resource}.pressure"] or {}).items()
    }


def _tasks(files: Values) -> Tasks:
    return Tasks(files["pids.current"], files["pids.max"])
