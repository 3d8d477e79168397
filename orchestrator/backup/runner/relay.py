"""Move bytes from one program to the next, by splice(2): they are counted without being copied through this process."""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from typing import IO

from .errors import Code, JobFailedError

CHUNK_BYTES = 1 << 20
ABSORBED_BYTES = 64 << 20  # what the first program writes while commits wait for it, many times over
_GLANCE_MILLISECONDS = 10  # how soon a relay that waits for the next program begins to absorb


class Relay(threading.Thread):
    """Moves bytes until either end closes.

    Once told to absorb, it takes at once what the first program writes, and keeps in memory what the next one isn't
    ready for: however slow the disk or the link at the end is, the first program doesn't wait for it.

    Attributes:
        bytes_moved: bytes taken from the first program so far.
    """

    def __init__(self, source: IO[bytes], sink: IO[bytes], *, absorbed_bytes: int = ABSORBED_BYTES) -> None:
        super().__init__(name="relay")
        self._source, self._sink, self._room = source, sink, absorbed_bytes
        self._absorbing = threading.Event()
        self._error: OSError | None = None
        self.bytes_moved = 0

    def absorb(self) -> None:
        """Absorb from now on."""
        self._absorbing.set()

    def run(self) -> None:
        """Move everything."""
        with self._source, self._sink:
            try:
                ready = select.poll()  # select(2) fails on a descriptor above 1023
                ready.register(self._sink.fileno(), select.POLLOUT)
                while not self._absorbing.is_set():
                    if not ready.poll(_GLANCE_MILLISECONDS):
                        continue
                    moved = os.splice(self._source.fileno(), self._sink.fileno(), CHUNK_BYTES)
                    if not moved:
                        return
                    self.bytes_moved += moved
                self._absorb()
            except BrokenPipeError:
                pass  # the program there is gone; its exit status says why
            except OSError as error:
                self._error = error

    def _absorb(self) -> None:
        source, sink = self._source.fileno(), self._sink.fileno()
        os.set_blocking(sink, False)
        waiting: deque[memoryview] = deque()
        held, ended = 0, False
        while waiting or not ended:
            ready = select.poll()
            if not ended and held < self._room:
                ready.register(source, select.POLLIN)
            if waiting:
                ready.register(sink, select.POLLOUT)
            for descriptor, _ in ready.poll():
                if descriptor == source:
                    data = os.read(source, CHUNK_BYTES)
                    ended = not data
                    waiting.extend([memoryview(data)] if data else [])
                    self.bytes_moved += len(data)
                    held += len(data)
                else:
                    written = os.write(sink, waiting[0])
                    held -= written
                    waiting[0] = waiting[0][written:]
                    if not waiting[0]:
                        waiting.popleft()

    def finish(self) -> None:
        """Wait for the end; raise what ended it early.

        Raises:
            JobFailedError: the bytes could not be moved.
        """
        self.join()
        if self._error is not None:
            raise JobFailedError(Code.TOOL_FAILED, f"moving bytes between programs failed: {self._error.strerror}")
