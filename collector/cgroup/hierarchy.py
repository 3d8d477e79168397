"""Where the cgroups of containers are: v1, v2 and hybrid; cgroupfs and systemd drivers.

Sources: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/cgroups.rst; proc_pid_mounts(5). Docker names a
container's cgroup `docker/<64 hex digits>` (cgroupfs driver) or `docker-<64 hex digits>.scope` (systemd driver), at
the root or beneath whatever --cgroup-parent says.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

MOUNT_POINT = "/sys/fs/cgroup"

_CONTAINER = re.compile(r"(?:docker-)?([0-9a-f]{64})(?:\.scope)?")
_CONTROLLERS = frozenset({"cpu", "cpuacct", "memory", "blkio", "pids"})
# Docker puts containers at most this deep below the root: parent.slice/child.slice/grandchild.slice/docker-ID.scope.
_DEEPEST = 5


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """The mounted cgroup file systems that count resources.

    Attributes:
        v2: root of the unified hierarchy if it has resource controllers, else None (v1 and hybrid).
        v1: root by controller.
    """

    v2: Path | None
    v1: Mapping[str, Path]

    @property
    def primary(self) -> Path | None:
        """The tree that is searched for containers; None where no controller is mounted."""
        if self.v2 is not None:
            return self.v2
        return next((self.v1[name] for name in ("memory", "cpuacct", "cpu", "blkio", "pids") if name in self.v1), None)


@dataclass(frozen=True, slots=True)
class ContainerCgroup:
    """One container's cgroup. `path` is relative to each hierarchy's root, as in /proc/PID/cgroup."""

    id: str
    path: str


def detect_hierarchy(mounts: str, cgroupfs: Path) -> Hierarchy:
    """Find the hierarchies in the text of /proc/mounts.

    `cgroupfs` is where /sys/fs/cgroup is seen by this process (another place in a container, or a recorded tree).
    """
    v1: dict[str, Path] = {}
    unified: Path | None = None
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 4 or not fields[1].startswith(MOUNT_POINT):  # noqa: PLR2004 - device, point, type, options
            continue
        root = cgroupfs / fields[1][len(MOUNT_POINT) :].lstrip("/")
        if fields[2] == "cgroup2":
            unified = root
        elif fields[2] == "cgroup":
            v1.update({name: root for name in fields[3].split(",") if name in _CONTROLLERS})
    has_controllers = unified is not None and not v1
    return Hierarchy(unified if has_controllers else None, MappingProxyType(v1))


def find_containers(hierarchy: Hierarchy) -> Iterator[ContainerCgroup]:
    """All containers' cgroups, by walking the primary tree; what lies inside a container is not searched."""
    root = hierarchy.primary
    if root is not None:
        yield from _walk(str(root), "", 0)


def _walk(root: str, path: str, depth: int) -> Iterator[ContainerCgroup]:
    try:
        entries = [entry.name for entry in os.scandir(root + path) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return  # removed while we walk
    for name in entries:
        match = _CONTAINER.fullmatch(name)
        if match:
            yield ContainerCgroup(match.group(1), f"{path}/{name}")
        elif depth < _DEEPEST:
            yield from _walk(root, f"{path}/{name}", depth + 1)
