"""Ask several servers at once under one deadline; one that hangs costs its own answer and no more."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

from collector.errors import VdbmonError

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")


def ask_all(
    calls: Mapping[Key, Callable[[], Answer]], *, seconds: float, monotonic: Callable[[], float] = time.monotonic
) -> dict[Key, Answer | VdbmonError]:
    """Run the calls at the same time; the answers that came in `seconds`, or the error that a call raised.

    A key without an answer is absent. Threads are daemons: one that hangs doesn't keep the process from ending.

    Raises:
        Exception: whatever a call raised that is no VdbmonError.
    """
    answers: queue.Queue[tuple[Key, Answer | Exception]] = queue.Queue()

    def ask(key: Key, call: Callable[[], Answer]) -> None:
        try:
            answers.put((key, call()))
        except Exception as error:  # noqa: BLE001 - handed to the asking thread
            answers.put((key, error))

    for key, call in calls.items():
        threading.Thread(target=ask, args=(key, call), name=f"ask {key}", daemon=True).start()
    until = monotonic() + seconds
    found: dict[Key, Answer | VdbmonError] = {}
    while len(found) < len(calls):
        try:
            key, answer = answers.get(timeout=max(until - monotonic(), 0.0))
        except queue.Empty:
            break
        if isinstance(answer, Exception) and not isinstance(answer, VdbmonError):
            raise answer
        found[key] = answer
    return found
