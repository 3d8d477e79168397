"""Points in time as people write and read them."""

from __future__ import annotations

from datetime import UTC, datetime

from collector.errors import ConfigError
from collector.quantities import parse_seconds


def parse_until(text: str | None, *, now: float) -> float | None:
    """Seconds since the epoch of `2h` (from now) or `2026-11-24T06:00` (local time without an offset); None stays.

    Raises:
        ConfigError: neither of them, or not in the future.
    """
    if text is None:
        return None
    try:
        until = now + parse_seconds(text)
    except ValueError:
        until = _timestamp(text)
    if until <= now:
        raise ConfigError("request.until", f"--until {text} is over already", "give a time to come")
    return until


def time_text(at: float) -> str:
    """Local time to the second."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def utc_text(at: float) -> str:
    """UTC to the second, as `restore --until` takes it."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _timestamp(text: str) -> float:
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except ValueError:
        raise ConfigError(
            "request.until", f"--until {text!r} is no time", "give for example 2h, or 2026-11-24T06:00"
        ) from None
