"""Which file systems count, from /proc/PID/mounts (proc_pid_mounts(5)); their sizes come from `collector.statvfs`."""

from __future__ import annotations

import re
from typing import NamedTuple

from collector.kernelfile import SkippedLines, complete_lines

# node_exporter's defaults (filesystem_linux.go): pseudo file systems, and mounts that belong to containers.
_IGNORED_POINTS = re.compile(
    r"/(?:dev|proc|run/credentials/.+|sys|run/docker/.+|var/lib/(?:docker|containers/storage)/.+)(?:/|$)"
)
_IGNORED_TYPES = frozenset(
    {"autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "erofs"}
    | {"fusectl", "hugetlbfs", "iso9660", "mqueue", "nsfs", "overlay", "proc", "procfs", "pstore", "rpc_pipefs"}
    | {"securityfs", "selinuxfs", "squashfs", "sysfs", "tracefs"}
)
_OCTAL = re.compile(rb"\\([0-7]{3})")
_COLUMNS = 4  # device, mount point, type, options; two more that nobody uses


class Mount(NamedTuple):
    """One mounted file system; `point` is as the kernel knows it, surrogates for bytes that are no UTF-8."""

    device: str
    point: str
    kind: str
    readonly: bool

    @property
    def labels(self) -> tuple[str, str, str]:
        """Device, mount point and type as text that every output can encode."""
        device, point, kind = (text.encode(errors="replace").decode() for text in self[:3])
        return device, point, kind


def parse_mounts(data: bytes, skipped: SkippedLines) -> list[Mount]:
    """The file systems that count. Of several on one mount point the last one hides the others."""
    found: dict[str, Mount] = {}
    for line in complete_lines(data, skipped):
        fields = line.split(b" ")
        if len(fields) < _COLUMNS:
            skipped.add()
            continue
        device, point, kind = (_decode(field) for field in fields[:3])
        if kind not in _IGNORED_TYPES and not _IGNORED_POINTS.match(point):
            found[point] = Mount(device, point, kind, b"ro" in fields[3].split(b","))
    return list(found.values())


def _decode(field: bytes) -> str:
    """Blanks, tabs, newlines and backslashes are written as octal bytes."""
    plain = _OCTAL.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), field) if b"\\" in field else field
    return plain.decode(errors="surrogateescape")
