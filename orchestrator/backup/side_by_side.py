"""Run several calls side by side, so many at once; one that hangs holds up itself, and is not begun a second time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping

from collector.quantities import Seconds


class SideBySide:
    """Knows what is under way from one round to the next. Its threads don't keep a process from ending."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._changed = threading.Condition()
        self._waiting: deque[tuple[str, Callable[[], object]]] = deque()
        self._open: set[str] = set()
        self._workers = 0
        self._errors: list[Exception] = []

    def run(self, calls: Mapping[str, Callable[[], object]], *, seconds: Seconds | None = None) -> frozenset[str]:
        """Begin those that aren't under way, and wait for all; the names of those that still are after so long.

        Raises:
            Exception: the first that a call raised since the last round; the others have been done all the same.
        """
        with self._changed:
            for name, call in calls.items():
                if name not in self._open:
                    self._open.add(name)
                    self._waiting.append((name, call))
            for _ in range(min(self._at_once - self._workers, len(self._waiting))):
                self._workers += 1
                threading.Thread(target=self._work, name="side by side", daemon=True).start()
            self._changed.wait_for(lambda: not self._open, seconds)
            errors, self._errors = self._errors, []
            left = frozenset(self._open)
        if errors:
            raise errors[0]
        return left

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._workers -= 1
                    return
                name, call = self._waiting.popleft()
            failed = _error_of(call)
            with self._changed:
                self._errors += failed
                self._open.discard(name)
                self._changed.notify_all()


def _error_of(call: Callable[[], object]) -> list[Exception]:
    try:
        call()
    except Exception as error:  # noqa: BLE001 - handed to who waits
        return [error]
    return []
