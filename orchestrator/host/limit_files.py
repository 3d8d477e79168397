"""Limits in a cgroup that the agent doesn't read: processors and swap.

Sources: Documentation/admin-guide/cgroup-v1/{cpusets,memory}.rst, cgroup-v2.rst (cpuset.cpus, memory.swap.max). A file
that is absent says nothing: its controller is off.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from collector.cgroup.hierarchy import MOUNT_POINT, Hierarchy

_MOST_PROCESSORS = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class MoreLimits:
    """What these files say.

    Attributes:
        processors: that it may run on; None where nobody says.
        swap: bytes besides memory; None where nobody says, or for no limit.
    """

    processors: frozenset[int] | None
    swap: int | None


def read_more_limits(hierarchy: Hierarchy, path: str, *, cpuset: Path | None) -> MoreLimits:
    """Read them; `path` is the cgroup's below each root, `cpuset` the root of that controller on v1."""
    if hierarchy.v2 is not None:
        folder = Path(f"{hierarchy.v2}{path}")
        return MoreLimits(
            processors=_processors(folder / "cpuset.cpus"),
            swap=_bytes(folder / "memory.swap.max"),
        )
    memory = Path(f"{hierarchy.v1.get('memory', '/nowhere')}{path}")
    both, memory_limit = _bytes(memory / "memory.memsw.limit_in_bytes"), _bytes(memory / "memory.limit_in_bytes")
    return MoreLimits(
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
