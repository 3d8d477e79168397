"""Threads that gather: one for all inputs as long as none is slow.

A thread per input costs two switches of threads per input and scrape, and inputs that run at once hold each other up at
the interpreter's lock: on a host with five containers that was a third of the agent. So one thread gathers one input
after the other. An input that takes longer than `PATIENCE` keeps its thread to itself, and the others go on in another:
one that hangs costs a thread, not a scrape.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

Work = Callable[[], None]

PATIENCE = 0.02  # seconds; a healthy input takes less, and no more may a slow one hold up the others


class Lanes:
    """Does pieces of work in their order; used by one thread at a time.

    Args:
        name: of the threads.
        patience: seconds that one piece may take before those behind it are started beside it.
    """

    def __init__(self, name: str = "gather", patience: float = PATIENCE) -> None:
        self.name = name
        self._patience = patience
        self._lane: _Lane | None = None

    def run(self, work: Iterable[Work], deadline: float) -> None:
        """Do all this work, which must not raise; after `deadline` seconds what hangs is left behind under way."""
        batch = _Batch(work)
        end = time.monotonic() + deadline
        seen = 0
        while not batch.done.is_set():
            if batch.waiting and batch.taken == seen:  # none has been taken since the last look: what goes on is slow
                self._start(batch)
            seen = batch.taken
            left = end - time.monotonic()
            if left <= 0 or batch.done.wait(min(self._patience, left)):
                return

    def close(self) -> None:
        """End the thread, as soon as it has nothing to do."""
        if self._lane is not None:
            self._lane.end()
            self._lane = None

    def _start(self, batch: _Batch) -> None:
        if self._lane is None or not self._lane.batch.done.is_set():
            self.close()
            try:
                self._lane = _Lane(self.name, batch)
            except RuntimeError:  # no thread is to be had: better held up by what is slow than blind
                batch.work_off()
        else:
            self._lane.take(batch)


class _Batch:
    """The work of one `run`."""

    def __init__(self, work: Iterable[Work]) -> None:
        self.waiting = deque(work)
        self.taken = 0
        self.done = threading.Event()
        self._left = len(self.waiting)
        self._lock = threading.Lock()
        if not self._left:
            self.done.set()

    def work_off(self) -> None:
        """Do piece after piece until none waits."""
        while True:
            try:
                work = self.waiting.popleft()
            except IndexError:
                return
            self.taken += 1
            work()
            with self._lock:
                self._left -= 1
                if not self._left:
                    self.done.set()


class _Lane:
    """A thread that works off one batch after the other."""

    def __init__(self, name: str, batch: _Batch) -> None:
        self._asked: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self.take(batch)
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def take(self, batch: _Batch) -> None:
        """Work on this one next."""
        self.batch = batch
        self._asked.put(batch)

    def end(self) -> None:
        """End after what was taken."""
        self._asked.put(None)

    def _run(self) -> None:
        while (batch := self._asked.get()) is not None:
            batch.work_off()
