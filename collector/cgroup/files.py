"""The kept-open files of one cgroup."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from collector.kernelfile import KeptFile, SkippedLines

Parsed = TypeVar("Parsed")


class CgroupFiles:
    """Opens each file once and re-reads it. A file that isn't there is remembered as absent.

    A cgroup that was removed answers ENODEV; the files are then closed, and a new cgroup of the same path (a container
    started again) is opened at the next reading.
    """

    def __init__(self, skipped: SkippedLines) -> None:
        self.skipped = skipped
        self._files: dict[str, KeptFile | None] = {}

    def read(self, path: str, parse: Callable[[bytes, SkippedLines], Parsed]) -> Parsed | None:
        """The parsed content; None where the file does not exist or is gone."""
        if path not in self._files:
            self._files[path] = _open(path)
        kept = self._files[path]
        if kept is None:
            return None
        try:
            data = kept.read()
        except OSError:
            self.close()
            return None
        return parse(data, self.skipped)

    def close(self) -> None:
        """Give all descriptors back."""
        for kept in self._files.values():
            if kept is not None:
                kept.close()
        self._files.clear()


def _open(path: str) -> KeptFile | None:
    try:
        return KeptFile(path)
    except OSError:
        return None
