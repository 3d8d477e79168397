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
    """Opens each file once and re-reads it; parses it only where it has changed. What isn't there is looked for again.

    Most files of a container say the same for minutes (limits, fail counts, devices that rest), and parsing costs more
    than reading. What a parser returns is therefore shared between readings and must not be changed.

    A cgroup that was removed answers ENODEV; the files are then closed, and a new cgroup of the same path (a container
    started again) is opened at the next reading. The files of a controller answer the same when the parent switches it
    off, and appear when it switches it on, which systemd does for a whole slice as soon as one unit of it asks.
    """

    def __init__(self, skipped: SkippedLines) -> None:
        self.skipped = skipped
        self._files: dict[str, _OpenFile] = {}

    def read(self, path: str, parse: Callable[[bytes, SkippedLines], Parsed]) -> Parsed | None:
        """The parsed content; None where the file does not exist or is gone. A path goes with one parser."""
        file = self._files.get(path) or self._open(path)
        if file is None:
            return None
        try:
            data = file.kept.read_at_once()
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
            file.kept.close()
        self._files.clear()

    def _open(self, path: str) -> _OpenFile | None:
        try:
            file = self._files[path] = _OpenFile(KeptFile(path))
        except OSError:
            return None
        return file
