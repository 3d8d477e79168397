"""Values with their units, in words as short as Grafana's."""

from __future__ import annotations

_IEC = ("B", "KiB", "MiB", "GiB", "TiB")
_SI = ("", "k", "M", "G", "T")
_SUFFIX = {"Bps": "B/s", "bps": "b/s", "iops": "io/s", "pps": "p/s", "cps": "/s"}


def format_value(value: float, unit: str) -> str:
    """The value in its unit (an id of Grafana's)."""
    if unit == "percentunit":
        return f"{100 * value:.3g} %"
    if unit in {"bytes", "decbytes"}:
        return _scaled(value, 1024, _IEC)
    if unit in {"s", "dtdurations"}:
        return _duration(value)
    number, _, prefix = _scaled(value, 1000, _SI).partition(" ")
    return f"{number} {prefix}{_SUFFIX.get(unit, '')}".strip()


def _scaled(value: float, base: int, words: tuple[str, ...]) -> str:
    number = 0
    while abs(value) >= base and number < len(words) - 1:
        value /= base
        number += 1
    return f"{value:.3g} {words[number]}".strip()


def _duration(seconds: float) -> str:
    if 0 < seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    for size, word in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {word}"
    return f"{seconds:.3g} s"
