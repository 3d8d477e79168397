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
        self._nested: dict[str, list[str]] = {}

    def keep(self, path: str) -> None:
        """Leave open what `pids` reads there, though it isn't read now."""
        for directory in (f"{self._root}{path}", *self._nested.get(path, ())):
            if directory in self._open:
                self._open[directory].seen = True

    def pids(self, path: str) -> tuple[int, ...]:
        """Processes in a container's cgroup and the cgroups beneath it; empty once it is gone."""
        if self._root is None:
            return ()
        directory = f"{self._root}{path}"
        pids = self._own(directory)
        self._nested.pop(path, None)
        try:
            # The link count of a cgroup directory is two plus its children: no need to list a leaf.
            if os.stat(directory).st_nlink <= 2:  # noqa: PLR2004, PTH116
                return pids
        except OSError:
            self._close(directory)
            return ()
        nested = self._nested[path] = _beneath(directory)
        # The kernel may list a process twice (cgroup-v2.rst, cgroup.procs), and one that moves is seen in both.
        return tuple(dict.fromkeys((*pids, *(pid for child in nested for pid in self._own(child)))))

    def forget_unread(self) -> None:
        """Close what was not asked for since the last time."""
        for directory, members in list(self._open.items()):
            if members.seen:
                members.seen = False
            else:
                self._close(directory)
        self._nested = {path: some for path, some in self._nested.items() if f"{self._root}{path}" in self._open}

    def close(self) -> None:
        """Give all descriptors back."""
        for directory in list(self._open):
            self._close(directory)

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


def _beneath(directory: str) -> list[str]:
    """All cgroups beneath this one, however deep."""
    found = _children(directory)
    for child in found:  # which grows
        found.extend(_children(child))
    return found


def _children(directory: str) -> list[str]:
    try:
        return [entry.path for entry in os.scandir(directory) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []  # removed while we walk
