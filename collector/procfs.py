"""Processes as /proc shows them: stat, limits and descriptors (proc_pid_stat(5), proc_pid_limits(5))."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from collector.kernelfile import KeptFile, is_number, read_file

# What a pattern is matched against at the most: the first words of a command line, never a query or a list of files.
COMMAND_LINE = 512

# Fields of /proc/PID/stat after the closing parenthesis of the command, counted from `state`.
PARENT, UTIME, STIME, THREADS, START, RSS = 1, 11, 12, 17, 19, 21
_NUMBERS = (PARENT, UTIME, STIME, THREADS, START, RSS)
_SOFT_LIMIT = 3  # Max open files SOFT HARD files


def parse_stat(data: bytes) -> tuple[str, list[bytes]] | None:
    """Command and the fields from `state` on; the command may hold spaces and parentheses. None if torn."""
    _, opening, rest = data.partition(b"(")
    command, closing, tail = rest.rpartition(b")")
    fields = tail.split()
    if not (opening and closing and data.endswith(b"\n")) or len(fields) <= RSS:
        return None
    if not all(is_number(fields[index]) for index in _NUMBERS):
        return None
    return command.decode(errors="replace"), fields


def parse_open_files_limit(data: bytes) -> int | None:
    """The soft limit of open files out of /proc/PID/limits; None where there is none."""
    for line in data.splitlines():
        if line.startswith(b"Max open files"):
            words = line.split()
            return int(words[_SOFT_LIMIT]) if len(words) > _SOFT_LIMIT and is_number(words[_SOFT_LIMIT]) else None
    return None


class ProcessFiles:
    """The files of one process that are read again and again.

    Kept open they cost half. A descriptor beneath /proc/PID belongs to the process, not to the number: once the process
    has ended reads fail with ESRCH, also when the pid is another one's.

    Args:
        folder: /proc/PID.
        keep: False opens the files anew for each reading.

    Raises:
        OSError: there is no such process.
    """

    __slots__ = ("_descriptors", "_folder", "_io", "_stat")

    def __init__(self, folder: str, *, keep: bool) -> None:
        self._folder = folder
        self._stat = KeptFile(f"{folder}/stat") if keep else None
        self._io = self._descriptors = None
        if keep:
            with contextlib.suppress(OSError):  # not allowed: read as absent
                self._io = KeptFile(f"{folder}/io")
                self._descriptors = os.open(f"{folder}/fd", os.O_PATH | os.O_CLOEXEC)

    def read(self) -> tuple[bytes, bytes, int | None]:
        """The files `stat` and `io`, empty where it may not be read, and how many descriptors are open, if known.

        Raises:
            OSError: the process has ended.
        """
        if self._stat is None:
            stat = read_file(f"{self._folder}/stat")
            return stat, self._read_io(), count_descriptors(self._folder)
        stat = self._stat.read_at_once()
        io = self._read_io()
        size = 0 if self._descriptors is None else os.fstat(self._descriptors).st_size
        return stat, io, size or count_descriptors(self._folder)

    def _read_io(self) -> bytes:
        try:
            return self._io.read_at_once() if self._io else read_file(f"{self._folder}/io")
        except OSError:
            return b""

    def close(self) -> None:
        """Give the descriptors back."""
        for file in (self._stat, self._io):
            if file is not None:
                file.close()
        if self._descriptors is not None:
            os.close(self._descriptors)


def count_descriptors(process: Path | str) -> int | None:
    """Open descriptors of the process whose /proc folder this is; None where they may not be counted."""
    try:
        # Linux 6.2 and newer give the count as the directory's size; older ones give 0 and are listed.
        return os.stat(f"{process}/fd").st_size or len(os.listdir(f"{process}/fd"))  # noqa: PTH116, PTH208
    except OSError:
        return None


def read_command_line(process: Path | str) -> str:
    """The beginning of a command line, words separated by blanks; empty for a kernel thread and one that has ended.

    Reading it takes the process's mmap_lock for a moment, so it is asked rarely and never of a database by habit. It
    may hold passwords: match it, don't show it.
    """
    try:
        with open(f"{process}/cmdline", "rb", buffering=0) as file:  # noqa: PTH123 - one bounded read(2)
            data = file.read(COMMAND_LINE)
    except OSError:
        return ""
    return data.rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
