"""The limits that the kernel really holds a container to, read back from its cgroup (v1 and v2).

An engine can take a limit and drop it without a word (daemons before API 1.55 do so with device rates in an update), so
what was asked for is compared with the cgroup's own files.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from collector.cgroup.hierarchy import Hierarchy, detect_hierarchy, find_containers
from collector.cgroup.reading import CgroupReading
from collector.cgroup.v1 import V1Reader
from collector.cgroup.v2 import V2Reader
from collector.kernelfile import SkippedLines
from orchestrator.decision.resources import MILLI, ResourceClass
from orchestrator.engines.engine import ContainerSpec
from orchestrator.host.limit_files import MoreLimits, cpuset_root, parse_processors, read_more_limits

CGROUPFS = Path("/sys/fs/cgroup")
MOUNTS = Path("/proc/mounts")


class Told(StrEnum):
    """Who told the limits. Only the kernel's own word proves them: an engine can drop what it was asked for."""

    CGROUP = "cgroup"
    """The container's cgroup, read on this host."""
    AGENT = "agent"
    """The agent of the container's host, which read its cgroup."""
    ENGINE = "engine"
    """The engine: what it was asked for."""

    @property
    def sentence(self) -> str:
        """For people."""
        return _SENTENCES[self]


_SENTENCES = {
    Told.CGROUP: "read back from the cgroup",
    Told.AGENT: "read back from the cgroup by the host's agent",
    Told.ENGINE: "as the engine was told (no figures of the host's agent yet, so the kernel's are not known)",
}


@dataclass(frozen=True, slots=True)
class DeviceLimits:
    """Bytes and operations per second of one block device; None where there is no limit."""

    read_bps: int | None
    write_bps: int | None
    read_iops: int | None = None
    write_iops: int | None = None

    def text(self) -> str:
        """For people: `read 100 B/s, write unlimited`; operations only where they are limited."""
        parts = [f"read {_rate(self.read_bps)}", f"write {_rate(self.write_bps)}"]
        operations = ((self.read_iops, ResourceClass.READ_IOPS), (self.write_iops, ResourceClass.WRITE_IOPS))
        parts += [f"{kind.label} {kind.amount_text(limit)}" for limit, kind in operations if limit is not None]
        return ", ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a container is held to. None where there is no limit.

    Attributes:
        cpu: millicores.
        memory: bytes.
        devices: by `BlockDevice.number`.
        processors: that it may run on; None where the kernel doesn't say.
        swap: bytes besides memory; None where the kernel doesn't count them.
        told: by whom.
    """

    cpu: int | None
    memory: int | None
    pids: int | None
    devices: Mapping[str, DeviceLimits]
    processors: frozenset[int] | None = None
    swap: int | None = None
    told: Told = Told.CGROUP

    def document(self) -> dict[str, Any]:
        """In JSON terms."""
        return {**asdict(self), "processors": None if self.processors is None else sorted(self.processors)}

    def text(self, device_name: Callable[[str], str]) -> str:
        """One line for people; `device_name` gives the path of a `major:minor`."""
        devices = [f"{device_name(number)} {limit.text()}" for number, limit in sorted(self.devices.items())]
        parts = (_shown(ResourceClass.CPU, self.cpu), _shown(ResourceClass.MEMORY, self.memory), f"{self.pids} pids")
        return "; ".join((*parts, *devices))


def read_limits(container_id: str, *, cgroupfs: Path = CGROUPFS, mounts: Path = MOUNTS) -> Limits | None:
    """The limits of a running container on this host; None once its cgroup is gone."""
    mounted = mounts.read_text(encoding="utf-8")
    hierarchy = detect_hierarchy(mounted, cgroupfs)
    for cgroup in find_containers(hierarchy):
        if cgroup.id == container_id:
            reading = _read(hierarchy, cgroup.path)
            more = read_more_limits(hierarchy, cgroup.path, cpuset=cpuset_root(mounted, cgroupfs))
            # A cgroup that went away while it was read has no period any more.
            return _limits(reading, more) if reading.cpu_limits.period else None
    return None


def mismatches(spec: ContainerSpec, found: Limits) -> Iterator[str]:
    """What differs from what was asked for, a sentence each."""
    if found.cpu != spec.cpu:
        yield f"CPU is {_shown(ResourceClass.CPU, found.cpu)}, not {_shown(ResourceClass.CPU, spec.cpu)}"
    if not same_memory(spec.memory, found.memory):
        yield f"memory is {_shown(ResourceClass.MEMORY, found.memory)}, not {_shown(ResourceClass.MEMORY, spec.memory)}"
    if found.pids != spec.pids:
        yield f"pids is {found.pids}, not {spec.pids}"
    if found.swap:
        yield f"swap is {_shown(ResourceClass.MEMORY, found.swap)}, not nothing"
    if spec.cpuset is not None and found.processors not in {None, parse_processors(spec.cpuset)}:
        yield f"processors are {sorted(found.processors or ())}, not {spec.cpuset}"
    for device in spec.devices:
        limit = found.devices.get(device.number, DeviceLimits(None, None))
        asked = DeviceLimits(device.read_bps, device.write_bps, device.read_iops, device.write_iops)
        if limit != asked:
            yield f"{device.path} is {limit.text()}, not {asked.text()}"


def same_memory(asked: int, found: int | None) -> bool:
    """Whether the kernel has that limit: it counts memory in pages and rounds down."""
    return found is not None and 0 <= asked - found < mmap.PAGESIZE


def _read(hierarchy: Hierarchy, path: str) -> CgroupReading:
    skipped = SkippedLines()
    reader = V1Reader(hierarchy.v1, path, skipped) if hierarchy.v2 is None else V2Reader(hierarchy.v2, path, skipped)
    try:
        return reader.read()
    finally:
        reader.close()


def _limits(reading: CgroupReading, more: MoreLimits) -> Limits:
    quota, period = reading.cpu_limits.quota, reading.cpu_limits.period
    return Limits(
        cpu=None if quota is None or not period else quota * MILLI // period,
        memory=reading.memory.limit,
        pids=reading.tasks.limit,
        devices={number: DeviceLimits(*limit) for number, limit in reading.io_limits.items()},
        processors=more.processors,
        swap=more.swap,
    )


def _shown(dimension: ResourceClass, amount: int | None) -> str:
    return "unlimited" if amount is None else dimension.amount_text(amount)


def _rate(value: int | None) -> str:
    return _shown(ResourceClass.READ_BPS, value)
