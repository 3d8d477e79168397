"""Binary log files as they lie in a folder: their order, their ends, their gaps.

Format: https://mariadb.com/kb/en/replication-protocol/, "binlog event header": 19 bytes, little-endian: seconds since
1970, type, server, length of the event, position of the next (modulo 2**32), flags. A file begins with four magic
bytes; its last event names the next file (Rotate), or says that the server stopped (Stop), or is any other while the
file is still written and after a crash.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from .errors import Code, JobFailedError
from .volume import sha256_of

MAGIC = b"\xfebin"
_HEADER = struct.Struct("<IBIIIH")
_NAME = re.compile(r"(?P<base>[^/]+)\.(?P<number>\d{6,})")
_CHUNK_BYTES = 1 << 20
_ARTIFICIAL = 0x20  # flag of events that are in no file of the server


@dataclass(frozen=True, slots=True, kw_only=True)
class BinlogFile:
    """One file that was read to its end.

    Attributes:
        last_time: of its last event with a time, seconds since 1970; 0 if it has none.
        whole: whether it ends with an event's end.
    """

    size: int
    last_time: int
    whole: bool


def sequence_of(name: str) -> int:
    """The number of a binary log file.

    Raises:
        JobFailedError: it has none.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise JobFailedError(Code.BINLOG_DAMAGED, f"{name!r} is no name of a binary log")
    return int(match["number"])


def find_binlogs(folders: Iterable[Path]) -> list[Path]:
    """The files of several folders in order; of two of a name the longer one.

    Raises:
        JobFailedError: a folder can't be read.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        try:
            names = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
        except OSError as error:
            raise JobFailedError(Code.BINLOG_GAP, f"the logs in {folder} can't be read: {error.strerror}") from error
        for path in names:
            other = found.get(path.name)
            if other is None or path.stat().st_size > other.stat().st_size:
                found[path.name] = path
    return sorted(found.values(), key=lambda path: sequence_of(path.name))


def check_sequence(paths: Iterable[Path]) -> None:
    """Refuse files between which one is missing.

    Raises:
        JobFailedError: names the missing one.
    """
    for before, after in pairwise(paths):
        if sequence_of(after.name) != sequence_of(before.name) + 1:
            base = before.name.rpartition(".")[0]
            missing = f"{base}.{sequence_of(before.name) + 1:06d}"
            text = f"binary log {missing} is missing between {before.name} and {after.name}"
            raise JobFailedError(Code.BINLOG_GAP, text, "give the folder that has it, or stop before it")


def check_sums(paths: Iterable[Path], sums: Mapping[str, str]) -> None:
    """Refuse a file that is not as it was fetched; the one that was still written has no sum yet.

    Raises:
        JobFailedError: names the file.
    """
    for path in paths:
        if path.name in sums and sha256_of(path) != sums[path.name]:
            text = f"{path} is not what was fetched: its SHA-256 differs"
            raise JobFailedError(Code.BINLOG_DAMAGED, text)


def begins_with(path: Path, beginning: Path) -> bool:
    """Whether a file begins with all of another."""
    with path.open("rb") as whole, beginning.open("rb") as part:
        while data := part.read(_CHUNK_BYTES):
            if whole.read(len(data)) != data:
                return False
    return True


def read_binlog(path: Path) -> BinlogFile:
    """Walk over a file's events.

    Raises:
        JobFailedError: it is no binary log.
    """
    last_time, size = 0, path.stat().st_size
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise JobFailedError(Code.BINLOG_DAMAGED, f"{path} is no binary log")
        offset = len(MAGIC)
        while offset + _HEADER.size <= size:
            moment, _, _, length, _, flags = _HEADER.unpack(file.read(_HEADER.size))
            if length < _HEADER.size or offset + length > size:
                break
            if not flags & _ARTIFICIAL:
                last_time = max(last_time, moment)
            offset += length
            file.seek(offset)
    return BinlogFile(size=size, last_time=last_time, whole=offset == size)
