"""Limits in a cgroup that the agent doesn't read: operations per second, processors, swap.

Sources: Documentation/admin-guide/cgroup-v1/{blkio-controller,cpusets,memory}.rst, cgroup-v2.rst (io.max, cpuset.cpus,
memory.swap.max). A file that is absent says nothing: its controller is off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from collector.cgroup.hierarchy import MOUNT_POINT, Hierarchy
from collector.cgroup.v1 import parse_throttle
from collector.cgroup.v2 import parse_nested_keyed
from collector.kernelfile import SkippedLines

_MOST_PROCESSORS = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class MoreLimits:
    """What these files say.

    Attributes:
        operations: reads and writes per second by `major:minor`; None where there is no limit.
        processors: that it may run on; None where nobody says.
        swap: bytes besides memory; None where nobody says, or for no limit.
    """

    operations: Mapping[str, tuple[int | None, int | None]]
    processors: frozenset[int] | None
    swap: int | None


def read_more_limits(hierarchy: Hierarchy, path: str, *, cpuset: Path | None) -> MoreLimits:
    """Read them; `path` is the cgroup's below each root, `cpuset` the root of that controller on v1."""
    if hierarchy.v2 is not None:
        folder = Path(f"{hierarchy.v2}{path}")
        return MoreLimits(
            operations={
                device: (row.get(b"riops"), row.get(b"wiops"))
                for device, row in parse_nested_keyed(_read(folder / "io.max"), SkippedLines()).items()
            },
            processors=_processors(folder / "cpuset.cpus"),
            swap=_bytes(folder / "memory.swap.max"),
        )
    blkio, memory = (Path(f"{hierarchy.v1.get(name, '/nowhere')}{path}") for name in ("blkio", "memory"))
    reads = parse_throttle(_read(blkio / "blkio.throttle.read_iops_device"), SkippedLines())
    writes = parse_throttle(_read(blkio / "blkio.throttle.write_iops_device"), SkippedLines())
    both, memory_limit = _bytes(memory / "memory.memsw.limit_in_bytes"), _bytes(memory / "memory.limit_in_bytes")
    return MoreLimits(
        operations={device: (reads.get(device), writes.get(device)) for device in {**reads, **writes}},
        processors=_processors(Path(f"{cpuset}{path}/cpuset.cpus")) if cpuset else None,
        swap=None if both is None or memory_limit is None else both - memory_limit,
    )


def cpuset_root(mounts: str, cgroupfs: Path) -> Path | None:
    """Where the v1 controller `cpuset` is mounted; None where it isn't."""
    for line in mounts.splitlines():
        _, point, kind, options, *_ = [*line.split(" "), "", "", "", ""]
        if kind == "cgroup" and "cpuset" in options.split(",") and point.startswith(MOUNT_POINT):
            return cgroupfs / point[len(MOUNT_POINT) :].lstrip("/")
    return None


def parse_processors(text: str) -> frozenset[int]:
    """The processors in a list as the kernel writes it: `0-3,6`.

    Raises:
        ValueError: it is none.
    """
    found: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        low, high = int(first), int(last or first)
        if not 0 <= low <= high < _MOST_PROCESSORS:
            raise ValueError(text)
        found.update(range(low, high + 1))
    return frozenset(found)


def _processors(file: Path) -> frozenset[int] | None:
    try:
        return parse_processors(_read(file).decode())
    except ValueError:
        return None


def _bytes(file: Path) -> int | None:
    text = _read(file).strip()
    return int(text) if text.isdigit() else None


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
