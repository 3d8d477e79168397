"""What lies in a folder, by du(1): dear, so only where it is asked for, rarely, at idle priority, within a budget."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from collector.background import Background
from collector.clock import Clock
from collector.command import CommandError, run_command

log = logging.getLogger(__name__)

# Blocks that are taken, not lengths of files; -x stays on the filesystem of each folder.
_DU = ("nice", "-n", "19", "ionice", "-c", "3", "du", "--summarize", "--one-file-system", "--block-size=1", "--")
_MAX_OUTPUT = 64 * 1024

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """Bytes on disk, and when they were counted (Unix seconds)."""

    size: int
    at: float


class DiskUsage:
    """Measures folders one after the other in the background; those that were measured longest ago come first.

    Args:
        patterns: what may be measured, matched against `container:destination` (fnmatch).
        every: seconds from the start of a round to the start of the next.
        budget: seconds that a round may take; what is not done by then comes first in the next.
    """

    def __init__(self, patterns: Sequence[str], every: float, budget: float, clock: Clock = time.time) -> None:
        self._patterns = tuple(patterns)
        self._budget = budget
        self._clock = clock
        self._folders: Mapping[Key, Sequence[str]] = {}
        self._measured: dict[Key, Measured] = {}
        self._lock = threading.Lock()
        self._rounds = Background("du", every, self._round, clock)
        self.failures = 0

    def wanted(self, container: str, destination: str) -> bool:
        """Whether the settings ask for this one."""
        return any(fnmatchcase(f"{container}:{destination}", pattern) for pattern in self._patterns)

    def measure(self, folders: Mapping[Key, Sequence[str]]) -> Mapping[Key, Measured]:
        """The last figures of these, each the sum over its folders; starts a round if one is due."""
        with self._lock:
            self._folders = dict(folders)
            self._measured = {key: value for key, value in self._measured.items() if key in folders}
            measured = dict(self._measured)
        if folders:
            self._rounds.start_if_due()
        return measured

    def _round(self) -> None:
        end = time.monotonic() + self._budget
        with self._lock:
            before = {key: self._measured[key].at if key in self._measured else 0.0 for key in self._folders}
            folders = sorted(self._folders.items(), key=lambda item: before[item[0]])
        for key, paths in folders:
            remaining = end - time.monotonic()
            if remaining <= 0:
                self.failures += 1
                log.warning("du did not get to all folders in %g s", self._budget)
                return
            size = self._size(paths, remaining)
            if size is not None:
                with self._lock:
                    self._measured[key] = Measured(size, self._clock())

    def _size(self, paths: Sequence[str], timeout: float) -> int | None:
        """Bytes of all paths; None if du failed. Files that vanish while it walks are no failure, though it says so."""
        try:
            result = run_command([*_DU, *paths], timeout=timeout, max_output=_MAX_OUTPUT)
        except CommandError as error:
            message = str(error)
        else:
            sizes = [line.partition(b"\t")[0] for line in result.output.splitlines()]
            if len(sizes) == len(paths) and all(size.isdigit() for size in sizes):
                return sum(map(int, sizes))
            message = result.message
        self.failures += 1
        log.warning("du of %s failed: %s", ", ".join(paths), message)
        return None
