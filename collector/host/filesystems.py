"""Which file systems count, from /proc/PID/mounts (proc_pid_mounts(5)); their sizes come from `collector.statvfs`."""

from __future__ import annotations

import re
from typing import NamedTuple

from collector.kernelfile import SkippedLines, complete_lines
from collector.mountinfo import mount_text

# node_exporter's defaults (filesystem_linux.go): pseudo file systems, and mounts that belong to containers.
_IGNORED_POINTS = re.compile(
    r"/(?:dev|proc|run/credentials/.+|sys|run/docker/.+|var/lib/(?:docker|containers/storage)/.+)(?:/|$)"
)
_IGNORED_TYPES = frozenset(
    {"autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "erofs"}
    | {"fusectl", "hugetlbfs", "iso9660", "mqueue", "nsfs", "overlay", "proc", "procfs", "pstore", "rpc_pipefs"}
    | {"securityfs", "selinuxfs", "squashfs", "sysfs", "tracefs"}
)
_COLUMNS = 4  # device, mount point, type, options; two more that nobody uses


class Mount(NamedTuple):
    """One mounted file system; `point` is as the kernel knows it, surrogates for bytes that are no UTF-8."""

    device: str
    point: str
    kind: str
    readonly: bool


def parse_mounts(data: bytes, skipped: SkippedLines) -> list[Mount]:
    """The file systems that count. Of several on one mount point the last one hides the others."""
    found: dict[str, Mount] = {}
    for line in complete_lines(data, skipped):
        fields = line.split(b" ")
        if len(fields) < _COLUMNS:
            skipped.add()
            continue
        device, point, kind = map(mount_text, fields[:3])
        if kind not in _IGNORED_TYPES and not _IGNORED_POINTS.match(point):
            found[point] = Mount(device, point, kind, b"ro" in fields[3].split(b","))
    return list(found.values())
