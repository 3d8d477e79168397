"""Child processes that do what may hang in the kernel for ever.

A thread would be no isolation: after `kill -9` a thread in D state keeps the whole process, and with it the agent's
port. A child that hangs is not replaced and what it hangs on is not asked again until it has answered, so that a dead
filesystem costs one process and no more.

Requests and answers are frames: a length of four bytes, big-endian, and as many bytes.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import threading
import time
from enum import Enum
from pathlib import Path

_LENGTH_BYTES = 4
_CHUNK = 64 * 1024
_MILLISECONDS = 1000
_LAST_WAIT = 0.5  # seconds for a killed child to go


class Unanswered(Enum):
    """Why there is no answer."""

    HANGS = "hangs"
    """None came in time, and what was asked for is not asked again before it has come."""
    NO_CHILD = "no child"
    """Nobody could be asked: all children hang on other things, or the child was killed."""


class _Child:
    """One child process and the key of what it hangs on, if it does."""

    def __init__(self, program: Path) -> None:
        # Isolated and without site: the standard library only, a few MiB. It ends when its standard input does.
        command = [sys.executable, "-I", "-S", str(program)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self._process.stdin is not None  # noqa: S101 - PIPE above
        assert self._process.stdout is not None  # noqa: S101 - PIPE above
        self._requests = self._process.stdin
        self._answers = self._process.stdout
        os.set_blocking(self._answers.fileno(), False)
        self._received = bytearray()
        self.stuck_on: str | None = None

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, key: str, request: bytes, deadline: float) -> bytes | Unanswered:
        """The answer; sets `stuck_on` where none came within `deadline` seconds."""
        try:
            self._requests.write(len(request).to_bytes(_LENGTH_BYTES, "big") + request)
        except BrokenPipeError:
            return Unanswered.NO_CHILD  # killed from outside; a new child takes its place at the next question
        answer = self._answer(deadline)
        if answer is None and not self.alive:
            return Unanswered.NO_CHILD
        self.stuck_on = key if answer is None else None
        return Unanswered.HANGS if answer is None else answer

    def recovered(self) -> bool:
        """Whether a late answer has come by now; it is thrown away."""
        if self.stuck_on is not None and self._answer(0.0) is not None:
            self.stuck_on = None
        return self.stuck_on is None

    def close(self) -> None:
        """End the child. One that hangs in the kernel is killed too, and goes when the kernel lets it."""
        self._process.kill()
        self._requests.close()
        self._answers.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_LAST_WAIT)

    def _answer(self, deadline: float) -> bytes | None:
        """The next whole frame; None if the child ends or `deadline` seconds pass before it is there."""
        end = time.monotonic() + deadline
        ready = select.poll()  # select(2) fails on a descriptor above 1023
        ready.register(self._answers, select.POLLIN)
        while True:
            frame = self._take_frame()
            if frame is not None:
                return frame
            if not ready.poll(max(end - time.monotonic(), 0.0) * _MILLISECONDS):
                return None
            data = os.read(self._answers.fileno(), _CHUNK)
            if not data:
                return None
            self._received += data

    def _take_frame(self) -> bytes | None:
        end = _LENGTH_BYTES + int.from_bytes(self._received[:_LENGTH_BYTES], "big")
        if len(self._received) < _LENGTH_BYTES or len(self._received) < end:
            return None
        frame = bytes(self._received[_LENGTH_BYTES:end])
        del self._received[:end]
        return frame


class ChildPool:
    """A few children that take turns, made when they are needed. Several threads may ask; they take turns as well.

    Args:
        program: a Python file that answers each frame on its standard input with one on its standard output, using the
            standard library alone.
        deadline: seconds for one answer.
        limit: children at the most; when all hang, nothing is answered.
    """

    def __init__(self, program: Path, *, deadline: float, limit: int) -> None:
        self._program = program
        self._deadline = deadline
        self._limit = limit
        self._children: list[_Child] = []
        self._lock = threading.Lock()

    def ask(self, key: str, request: bytes) -> bytes | Unanswered:
        """The answer to a request about `key`: a path, for which only one child may ever hang."""
        with self._lock:
            self._bury_dead()
            if key in {child.stuck_on for child in self._children if not child.recovered()}:
                return Unanswered.HANGS
            child = self._free_child()
            return child.ask(key, request, self._deadline) if child else Unanswered.NO_CHILD

    @property
    def hanging(self) -> frozenset[str]:
        """The keys that had no answer when they were asked last, and have none yet."""
        return frozenset(child.stuck_on for child in self._children if child.stuck_on is not None)

    def close(self) -> None:
        """End all children."""
        with self._lock:
            for child in self._children:
                child.close()
            self._children.clear()

    def _bury_dead(self) -> None:
        for dead in [child for child in self._children if not child.alive]:
            dead.close()
            self._children.remove(dead)

    def _free_child(self) -> _Child | None:
        for child in self._children:
            if child.stuck_on is None:
                return child
        if len(self._children) < self._limit:
            self._children.append(_Child(self._program))
            return self._children[-1]
        return None
