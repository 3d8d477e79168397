"""Figures in as few characters as tell them."""

from __future__ import annotations


def amount(value: float | None) -> str:
    """Bytes in four characters at the most, binary units: `512`, `4.0K`, `812M`, `1.0G`; `-` for what isn't known."""
    if value is None:
        return "-"
    size, unit = max(value, 0.0), ""
    for larger in "KMGTP":
        if size < 999.5:  # noqa: PLR2004 - what is rounded to three digits
            break
        size, unit = size / 1024, larger
    return f"{size:.1f}{unit}" if unit and size < 9.95 else f"{size:.0f}{unit}"  # noqa: PLR2004 - two digits


def cores(value: float | None) -> str:
    """Cores in four characters at the most: `0.02`, `1.98`, `15.9`, `128`."""
    if value is None:
        return "-"
    if value < 9.995:  # noqa: PLR2004 - as many digits as fit
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"  # noqa: PLR2004


def whole_cores(value: float) -> str:
    """A limit of cores, as short as it can be: `2`, `0.5`, `1.25`."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value < 99.5 else f"{value:.0f}"  # noqa: PLR2004


def percent(value: float | None) -> str:
    """A share: `41%`; a blank where there is none."""
    return "" if value is None else f"{value:.0%}"


def duration(seconds: float) -> str:
    """`35 s`, `4 min`, `3 h`."""
    if seconds < 100:  # noqa: PLR2004 - from two digits on the larger unit says enough
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.0f} h"  # noqa: PLR2004
