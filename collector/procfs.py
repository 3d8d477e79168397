"""Processes as /proc shows them: stat, limits and descriptors (proc_pid_stat(5), proc_pid_limits(5))."""

from __future__ import annotations

import os
from pathlib import Path

from collector.kernelfile import is_number

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
