"""Sizes of file systems, asked in child processes because statvfs(3) can hang in the kernel for ever.

A thread would be no isolation: after `kill -9` a thread in D state keeps the whole process, and with it the agent's
port.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_CHILD = Path(__file__).with_name("statvfs_child.py")
_FIELDS = 5
_LAST_WAIT = 0.5  # seconds for a killed child to go


@dataclass(frozen=True, slots=True)
class FilesystemUsage:
    """Bytes and inodes of one file system; `available` is without root's reserve."""

    size: int
    free: int
    available: int
    files: int
    files_free: int


class _Child:
    """One child process and the path that it hangs on, if it does."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_CHILD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self.stuck_on: str | None = None

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, path: str, deadline: float) -> FilesystemUsage | None:
        """The answer; None for an error. Sets `stuck_on` where none came within `deadline` seconds."""
        assert self._process.stdin is not None  # noqa: S101 - PIPE above
        try:
            self._process.stdin.write(os.fsencode(path) + b"\n")
        except BrokenPipeError:
            return None  # killed from outside; a new child takes its place at the next reading
        line = self._line(deadline)
        self.stuck_on = path if line is None else None
        fields = (line or b"").split()
        return FilesystemUsage(*map(int, fields)) if len(fields) == _FIELDS else None

    def recovered(self) -> bool:
        """Whether a late answer has come by now; it is thrown away."""
        if self.stuck_on is not None and self._line(0.0) is not None:
            self.stuck_on = None
        return self.stuck_on is None

    def close(self) -> None:
        """End the child. One that hangs in the kernel is killed too, and goes when the kernel lets it."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_LAST_WAIT)

    def _line(self, deadline: float) -> bytes | None:
        assert self._process.stdout is not None  # noqa: S101 - PIPE above
        ready, _, _ = select.select([self._process.stdout], [], [], deadline)
        # An answer is one write below PIPE_BUF, so it arrives whole.
        return os.read(self._process.stdout.fileno(), 4096) if ready else None


class StatvfsPool:
    """A few children that take turns: a path that hangs occupies one until the kernel answers, and is not asked again.

    Args:
        deadline: seconds for one path.
        limit: children at the most; when all hang, no path gets an answer.
    """

    def __init__(self, deadline: float = 1.0, limit: int = 2) -> None:
        self._deadline = deadline
        self._limit = limit
        self._children: list[_Child] = []

    def usage(self, paths: Sequence[str]) -> dict[str, FilesystemUsage]:
        """Usage by path; a path that hangs, or can't be asked because all children hang, is missing."""
        for dead in [child for child in self._children if not child.alive]:
            dead.close()
            self._children.remove(dead)
        hanging = {child.stuck_on for child in self._children if not child.recovered()}
        answers: dict[str, FilesystemUsage] = {}
        for path in paths:
            child = None if path in hanging or "\n" in path else self._free_child()
            usage = child.ask(path, self._deadline) if child else None
            if usage is not None:
                answers[path] = usage
        return answers

    @property
    def hanging(self) -> frozenset[str]:
        """The paths that had no answer when they were asked last, and have none yet."""
        return frozenset(child.stuck_on for child in self._children if child.stuck_on is not None)

    def close(self) -> None:
        """End all children."""
        for child in self._children:
            child.close()
        self._children.clear()

    def _free_child(self) -> _Child | None:
        for child in self._children:
            if child.stuck_on is None:
                return child
        if len(self._children) < self._limit:
            self._children.append(_Child())
            return self._children[-1]
        return None
