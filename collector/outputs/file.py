"""Appends line protocol to files or the standard output, for people and for other programs to read.

Files are opened for every batch, so that logrotate may move them away.

Guarantee of the sink: at least once. If one of several files can't be written, the batch goes to all of them again.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from collector.outputs.settings import FileSettings
from collector.outputs.sink import OutputError
from collector.projections.line_protocol import LineEncoder
from collector.projections.point import Point

STDOUT = "stdout"
_MODE = 0o640


class FileOutput:
    """Some files."""

    def __init__(self, settings: FileSettings) -> None:
        self._lines = LineEncoder()
        self._files = settings.files

    @property
    def name(self) -> str:
        """Kind and paths."""
        return f"file:{','.join(self._files)}"

    def encode(self, points: Iterable[Point]) -> Iterator[bytes]:
        """One line per point."""
        return self._lines.encode(points)

    def write(self, batch: Sequence[bytes]) -> None:
        """Append the lines to every file.

        Raises:
            OutputError: a file can't be written; to be tried again.
        """
        data = b"".join(line + b"\n" for line in batch)
        for file in self._files:
            try:
                _append(file, data)
            except OSError as error:
                raise OutputError(f"{file}: {error.strerror}", "check path, owner and room", retryable=True) from error

    def close(self) -> None:
        """Nothing stays open."""


def _append(file: str, data: bytes) -> None:
    if file == STDOUT:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    descriptor = os.open(Path(file), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _MODE)
    try:
        _write_whole(descriptor, data)
    finally:
        os.close(descriptor)


def _write_whole(descriptor: int, data: bytes) -> None:
    """Write all, or nothing to a regular file: half a line on a full disk would spoil the one that comes behind it."""
    before = os.fstat(descriptor)
    left = memoryview(data)
    try:
        while left:
            left = left[os.write(descriptor, left) :]
    except OSError:
        if stat.S_ISREG(before.st_mode):
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, before.st_size)
        raise
