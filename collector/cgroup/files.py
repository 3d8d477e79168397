"""The kept-open files of one cgroup."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from collector.kernelfile import KeptFile, SkippedLines

Parsed = TypeVar("Parsed")


class _OpenFile:
    """A kept file, what it said last, and what that meant."""

    __slots__ = ("data", "kept", "parsed")

    def __init__(self, kept: KeptFile) -> None:
        self.kept = kept
        self.data: bytes | None = None
        self.parsed: Any = None


class CgroupFiles:
    """Opens each file once and re-reads it; parses it only where it has changed. What isn't there stays absent.

    Most files of a container say the same for minutes (limits, fail counts, devices that rest), and parsing costs more
    than reading. What a parser returns is therefore shared between readings and must not be changed.

    A cgroup that was removed answers ENODEV; the files are then closed, and a new cgroup of the same path (a container
    started again) is opened at the next reading.
    """

    def __init__(self, skipped: SkippedLines) -> None:
        self.skipped = skipped
        self._files: dict[str, _OpenFile | None] = {}

    def read(self, path: str, parse: Callable[[bytes, SkippedLines], Parsed]) -> Parsed | None:
        """The parsed content; None where the file does not exist or is gone. A path goes with one parser."""
        try:
            file = self._files[path]
        except KeyError:
            file = self._files[path] = _open(path)
        if file is None:
            return None
        try:
            data = file.kept.read()
        except OSError:
            self.close()
            return None
        if data != file.data:
            file.data, file.parsed = data, parse(data, self.skipped)
        parsed: Parsed | None = file.parsed
        return parsed

    def close(self) -> None:
        """Give all descriptors back."""
        for file in self._files.values():
            if file is not None:
                file.kept.close()
        self._files.clear()


def _open(path: str) -> _OpenFile | None:
    try:
        return _OpenFile(KeptFile(path))
    except OSError:
        return None
