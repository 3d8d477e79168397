"""When a job starts, so that the peaks of reads and network don't meet on one host. Pure: the clock is passed in.

A job's load is taken to be even from its start to its expected end; jobs without a window run now and without an end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime, time, timedelta
from typing import NamedTuple

from collector.errors import ConfigError
from collector.quantities import parse_seconds
from orchestrator.decision.request import Window
from orchestrator.decision.resources import Amounts, ResourceClass
from orchestrator.decision.snapshot import HostState, PlacedJob

PEAKS = (ResourceClass.READ_BPS, ResourceClass.READ_IOPS, ResourceClass.NETWORK_IN, ResourceClass.NETWORK_OUT)
"""The classes whose peaks must not meet."""

_LASTING = (-math.inf, math.inf)


class Start(NamedTuple):
    """A start time.

    Attributes:
        at: seconds since the epoch.
        peak: the largest share of what the host offers of any of PEAKS that is asked for while the job runs, 0..1.
    """

    at: float
    peak: float


def best_start(window: Window, needed: Amounts, host: HostState, now: float) -> Start | None:
    """The start with the lowest peak, of equals the earliest; None if there is none in the window.

    The lowest peak is found at the window's ends, or where another job ends or is about to start.
    """
    earliest, latest = max(now, window.not_before), window.deadline - window.duration
    if latest < earliest:
        return None
    spans = [job.window or _LASTING for job in host.jobs]
    edges = {moment for start, end in spans for moment in (end, start - window.duration)}
    moments = sorted({earliest, *(moment for moment in edges if earliest <= moment <= latest and moment < math.inf)})
    starts = (Start(moment, peak(moment, window.duration, needed, host)) for moment in moments)
    best = min(starts, key=lambda start: (round(start.peak, 6), start.at))
    return best if best.peak <= 1 else None


def peak(start: float, duration: float, needed: Amounts, host: HostState) -> float:
    """The largest share of any of PEAKS while a job runs that needs so much."""
    end = start + duration
    beside = [(job, span) for job in host.jobs if (span := job.window or _LASTING)[0] < end and span[1] > start]
    moments = [start, *(span[0] for _, span in beside if span[0] > start)]
    return max((_share(moment, beside, needed, host) for moment in moments), default=0.0)


def parse_window(*, not_before: str | None, deadline: str | None, duration: str, now: datetime) -> Window | None:
    """The window of the options; None if neither end is given.

    Times are `HH:MM` (the next one) or ISO 8601, in the zone of `now` if they name none.

    Raises:
        ConfigError: `request.window`: a time or duration that is none, or a window that the job doesn't fit into.
    """
    if not_before is None and deadline is None:
        return None
    try:
        seconds = parse_seconds(duration)
        begin = now if not_before is None else _moment(not_before, now)
        end = math.inf if deadline is None else _moment(deadline, begin).timestamp()
    except ValueError as error:
        raise ConfigError("request.window", str(error), "write for example 02:00 or 2026-12-01T02:00") from error
    window = Window(not_before=begin.timestamp(), deadline=end, duration=seconds)
    if window.deadline - window.duration < max(window.not_before, now.timestamp()):
        text = f"a job of {duration} doesn't end by {deadline}"
        raise ConfigError("request.window", text, "give a later --deadline or a shorter --duration")
    return window


def _share(
    moment: float, beside: Iterable[tuple[PlacedJob, tuple[float, float]]], needed: Amounts, host: HostState
) -> float:
    running = [job.amounts for job, span in beside if span[0] <= moment < span[1]]
    shares = (
        (needed[key] + sum(amounts.get(key, 0) for amounts in running)) / host.sellable[key]
        for key in PEAKS
        if key in needed and host.sellable.get(key, 0) > 0
    )
    return max(shares, default=0.0)


def _moment(text: str, after: datetime) -> datetime:
    try:
        at = time.fromisoformat(text)
    except ValueError:
        pass
    else:
        moment = after.replace(hour=at.hour, minute=at.minute, second=at.second, microsecond=0)
        return moment if moment >= after else moment + timedelta(days=1)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=after.tzinfo)
