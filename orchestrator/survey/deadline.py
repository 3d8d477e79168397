"""Ask several servers at once under one deadline; one that hangs costs its own answer and no more."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Collection, Container, Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from collector.errors import VdbmonError

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stragglers(Generic[Key]):
    """How long those who are behind all others are waited for, counted from the last answer.

    Attributes:
        last_tenth: seconds, when nine of ten have answered.
        others: seconds for a key, when any other has answered; infinite where only the deadline counts.
        awaited: keys that are never behind; before they have answered, nobody is.
    """

    last_tenth: float
    others: Callable[[Key], float] = lambda _: math.inf
    awaited: frozenset[Key] = frozenset()

    def patience(self, found: Container[Key], calls: Collection[Key]) -> float:
        """Seconds from the last answer on."""
        missing = [key for key in calls if key not in found]
        if any(key in self.awaited for key in missing):
            return math.inf
        if len(missing) * 10 <= len(calls):
            return self.last_tenth
        if len(missing) == len(calls) - len(self.awaited):
            return math.inf  # all of them are as slow
        return max(map(self.others, missing))


def ask_all(
    calls: Mapping[Key, Callable[[], Answer]],
    *,
    seconds: float,
    stragglers: Stragglers[Key] | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> dict[Key, Answer | VdbmonError]:
    """Run the calls at the same time; the answers that came in `seconds`, or the error that a call raised.

    With `stragglers` those who are behind are not waited for that long. A key without an answer is absent. Threads are
    daemons: one that hangs doesn't keep the process from ending.

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
    last = monotonic()
    until = last + seconds
    found: dict[Key, Answer | VdbmonError] = {}
    while len(found) < len(calls):
        limit = until if stragglers is None else min(until, last + stragglers.patience(found, calls))
        try:
            key, answer = answers.get(timeout=max(limit - monotonic(), 0.0))
        except queue.Empty:
            break
        if isinstance(answer, Exception) and not isinstance(answer, VdbmonError):
            raise answer
        found[key], last = answer, monotonic()
    return found
