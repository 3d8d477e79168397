"""Write a stream with direct I/O.

On cgroup v1 blkio limits hold for direct I/O only: buffered writes leave the container by the page cache, and the
kernel's flusher writes them under no limit at all. See open(2), O_DIRECT: address, length and offset are aligned.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import mmap
import os
from pathlib import Path
from types import TracebackType
from typing import Self

BLOCK_BYTES = 1 << 20
ALIGNMENT = 4096  # the largest logical sector of today's disks


class DirectIOUnsupportedError(OSError):
    """The filesystem refuses O_DIRECT."""


class DirectWriter:
    """A new file, written in whole aligned blocks past the page cache; hashes what it writes.

    The tail that fills no aligned block is written at the end through the page cache, and the file is synced.

    Attributes:
        bytes_written: bytes taken so far, those still in the buffer included.
    """

    def __init__(self, path: Path) -> None:
        """Create the file.

        Raises:
            DirectIOUnsupportedError: never a silent fall back to buffered writes.
            OSError: it exists, or can't be made.
        """
        self._path = path
        self._descriptor = _open_direct(path)
        self._buffer = mmap.mmap(-1, BLOCK_BYTES)  # anonymous memory starts on a page, as O_DIRECT wants it
        self._filled = 0
        self._hash = hashlib.sha256()
        self.bytes_written = 0

    def write(self, data: bytes) -> None:
        """Take more of the stream.

        Raises:
            OSError: the disk is full, or fails.
        """
        view = memoryview(data)
        while view:
            part = view[: BLOCK_BYTES - self._filled]
            self._buffer[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            self.bytes_written += len(part)
            view = view[len(part) :]
            if self._filled == BLOCK_BYTES:
                self._flush(0, BLOCK_BYTES)
                self._filled = 0

    def finish(self) -> str:
        """Write the tail, sync the file; return the SHA-256 of all of it, in hexadecimal.

        Raises:
            OSError: the disk is full, or fails.
        """
        aligned = self._filled - self._filled % ALIGNMENT
        self._flush(0, aligned)
        flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
        fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags & ~os.O_DIRECT)
        self._flush(aligned, self._filled)
        self._filled = 0
        os.fsync(self._descriptor)
        return self._hash.hexdigest()

    def _flush(self, start: int, end: int) -> None:
        with memoryview(self._buffer) as view:
            self._hash.update(view[start:end])
            while start < end:
                start += os.write(self._descriptor, view[start:end])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)
        self._buffer.close()


def _open_direct(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_DIRECT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        path.unlink(missing_ok=True)
        raise DirectIOUnsupportedError(
            errno.EINVAL, "the filesystem refuses direct I/O, without which disk limits don't hold", str(path.parent)
        ) from error
