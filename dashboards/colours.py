"""Colours of values, made from the limits that also fire the alerts (`alerts.thresholds`)."""

from __future__ import annotations

from dataclasses import dataclass

from alerts.thresholds import Threshold

GOOD = "green"
WARNING = "orange"
CRITICAL = "red"
NEUTRAL = "blue"


@dataclass(frozen=True, slots=True)
class Step:
    """From `value` upwards the colour is `color`; None is the base, from minus infinity."""

    color: str
    value: float | None


PLAIN = (Step(NEUTRAL, None),)
"""A value that is neither good nor bad by itself."""

NONE_IS_GOOD = (Step(GOOD, None), Step(CRITICAL, 1))
"""A count of failures: the first one matters."""


def above(critical: Threshold | int, *, warning: Threshold | None = None) -> tuple[Step, ...]:
    """Values above the limits are bad; a plain number is a limit in seconds."""
    limit = critical if isinstance(critical, int) else critical.value
    if warning is None:
        return (Step(GOOD, None), Step(CRITICAL, limit))
    return (Step(GOOD, None), Step(WARNING, warning.value), Step(CRITICAL, limit))


def below(critical: Threshold, *, warning: Threshold | None = None) -> tuple[Step, ...]:
    """Values below the limits are bad."""
    if warning is None:
        return (Step(CRITICAL, None), Step(GOOD, critical.value))
    return (Step(CRITICAL, None), Step(WARNING, critical.value), Step(GOOD, warning.value))
