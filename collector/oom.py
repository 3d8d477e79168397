"""OOM kills kept by container name, so that a container that dies of one doesn't take the count with it.

Two witnesses: the kernel's count in the cgroup (lost with the cgroup, often before it is read) and the daemon's `oom`
events (lost while the daemon hangs). Per container the larger of the two counts; neither alone sees every kill.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

Labels = tuple[str, str]

# Ended containers that are remembered: enough for late events, bounded under churn.
_REMEMBERED = 512
# Names of ended containers whose kills are told: a series each, which names that never come again must not pile up.
_ENDED_AT_MOST = 100


@dataclass(slots=True)
class _Witnesses:
    last_kernel_count: int = 0
    kernel: int = 0
    events: int = 0

    def credited(self) -> int:
        return max(self.kernel, self.events)


class OomKills:
    """Counts by (name, image); safe to feed from the event thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._witnesses: dict[str, _Witnesses] = {}
        self._totals: dict[Labels, int] = {}

    def kernel_count(self, container_id: str, labels: Labels, count: int) -> None:
        """Take `oom_kill` of a cgroup; a count below the last one is that of a new cgroup of the same container."""
        with self._lock:
            witnesses = self._of(container_id)
            before = witnesses.credited()
            fresh = count < witnesses.last_kernel_count
            witnesses.kernel += count if fresh else count - witnesses.last_kernel_count
            witnesses.last_kernel_count = count
            self._credit(labels, witnesses.credited() - before)

    def event(self, container_id: str, labels: Labels) -> None:
        """Take one `oom` event of the daemon."""
        with self._lock:
            witnesses = self._of(container_id)
            before = witnesses.credited()
            witnesses.events += 1
            self._credit(labels, witnesses.credited() - before)

    def totals(self, running: set[Labels]) -> Iterator[tuple[Labels, int]]:
        """Counts of the running containers, zeros included, and of the last ended ones that had a kill."""
        with self._lock:
            ended = [key for key, count in self._totals.items() if count and key not in running][-_ENDED_AT_MOST:]
            kept = running.union(ended)
            self._totals = {key: count for key, count in self._totals.items() if key in kept}
            return iter(list(self._totals.items()))

    def _of(self, container_id: str) -> _Witnesses:
        # Moved to the end at each use: the first in the dictionary is the one unused for longest.
        witnesses = self._witnesses.pop(container_id, None) or _Witnesses()
        self._witnesses[container_id] = witnesses
        if len(self._witnesses) > _REMEMBERED:
            self._witnesses.pop(next(iter(self._witnesses)))
        return witnesses

    def _credit(self, labels: Labels, kills: int) -> None:
        # Moved to the end at each use, as above: those that ended first come first.
        self._totals[labels] = self._totals.pop(labels, 0) + kills
