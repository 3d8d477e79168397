"""What waits for one output: on disk, bounded, in order, safe from the death of the agent.

- `put` hands records to the kernel: from then on they survive the agent's `kill -9`. `sync` makes them survive a loss
  of power; the delivery calls it when a flush leaves records behind. In good times nothing is synced, and little ever
  written: a segment is gone before the kernel writes it back.
- `done` notes the position, then removes what isn't needed. It isn't synced: after a loss of power records may be
  delivered twice, never skipped.
- A torn tail is cut off at the start. Damaged frames are skipped and counted; they never keep the agent from starting.
- Beyond the limits the oldest records go first, counted.
- While the disk takes nothing (full, read-only) new records wait in memory, MEMORY_LIMIT at the most, and are delivered
  from there: monitoring must not end just when a disk is full.

persist-queue 1.1.0 was tried first: no bound in bytes, the oldest can't be dropped, a torn `info` file ends the start
with an exception, and its queue with acknowledgements takes 16 ms of CPU for 2,500 points, this one 1 ms.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from collector.clock import Clock
from collector.outputs.frame import HEADER_SIZE, DamagedFrameError, Header, pack, unpack_records
from collector.outputs.segments import Place, Segments
from collector.quantities import Bytes

logger = logging.getLogger(__name__)

MEMORY_LIMIT = 16 * 2**20  # bytes
_SEGMENTS = 16  # so many make a full spool: the disk gets a sixteenth back when the oldest are dropped
_LARGEST_SEGMENT = 8 * 2**20
_PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})  # errors of the process, not of the disk


class Cause(StrEnum):
    """Why records were dropped."""

    OVERFLOW = "overflow"
    DISK = "disk"
    CORRUPT = "corrupt"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, eq=False)
class _Frame:
    """Records that were put at once: in a segment, or, if there is no place, in memory."""

    header: Header
    place: Place | None
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Batch:
    """The oldest records; `number` is that of the first."""

    number: int
    records: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class SpoolStats:
    """What waits. `oldest`: Unix time at which the oldest was put; `dropped`: records since the start, by cause."""

    records: int
    size: Bytes
    oldest: float | None
    dropped: Mapping[Cause, int]


class Spool:
    """One output's records. Any thread may put; one other takes them, and says when they are done.

    Args:
        folder: made if it isn't there; of one agent alone.
        limit: bytes on disk at the most.
        record_limit: records that wait at the most; None for no bound but that of the bytes.

    Raises:
        VdbmonError: code `output.spool_held`, another agent uses the folder.
    """

    def __init__(
        self, folder: Path, *, limit: Bytes, record_limit: int | None = None, clock: Clock = time.time
    ) -> None:
        self._folder = folder
        self._limit = limit
        self._record_limit = record_limit
        self._clock = clock
        self._lock = threading.Lock()
        self._frames: deque[_Frame] = deque()
        self._records = self._waiting_bytes = self._memory_bytes = 0
        self._dropped: Counter[Cause] = Counter(dict.fromkeys(Cause, 0))
        self._disk_fails = self._closed = False
        self._first = self._next = 0  # numbers: of the first record that isn't done, of the next one to be put
        self._segments: Segments | None = None
        try:
            self._segments = Segments(folder, min(max(limit // _SEGMENTS, 1), _LARGEST_SEGMENT))
        except OSError as error:
            self._say_disk_fails(error)
        else:
            self._recover(self._segments)

    def put(self, records: Sequence[bytes]) -> None:
        """Append records. Never waits for the far end, nor for the disk to be safe."""
        with self._lock:
            if self._closed or not records:
                return
            header, data = pack(self._next, self._clock(), records)
            self._next = header.end
            self._add(self._store(header, data))
            while self._memory_bytes > MEMORY_LIMIT:
                self._drop(next(frame for frame in self._frames if frame.place is None), Cause.DISK)
            while self._frames and self._is_full():
                self._drop(self._frames[0], Cause.OVERFLOW)

    def take(self, limit: int) -> Batch | None:
        """The oldest records, at most `limit`, which stay until they are `done`; None if nothing waits."""
        with self._lock:
            taken: list[bytes] = []
            number = self._first
            for frame in () if self._closed else tuple(self._frames):
                room = limit - len(taken)
                # Records are counted off from the first, so a batch ends where some were dropped.
                if taken and (frame.header.number != number + len(taken) or frame.header.count > room):
                    break
                records = self._read(frame)
                if records is None:
                    break
                if not taken:
                    number = max(self._first, frame.header.number)
                    records = records[number - frame.header.number :]
                taken += records[:room]
            return Batch(number, tuple(taken)) if taken else None

    def done(self, number: int, cause: Cause | None = None) -> int:
        """Forget the records before this number, as dropped if there is a cause. How many of them were still here."""
        with self._lock:
            if self._closed:
                return 0
            before = self._records
            if self._segments is not None:
                self._segments.write_position(max(self._first, number))
            while self._frames and self._frames[0].header.end <= number:
                self._forget(self._frames[0])
            if self._frames and self._frames[0].header.number < number:
                self._records -= number - max(self._first, self._frames[0].header.number)
            self._first = max(self._first, number)
            if cause is not None:
                self._dropped[cause] += before - self._records
            return before - self._records

    def sync(self) -> None:
        """Make what waits survive a loss of power. Putting goes on meanwhile."""
        with self._lock:
            descriptors = self._segments.unsynced() if self._segments is not None else []
        for descriptor in descriptors:
            with contextlib.suppress(OSError):
                os.fsync(descriptor)
            os.close(descriptor)

    def stats(self) -> SpoolStats:
        """What waits now."""
        with self._lock:
            oldest = self._frames[0].header.time if self._frames else None
            return SpoolStats(self._records, self._waiting_bytes, oldest, dict(self._dropped))

    def close(self) -> None:
        """Give the folder free. What waits stays there, but for what the disk didn't take."""
        self.sync()
        with self._lock:
            for frame in [frame for frame in self._frames if frame.place is None]:
                self._drop(frame, Cause.DISK)
            self._closed = True
            if self._segments is not None:
                self._segments.close()

    def _recover(self, segments: Segments) -> None:
        """Take over what an earlier agent left, and count what is missing in it."""
        left = segments.left_behind()
        self._first = segments.position if segments.position is not None else left[0][0] if left else 0
        # Records before the first segment were delivered or dropped: the position isn't synced, it may be behind.
        self._next = max(self._first, left[0][0]) if left else self._first
        lost = 0
        for number, path in left:
            lost += self._skip_to(number)
            try:
                for found in segments.recover(path, self._first):
                    lost += self._skip_to(found.header.number)
                    if found.place is None:
                        lost += found.header.count
                    else:
                        self._add(_Frame(found.header, found.place))
                        self._next = max(self._next, found.header.end)
            except OSError as error:
                logger.warning("spool: %s can't be read: %s", path, error.strerror)
        if lost:
            logger.warning("spool %s: %d points are damaged and lost", self._folder, lost)
            self._dropped[Cause.CORRUPT] += lost
        if self._frames:
            self._records -= max(self._first - self._frames[0].header.number, 0)
            logger.info("spool %s: %d points wait from before", self._folder, self._records)

    def _skip_to(self, number: int) -> int:
        """Go on with this number; how many records are missing before it."""
        missing = max(number - self._next, 0)
        self._next += missing
        return missing

    def _store(self, header: Header, data: bytes) -> _Frame:
        """On disk, or in memory if the disk refuses."""
        if self._segments is not None:
            try:
                place = self._segments.append(header, data)
            except OSError as error:
                self._say_disk_fails(error)
            else:
                self._disk_fails = False
                return _Frame(header, place)
        return _Frame(header, None, data[HEADER_SIZE:])

    def _read(self, frame: _Frame) -> list[bytes] | None:
        """Its records; none, and the frame is dropped, if they can't be read; None if they can't be read just now."""
        try:
            if frame.place is None:
                return unpack_records(frame.header, frame.payload)
            assert self._segments is not None  # noqa: S101 - that gave the place
            return self._segments.read(frame.header, frame.place)
        except (OSError, DamagedFrameError) as error:
            if isinstance(error, OSError) and error.errno in _PASSING:
                return None
            logger.warning("spool %s: %d points can't be read: %r", self._folder, frame.header.count, error)
            self._drop(frame, Cause.CORRUPT)
            return []

    def _add(self, frame: _Frame) -> None:
        self._frames.append(frame)
        self._records += frame.header.count
        self._waiting_bytes += frame.header.size
        if frame.place is None:
            self._memory_bytes += frame.header.size

    def _forget(self, frame: _Frame) -> None:
        self._frames.remove(frame)
        self._records -= frame.header.end - max(self._first, frame.header.number)
        self._waiting_bytes -= frame.header.size
        if frame.place is None:
            self._memory_bytes -= frame.header.size
        elif self._segments is not None:
            self._segments.release(frame.place)

    def _drop(self, frame: _Frame, cause: Cause) -> None:
        before = self._records
        self._forget(frame)
        self._dropped[cause] += before - self._records

    def _is_full(self) -> bool:
        on_disk = 0 if self._segments is None else self._segments.size
        return on_disk > self._limit or (self._record_limit is not None and self._records > self._record_limit)

    def _say_disk_fails(self, error: OSError) -> None:
        if not self._disk_fails:
            logger.warning(
                "spool %s: %s: points wait in memory, the oldest beyond %d MiB are dropped",
                self._folder,
                error.strerror,
                MEMORY_LIMIT // 2**20,
            )
        self._disk_fails = True
