"""The files of one spool: frames appended to segments, and the position up to which they are delivered.

    <folder>/00000000000000012345.seg    named by the number of its first record; see `collector.outputs.frame`
    <folder>/position                    number of the first record not delivered (8 bytes) and its CRC-32 (4 bytes)

Segments are appended to and never changed; one is removed when none of its frames is needed. The position is
overwritten in place, so that a full disk takes it, and locked, so that no two agents use the folder.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from collector.errors import VdbmonError
from collector.outputs.frame import HEADER_SIZE, MAGIC, DamagedFrameError, Header, unpack_header, unpack_records
from collector.quantities import Bytes

_SUFFIX = ".seg"
_NUMBER_SIZE = 8
_POSITION = struct.Struct("<QI")


@dataclass(slots=True, eq=False)
class Segment:
    """One file. `frames`: how many in it are needed; `descriptor`: open while it is written to or not yet synced."""

    path: Path
    size: Bytes = 0
    frames: int = 0
    descriptor: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a frame is."""

    segment: Segment
    offset: int


@dataclass(frozen=True, slots=True)
class Found:
    """A frame of an earlier agent; `place` is None if only its header is whole."""

    header: Header
    place: Place | None


class Segments:
    """The files of one folder; its caller sees to it that one thread at a time calls.

    Attributes:
        size: bytes of all segments.
        position: number of the first record not delivered, as an earlier agent left it; None if it isn't known.

    Raises:
        OSError: the folder can't be made or used.
        VdbmonError: code `output.spool_held`, another agent uses the folder.
    """

    def __init__(self, folder: Path, segment_size: Bytes) -> None:
        self._folder = folder
        self._segment_size = segment_size
        self._active: Segment | None = None
        self._unsynced: list[Segment] = []
        self._folder_changed = False
        self.size: Bytes = 0
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._descriptor = os.open(folder / "position", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _lock(self._descriptor, folder)
            self.position = _read_position(self._descriptor)
        except BaseException:
            os.close(self._descriptor)
            raise

    def left_behind(self) -> list[tuple[int, Path]]:
        """The segments of an earlier agent, each with the number of its first record, the oldest first."""
        paths = self._folder.glob(f"*{_SUFFIX}")
        return sorted((int(path.stem), path) for path in paths if path.stem.isdecimal())

    def recover(self, path: Path, first: int) -> Iterator[Found]:
        """Take over a segment: its frames with records from number `first` on.

        A torn tail is cut off; a segment without such frames is removed.

        Raises:
            OSError: it can't be read.
        """
        segment = Segment(path)
        data = path.read_bytes()
        segment.size = len(data)
        self.size += segment.size
        whole = 0
        for offset, header in _scan(data):
            end = offset + HEADER_SIZE + header.size
            if end > len(data):
                yield Found(header, None)
                break
            whole = end
            if header.end > first:
                segment.frames += 1
                yield Found(header, Place(segment, offset))
        if not segment.frames:
            self._remove(segment)
        elif whole < len(data):
            self._cut(segment, whole)

    def append(self, header: Header, data: bytes) -> Place:
        """Add a frame.

        Raises:
            OSError: the disk takes nothing; nothing of the frame is left in the segment.
        """
        segment = self._active
        if segment is None or segment.descriptor is None or segment.size + len(data) > self._segment_size:
            segment = self._roll(header.number)
        try:
            _write_all(segment.descriptor, data)
        except OSError:
            if not self._cut(segment, segment.size):
                self._active = None  # the next frame goes to a new segment; the next start skips what is torn
            raise
        place = Place(segment, segment.size)
        segment.size += len(data)
        segment.frames += 1
        self.size += len(data)
        if segment not in self._unsynced:
            self._unsynced.append(segment)
        return place

    def read(self, header: Header, place: Place) -> list[bytes]:
        """The records of a frame.

        Raises:
            OSError: it can't be read.
            DamagedFrameError: what stands there is not what was written.
        """
        with place.segment.path.open("rb", buffering=0) as file:
            payload = os.pread(file.fileno(), header.size, place.offset + HEADER_SIZE)
        return unpack_records(header, payload)

    def release(self, place: Place) -> None:
        """A frame is not needed any more; its segment goes with the last one."""
        segment = place.segment
        segment.frames -= 1
        if not segment.frames:
            if segment is self._active:
                self._active = None
            self._remove(segment)

    def write_position(self, number: int) -> None:
        """Note up to where records are delivered. If the disk refuses, some are delivered again after a restart."""
        data = _POSITION.pack(number, crc32(number.to_bytes(_NUMBER_SIZE, "little")))
        with contextlib.suppress(OSError):
            os.pwrite(self._descriptor, data, 0)

    def unsynced(self) -> list[int]:
        """Descriptors to be synced and closed by the caller, who need not keep others waiting meanwhile.

        Those for which there is no descriptor more to be had come at the next time.
        """
        copies: list[int] = []
        with contextlib.suppress(OSError):
            while self._unsynced:
                segment = self._unsynced[-1]
                if segment.descriptor is not None:
                    copies.append(os.dup(segment.descriptor))
                if segment is not self._active:
                    _close(segment)
                self._unsynced.pop()
            if copies and self._folder_changed:
                copies.append(os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
                self._folder_changed = False
        return copies

    def close(self) -> None:
        """Give the folder free."""
        for segment in (*self._unsynced, self._active):
            if segment is not None:
                _close(segment)
        os.close(self._descriptor)

    def _roll(self, number: int) -> Segment:
        """Begin a new segment; the old one stays open until it is synced."""
        path = self._folder / f"{number:020d}{_SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        self._folder_changed = True
        old, self._active = self._active, Segment(path, descriptor=descriptor)
        if old is not None and not old.frames:
            self._remove(old)
        elif old is not None and old not in self._unsynced:
            _close(old)
        return self._active

    def _cut(self, segment: Segment, size: Bytes) -> bool:
        try:
            os.truncate(segment.path, size)
        except OSError:
            return False
        self.size -= segment.size - size
        segment.size = size
        return True

    def _remove(self, segment: Segment) -> None:
        if segment in self._unsynced:
            self._unsynced.remove(segment)
        _close(segment)
        with contextlib.suppress(OSError):
            segment.path.unlink()
        self.size -= segment.size


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise VdbmonError(
            "output.spool_held",
            f"another agent uses the spool {folder}",
            "stop that one, or set another [agent] buffer_directory",
        ) from error


def _read_position(descriptor: int) -> int | None:
    data = os.pread(descriptor, _POSITION.size, 0)
    if len(data) < _POSITION.size:
        return None
    number, crc = _POSITION.unpack(data)
    return int(number) if crc32(data[:_NUMBER_SIZE]) == crc else None


def _scan(data: bytes) -> Iterator[tuple[int, Header]]:
    """Offset and header of every frame, also of those behind damaged bytes."""
    offset = data.find(MAGIC)
    while offset >= 0:
        try:
            header = unpack_header(data[offset : offset + HEADER_SIZE])
        except DamagedFrameError:
            offset = data.find(MAGIC, offset + 1)
            continue
        yield offset, header
        offset = data.find(MAGIC, offset + HEADER_SIZE + header.size)


def _write_all(descriptor: int | None, data: bytes) -> None:
    """Write; a disk that has room for a part only says why at the second call."""
    left = memoryview(data)
    while left:
        written = os.write(descriptor, left) if descriptor is not None else 0
        if not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left = left[written:]


def _close(segment: Segment) -> None:
    if segment.descriptor is not None:
        os.close(segment.descriptor)
        segment.descriptor = None
