"""Sizes and durations as people write them: `50MB`, `1GiB`, `10s`, `1m30s`."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator

_BYTE_UNITS = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}
_SECOND_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_NOTHING = (0, *(f"0{unit}" for unit in _SECOND_UNITS))
_LARGEST = 2**63 - 1
_LONGEST = _LARGEST // 10**9  # seconds: Go's durations end there, and so does what a thread can wait for
_BINARY_STEP = 1024
_FOUR_DIGITS = 999.5


def parse_bytes(text: str | float) -> int:
    """Bytes of a size such as `50MB` (10**6) or `1GiB` (2**30); a bare number is bytes.

    Raises:
        ValueError: no such size, or one that a 64-bit kernel counter can't hold.
    """
    match = _BYTES.fullmatch(str(text).strip())
    unit = _BYTE_UNITS.get((match.group(2) or "B").upper()) if match else None
    if match is None or unit is None:
        raise ValueError(f"{text!r} is no size; write for example 500MB (decimal) or 1GiB (binary)")
    value = float(match.group(1)) * unit
    if not 1 <= value <= _LARGEST:
        raise ValueError(f"{text!r} is out of range; a size is at least 1 byte and below 8 EiB")
    return int(value)


def parse_seconds(text: str | float) -> float:
    """Seconds of a duration such as `10s`, `500ms` or `1m30s` (telegraf's notation); a bare number is seconds.

    Raises:
        ValueError: no such duration, not above zero, or above 292 years.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        value = text
    else:
        parts = _DURATION.findall(str(text))
        if not parts or "".join(number + unit for number, unit in parts) != str(text).strip():
            raise ValueError(f"{text!r} is no duration; write for example 10s, 500ms or 1m30s")
        value = sum(float(number) * _SECOND_UNITS[unit] for number, unit in parts)
    if not 0 < value <= _LONGEST:
        raise ValueError(f"{text!r} is out of range; a duration is above zero and at most 292 years")
    return float(value)


def parse_delay(text: str | float) -> float:
    """Seconds as `parse_seconds`, or none: `0s`.

    Raises:
        ValueError: no such duration, or below zero.
    """
    return 0.0 if text in _NOTHING and not isinstance(text, bool) else parse_seconds(text)


def format_bytes(value: float) -> str:
    """A size for people, binary units, three digits: `1.00 GiB`, `512 B`."""
    size, unit = float(value), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(size) < _BINARY_STEP or unit == "TiB":
            break
        size /= _BINARY_STEP
    return f"{size:.0f} {unit}" if unit == "B" or size >= _FOUR_DIGITS else f"{size:.3g} {unit}"


Bytes = Annotated[int, BeforeValidator(parse_bytes)]
Seconds = Annotated[float, BeforeValidator(parse_seconds)]
Delay = Annotated[float, BeforeValidator(parse_delay)]
