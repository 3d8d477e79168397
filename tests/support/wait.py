"""Waiting on conditions instead of sleeping."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")

_PAUSE = threading.Event()  # never set: waiting on it is a pause that any test may take
_SHORTEST, _LONGEST = 0.05, 0.5


def wait_until(condition: Callable[[], Seen | None], *, deadline: float, what: str, every: float | None = None) -> Seen:
    """The first true value of `condition`; fails with what was waited for and what was seen last.

    Asked every so many seconds; unless told, the less often the longer it takes, for asking costs others their time.
    """
    began = time.monotonic()
    while True:
        seen = condition()
        if seen:
            return seen
        waited = time.monotonic() - began
        if waited > deadline:
            raise AssertionError(f"{what}: not within {deadline} s; last seen: {seen!r}")
        _PAUSE.wait(every or min(max(_SHORTEST, waited / 20), _LONGEST))
