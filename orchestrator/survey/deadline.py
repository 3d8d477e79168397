"""Ask several servers at once under one deadline; one that hangs costs its own answer and no more."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Collection, Container, Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from collector.errors import VdbmonError

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Stragglers(Generic[Key]):
    """When nine of ten have answered, the others get so many seconds more.

    Attributes:
        awaited: keys that are never among them.
    """

    seconds: float
    awaited: frozenset[Key]

    def are_left(self, found: Container[Key], calls: Collection[Key]) -> bool:
        """Whether only stragglers haven't answered."""
        missing = [key for key in calls if key not in found]
        return len(missing) * 10 <= len(calls) and not any(key in self.awaited for key in missing)


def ask_all(
    calls: Mapping[Key, Callable[[], Answer]],
    *,
    seconds: float,
    stragglers: Stragglers[Key] | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> dict[Key, Answer | VdbmonError]:
    """Run the calls at the same time; the answers that came in `seconds`, or the error that a call raised.

    With `stragglers` the last few are not waited for that long. A key without an answer is absent. Threads are daemons:
    one that hangs doesn't keep the process from ending.

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
        if stragglers is not None and stragglers.are_left(found, calls):
            until, stragglers = min(until, monotonic() + stragglers.seconds), None
        try:
            key, answer = answers.get(timeout=max(until - monotonic(), 0.0))
        except queue.Empty:
            break
        if isinstance(answer, Exception) and not isinstance(answer, VdbmonError):
            raise answer
        found[key] = answer
    return found
