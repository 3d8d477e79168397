"""How records stand in a file of the spool: frames, each of the records that were put at once.

Little-endian. Header, 36 bytes:

    4  magic "vdb1"
    8  number of the frame's first record; records of a spool are numbered through
    8  Unix time at which it was put, a double
    4  records in it
    4  bytes of the payload
    4  CRC-32 of the payload
    4  CRC-32 of the header up to here

Payload: the length of every record, 4 bytes each, then the records. The header has a CRC of its own so that a damaged
payload costs its frame only; what a damaged header hides is known from the number of the next frame.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from zlib import crc32

MAGIC = b"vdb1"
_FIELDS = struct.Struct("<4sQdIII")
_CRC = struct.Struct("<I")
HEADER_SIZE = _FIELDS.size + _CRC.size
_LENGTH_SIZE = 4


class DamagedFrameError(Exception):
    """The bytes are not what was written."""


@dataclass(frozen=True, slots=True)
class Header:
    """What is told of a frame without its payload; `size` is of the payload, `time` in Unix seconds."""

    number: int
    time: float
    count: int
    size: int
    crc: int

    @property
    def end(self) -> int:
        """Number of the record after the last one."""
        return self.number + self.count


def pack(number: int, time: float, records: Sequence[bytes]) -> tuple[Header, bytes]:
    """A frame: its header, and the bytes that go to the file."""
    lengths = array("I", map(len, records))
    if sys.byteorder == "big":
        lengths.byteswap()
    payload = lengths.tobytes() + b"".join(records)
    header = Header(number, time, len(records), len(payload), crc32(payload))
    fields = _FIELDS.pack(MAGIC, number, time, header.count, header.size, header.crc)
    return header, fields + _CRC.pack(crc32(fields)) + payload


def unpack_header(data: bytes) -> Header:
    """The header at the beginning of `data`.

    Raises:
        DamagedFrameError: there is none, or not all of it.
    """
    if len(data) < HEADER_SIZE or crc32(data[: _FIELDS.size]) != _CRC.unpack_from(data, _FIELDS.size)[0]:
        raise DamagedFrameError
    magic, number, time, count, size, crc = _FIELDS.unpack_from(data)
    if magic != MAGIC:
        raise DamagedFrameError
    return Header(number, time, count, size, crc)


def unpack_records(header: Header, payload: bytes) -> list[bytes]:
    """The records of a frame.

    Raises:
        DamagedFrameError: the payload is not the one of this header.
    """
    if len(payload) != header.size or crc32(payload) != header.crc:
        raise DamagedFrameError
    begin = header.count * _LENGTH_SIZE
    lengths = array("I", payload[:begin])
    if sys.byteorder == "big":
        lengths.byteswap()
    return [payload[start:end] for start, end in pairwise(accumulate(lengths, initial=begin))]
