"""The kept-open files of one cgroup, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from collector.kernelfile import KeptFile, SkippedLines

Parse = Callable[[bytes, SkippedLines], Any]
Values = Mapping[str, Any]  # what the files say, by name; None where a file isn't there

Made = TypeVar("Made")


class _File:
    """A file that is opened once and read again and again."""

    __slots__ = ("_parse", "_path", "data", "kept", "value")

    def __init__(self, path: str, parse: Parse) -> None:
        self._path = path
        self._parse = parse
        self.kept: KeptFile | None = None
        self.data: bytes | None = None
        self.value: Any = None

    def read(self) -> bytes | None:
        """What it says now; None where it isn't there."""
        try:
            if self.kept is None:
                self.kept = KeptFile(self._path)
            return self.kept.read_at_once()
        except OSError:
            self.close()
            return None

    def take(self, data: bytes | None, skipped: SkippedLines) -> None:
        """Parse what it says now."""
        self.data = data
        self.value = None if data is None else self._parse(data, skipped)

    def close(self) -> None:
        """Give the descriptor back."""
        if self.kept is not None:
            self.kept.close()
            self.kept = None


class Part(Generic[Made]):
    """One part of a reading: made of some files, and made anew only when one of them has changed.

    Most files of a container say the same for minutes (limits, fail counts, devices that rest), and what is made of
    them costs more than reading. So what `read` returns is shared between readings: the very same object says that
    nothing has changed, and it must not be changed.

    A cgroup that was removed answers ENODEV; its files are closed then, and those of a new cgroup of the same path (a
    container started again) are opened at the next reading. The files of a controller answer the same when the parent
    switches it off, and appear when it switches it on, which systemd does for a whole slice as soon as one unit asks.

    Args:
        files: path and parser by name.
        make: the part out of what the files say.
    """

    def __init__(
        self, files: Mapping[str, tuple[str, Parse]], make: Callable[[Values], Made], skipped: SkippedLines
    ) -> None:
        self._files = {name: _File(path, parse) for name, (path, parse) in files.items()}
        self._skipped = skipped
        self._make = make
        self._made = make(dict.fromkeys(files))

    def read(self) -> Made:
        """The part as it is now."""
        changed = False
        for file in self._files.values():
            data = file.read()
            if data != file.data:
                file.take(data, self._skipped)
                changed = True
        if changed:
            self._made = self._make({name: file.value for name, file in self._files.items()})
        return self._made

    def close(self) -> None:
        """Give all descriptors back."""
        for file in self._files.values():
            file.close()
