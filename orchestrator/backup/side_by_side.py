"""Run several calls side by side, so many at once; each is waited for, however long it takes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence


def run_side_by_side(calls: Sequence[Callable[[], object]], *, at_once: int) -> None:
    """Run all of them. Threads are daemons: one that hangs doesn't keep the process from ending.

    Raises:
        Exception: the first that a call raised, when all have ended.
    """
    waiting: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
    for call in calls:
        waiting.put(call)
    errors: list[Exception] = []

    def work() -> None:
        while True:
            try:
                call = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                call()
            except Exception as error:  # noqa: BLE001 - handed to the caller
                errors.append(error)

    threads = [
        threading.Thread(target=work, name=f"side by side {number}", daemon=True)
        for number in range(min(at_once, len(calls)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
