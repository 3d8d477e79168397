"""What is read of one cgroup, in base units and under one vocabulary for v1 and v2.

Every part is None, and every mapping empty, where the kernel doesn't offer it: an absent controller is absent, not 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class CpuReading:
    """Seconds and counts since the cgroup was made."""

    usage: float | None = None
    user: float | None = None
    system: float | None = None
    periods: int | None = None
    throttled_periods: int | None = None
    throttled: float | None = None
    bursts: int | None = None
    burst: float | None = None


@dataclass(frozen=True, slots=True)
class CpuLimits:
    """Quota and period in microseconds; `quota` is None where there is none. `shares` as Docker counts them."""

    period: int | None = None
    quota: int | None = None
    shares: int | None = None


@dataclass(frozen=True, slots=True)
class MemoryReading:
    """Bytes and counts; a limit is None where there is none.

    Attributes:
        swap_limit: of memory and swap together on v1, of swap alone on v2.
        reservation: what reclaim leaves alone (v1 soft limit, v2 memory.low); that is what Docker sets.
        anon_huge: in transparent huge pages.
        pages_in: pages charged so far, as `pages_out` those no longer charged; v1 only.
        own_page_faults: without those of cgroups beneath this one, as `own_major_page_faults`; v1 only.
    """

    usage: int | None = None
    max_usage: int | None = None
    limit: int | None = None
    anon: int | None = None
    file: int | None = None
    shmem: int | None = None
    slab: int | None = None
    mapped_file: int | None = None
    active_file: int | None = None
    inactive_file: int | None = None
    active_anon: int | None = None
    inactive_anon: int | None = None
    anon_huge: int | None = None
    unevictable: int | None = None
    pages_in: int | None = None
    pages_out: int | None = None
    dirty: int | None = None
    writeback: int | None = None
    kernel: int | None = None
    swap: int | None = None
    swap_limit: int | None = None
    reservation: int | None = None
    fail_count: int | None = None
    events_high: int | None = None
    events_max: int | None = None
    oom_kills: int | None = None
    page_faults: int | None = None
    major_page_faults: int | None = None
    own_page_faults: int | None = None
    own_major_page_faults: int | None = None
    pages_scanned: int | None = None
    pages_stolen: int | None = None
    refaults_anon: int | None = None
    refaults_file: int | None = None

    @property
    def working_set(self) -> int | None:
        """Usage less inactive file pages, never below zero (cAdvisor's definition)."""
        if self.usage is None or self.inactive_file is None:
            return None
        return max(self.usage - self.inactive_file, 0)


class DeviceIo(NamedTuple):
    """Bytes and operations of one block device since the cgroup was made; None where not counted."""

    read_bytes: int | None
    write_bytes: int | None
    reads: int | None
    writes: int | None


class DeviceLimit(NamedTuple):
    """Bytes and operations per second of one block device; None where there is no limit."""

    read_bps: int | None
    write_bps: int | None
    read_iops: int | None = None
    write_iops: int | None = None


@dataclass(frozen=True, slots=True)
class IoReading:
    """Block I/O since the cgroup was made.

    Attributes:
        devices: by device numbers, `254:0`.
        operations: bytes by device numbers and operation, in the kernel's words (`Read`, `Write`, `Sync`, ...).
        costs: seconds by device numbers and kind (`usage`, `wait`, `indebt`, `indelay`), under io.cost only.
    """

    devices: Mapping[str, DeviceIo] = field(default_factory=dict)
    operations: Mapping[tuple[str, str], int] = field(default_factory=dict)
    costs: Mapping[tuple[str, str], float] = field(default_factory=dict)


class Tasks(NamedTuple):
    """Processes and threads, and how many there may be; None where there is no limit."""

    current: int | None = None
    limit: int | None = None


class CgroupReading(NamedTuple):
    """Everything of one cgroup at one moment. A part that has not changed is the same object in the next reading.

    Attributes:
        io_limits: by device numbers.
        pressure: seconds by resource (`cpu`, `memory`, `io`) and kind (`some`, `full`).
    """

    cpu: CpuReading
    cpu_limits: CpuLimits
    memory: MemoryReading
    io: IoReading
    io_limits: Mapping[str, DeviceLimit]
    tasks: Tasks
    pressure: Mapping[tuple[str, str], float] = MappingProxyType({})
