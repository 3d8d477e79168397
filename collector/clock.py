"""Clocks, which are passed in wherever time counts: a test has one of its own."""

from __future__ import annotations

from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds: of Unix time (`time.time`), or of a clock that nobody sets (`time.monotonic`)."""
