"""Waiting on conditions instead of sleeping."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")

_PAUSE = threading.Event()  # never set: waiting on it is a pause that any test may take


def wait_until(condition: Callable[[], Seen | None], *, deadline: float, what: str, every: float = 0.05) -> Seen:
    """The first true value of `condition`; fails with what was waited for and what was seen last."""
    end = time.monotonic() + deadline
    while True:
        seen = condition()
        if seen:
            return seen
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {deadline} s; last seen: {seen!r}")
        _PAUSE.wait(every)
