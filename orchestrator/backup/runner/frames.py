"""The wire between the source's half of a backup and the container: one request line, then frames until the end.

A frame is one byte of kind, four bytes of length (big-endian) and the content. A stream counts as whole only if the
frame `E` came; a connection that merely ends has failed.
"""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from .decoding import decode
from .errors import Code, JobFailedError
from .jobs import BackupRequest, TableDetail
from .mariadb_backup import Hearer, Produced

VERSION = 2
MAX_REQUEST = 1 << 16
_HEADER = struct.Struct(">cI")
_MAX_FRAME = 1 << 28

DATA = b"D"  # bytes of the stored stream
PROGRESS = b"P"  # JSON: [bytes so far, bytes expected or null]; at least once a second, so silence is a failure
SAY = b"S"  # a line of text for people
COPIED = b"C"  # empty: the stream is whole, the tables' sums are still to come
END = b"E"  # JSON of `Produced`
FAILED = b"F"  # JSON: {"code", "what", "remedy"}

T = TypeVar("T")
Write = Callable[[bytes], object]
ReadExactly = Callable[[int], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    code: Code
    what: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _RequestLine:
    version: int
    from_lsn: int | None
    recipients: tuple[str, ...]
    throttle: int | None
    table_detail: TableDetail


def request_line(request: BackupRequest) -> bytes:
    """What the container sends."""
    return json.dumps({"version": VERSION, **asdict(request)}).encode() + b"\n"


def parse_request(line: bytes) -> BackupRequest:
    """What the source makes of it.

    Raises:
        ValueError: not a request, or of another version.
    """
    if not line.endswith(b"\n"):
        raise ValueError("the request does not end")
    found = decode(_RequestLine, json.loads(line), "the request")
    if found.version != VERSION:
        raise ValueError(f"the request is of version {found.version}; this side speaks {VERSION}")
    return BackupRequest(
        from_lsn=found.from_lsn,
        recipients=found.recipients,
        throttle=found.throttle,
        table_detail=found.table_detail,
    )


class FrameWriter:
    """The source's side; its frames may come from several threads."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._lock = threading.Lock()

    def data(self, data: bytes) -> None:
        """Part of the stream."""
        self._frame(DATA, data)

    def progress(self, raw: int, expected: int | None) -> None:
        """Counts so far."""
        self._frame(PROGRESS, json.dumps([raw, expected]).encode())

    def say(self, text: str) -> None:
        """A line for people."""
        self._frame(SAY, text.encode())

    def copied(self) -> None:
        """All data is sent."""
        self._frame(COPIED, b"")

    def end(self, produced: Produced) -> None:
        """All went well."""
        self._frame(END, json.dumps(asdict(produced)).encode())

    def failed(self, error: JobFailedError) -> None:
        """It did not."""
        self._frame(FAILED, json.dumps({"code": error.code, "what": str(error), "remedy": error.remedy}).encode())

    def _frame(self, kind: bytes, content: bytes) -> None:
        with self._lock:
            self._write(_HEADER.pack(kind, len(content)))
            self._write(content)


def read_frames(read: ReadExactly, *, data: Callable[[bytes], object], hear: Hearer) -> Produced:
    """The container's side: everything up to the end.

    Raises:
        JobFailedError: the source failed, broke off, or speaks something else.
        OSError: `data` could not be written.
    """
    while True:
        kind, length = _HEADER.unpack(read(_HEADER.size))
        if length > _MAX_FRAME:
            raise _stranger()
        content = read(length)
        if kind == DATA:
            data(content)
        elif kind == PROGRESS:
            raw, expected = _json(content)
            hear.progress(raw, expected)
        elif kind == SAY:
            hear.say(" ".join(content.decode(errors="replace").split()))
        elif kind == COPIED:
            hear.copied()
        elif kind == END:
            return _decoded(Produced, content)
        elif kind == FAILED:
            failure = _decoded(_Failure, content)
            raise JobFailedError(failure.code, f"at the source: {failure.what}", failure.remedy)
        else:
            raise _stranger()


def _stranger() -> JobFailedError:
    what = "the source speaks something else than `runner send`"
    return JobFailedError(
        Code.SOURCE_LOST, what, "install the same version of the runner there, and print nothing else"
    )


def _decoded(cls: type[T], content: bytes) -> T:
    try:
        return decode(cls, _json(content), "the source's answer")
    except ValueError as error:
        raise JobFailedError(Code.SOURCE_LOST, str(error)) from error


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise JobFailedError(Code.SOURCE_LOST, f"the source's answer is no JSON: {error}") from error
