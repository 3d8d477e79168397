"""Which processes are in a cgroup and beneath it.

Sources: Documentation/admin-guide/cgroup-v2.rst (cgroup.procs) and cgroup-v1/cgroups.rst.
"""

from __future__ import annotations

import os

from collector.cgroup.hierarchy import Hierarchy
from collector.kernelfile import KeptFile, is_number

# A list comes in pieces of a page; one that leaves room for a line more is the only piece.
_SURELY_WHOLE = 4000


class _Members:
    """The open cgroup.procs of one directory, and what it said last."""

    __slots__ = ("data", "kept", "pids", "seen")

    def __init__(self, kept: KeptFile) -> None:
        self.kept = kept
        self.data = b""
        self.pids: tuple[int, ...] = ()
        self.seen = True


class CgroupMembers:
    """Reads cgroup.procs again and again; each stays open while it is asked for."""

    def __init__(self, hierarchy: Hierarchy) -> None:
        self._root = hierarchy.primary
        self._open: dict[str, _Members] = {}

    def pids(self, path: str) -> tuple[int, ...]:
        """Processes in a container's cgroup and the cgroups beneath it; empty once it is gone."""
        if self._root is None:
            return ()
        directory = f"{self._root}{path}"
        pids = self._own(directory)
        try:
            # The link count of a cgroup directory is two plus its children: no need to list a leaf.
            if os.stat(directory).st_nlink <= 2:  # noqa: PLR2004, PTH116
                return pids
        except OSError:
            self._close(directory)
            return ()
        # The kernel may list a process twice (cgroup-v2.rst, cgroup.procs), and one that moves is seen in both.
        return tuple(dict.fromkeys((*pids, *self._beneath(directory))))

    def forget_unread(self) -> None:
        """Close what was not asked for since the last time."""
        for directory, members in list(self._open.items()):
            if members.seen:
                members.seen = False
            else:
                self._close(directory)

    def close(self) -> None:
        """Give all descriptors back."""
        for directory in list(self._open):
            self._close(directory)

    def _beneath(self, directory: str) -> list[int]:
        pids: list[int] = []
        pending = _children(directory)
        while pending:
            child = pending.pop()
            pids.extend(self._own(child))
            pending.extend(_children(child))
        return pids

    def _own(self, directory: str) -> tuple[int, ...]:
        """Processes of this cgroup alone. A removed cgroup answers ENODEV; one of the same path is another one."""
        members = self._open.get(directory)
        for _ in range(2):
            try:
                if members is None:
                    members = self._open[directory] = _Members(KeptFile(f"{directory}/cgroup.procs"))
                data = members.kept.read_at_once()
                if len(data) > _SURELY_WHOLE:
                    data = members.kept.read()
            except OSError:
                if members is None:
                    return ()
                self._close(directory)
                members = None
            else:
                members.seen = True
                if data != members.data:
                    members.data, members.pids = data, _parse(data)
                return members.pids
        return ()

    def _close(self, directory: str) -> None:
        members = self._open.pop(directory, None)
        if members is not None:
            members.kept.close()


def _parse(data: bytes) -> tuple[int, ...]:
    """The pids, one a line; a torn last line is none."""
    lines = data.split(b"\n")
    lines.pop()
    return tuple(dict.fromkeys(int(line) for line in lines if is_number(line)))


def _children(directory: str) -> list[str]:
    try:
        return [entry.path for entry in os.scandir(directory) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []  # removed while we walk
