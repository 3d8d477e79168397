"""Whether any process of a container has run: its cgroup's CPU time, which counts all cgroups beneath it as well.

A process can't be born, end, read, write or open a file without running, and the kernel counts that in nanoseconds. So
where the CPU time stands still what was read of the processes still holds, and need not be read again; only pages that
the kernel takes from an idle process go unseen, up to `LOOK_AGAIN` seconds.

Sources: Documentation/admin-guide/cgroup-v1/cpuacct.rst (cpuacct.usage), cgroup-v2.rst (cpu.stat).
"""

from __future__ import annotations

import time
from zlib import crc32

from collector.cgroup.hierarchy import Hierarchy
from collector.clock import Clock
from collector.kernelfile import KeptFile

LOOK_AGAIN = 30.0  # seconds, after which a pulse differs in any case

Pulse = tuple[bytes, int]


class Pulses:
    """Reads the CPU time of containers again and again; each file stays open while it is asked for."""

    def __init__(self, hierarchy: Hierarchy, monotonic: Clock = time.monotonic) -> None:
        self._monotonic = monotonic
        self._open: dict[str, KeptFile] = {}
        self._unread: dict[str, KeptFile] = {}
        self._root, self._name = hierarchy.v1.get("cpuacct"), "cpuacct.usage"
        if hierarchy.v2 is not None:
            self._root, self._name = hierarchy.v2, "cpu.stat"

    def pulse(self, path: str) -> Pulse | None:
        """Equal ones of a container at two times: none of its processes ran in between. None where nobody counts."""
        if self._root is None:
            return None
        kept = self._unread.pop(path, None) or self._open.pop(path, None)
        for _ in range(2):  # a removed cgroup answers ENODEV; one of the same path is another one
            try:
                if kept is None:
                    kept = KeptFile(f"{self._root}{path}/{self._name}")
                data = kept.read_at_once()
            except OSError:
                if kept is None:
                    return None
                kept.close()
                kept = None
            else:
                self._open[path] = kept
                # Not all containers at the same time.
                return (data, int((self._monotonic() + crc32(path.encode()) % LOOK_AGAIN) / LOOK_AGAIN))
        return None

    def forget_unread(self) -> None:
        """Close what was not asked for since the last time."""
        for kept in self._unread.values():
            kept.close()
        self._unread, self._open = self._open, {}

    def close(self) -> None:
        """Give all descriptors back."""
        self.forget_unread()
        self.forget_unread()
