"""Which runs of a schedule are due. Pure: the clock is passed in, times are seconds since the epoch.

A run is known by its schedule and its due time, and so are the requests that place it, one after the other as long as
each is undone: whoever comes to place it after a crash asks for the same request, which the ledger takes once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim

from orchestrator.backup.settings import ScheduleSettings

FIRST_RETRY = 15.0
LONGEST_RETRY = 300.0
"""Seconds from one try of a run to the next: twice as long each time, up to this."""

_ID_CHARACTERS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What is to be done for a schedule now.

    Attributes:
        run: due time of the run that is to be placed; None if there is none.
        missed: how many runs can't be placed any more.
        missed_until: due time of the last of them; None if there is none.
    """

    run: float | None = None
    missed: int = 0
    missed_until: float | None = None


def due_times(schedule: ScheduleSettings, *, after: float) -> Iterator[float]:
    """All due times after a moment, without an end (a cron expression that never comes ends it)."""
    begin = datetime.fromtimestamp(after, ZoneInfo(schedule.timezone))
    yield from (moment.timestamp() for moment in CronSim(schedule.cron, begin))


def next_due(schedule: ScheduleSettings, *, after: float) -> float | None:
    """The first due time after a moment."""
    return next(due_times(schedule, after=after), None)


def due(schedule: ScheduleSettings, *, settled_until: float, now: float) -> Due:
    """The last run that is due and can still start; those before it are missed.

    Two runs of a schedule never stand in line: the later one does what the earlier should have done.
    """
    runs = list(takewhile(lambda moment: moment <= now, due_times(schedule, after=settled_until)))
    in_time = runs[-1:] if runs and now - runs[-1] <= schedule.start_within else []
    missed = runs[: len(runs) - len(in_time)]
    return Due(run=in_time[0] if in_time else None, missed=len(missed), missed_until=missed[-1] if missed else None)


def retry_after(tries: int) -> float:
    """Seconds to wait after so many tries that came to nothing."""
    return min(FIRST_RETRY * 2.0 ** min(tries - 1, 30), LONGEST_RETRY)


def run_id(schedule: str, due_at: float, launch: int = 0) -> str:
    """The request of a run; a launch that failed and is undone is followed by one of the next number."""
    return _digest(f"schedule {schedule} {due_at:.0f}", launch)


def verification_id(backup_id: str, launch: int = 0) -> str:
    """The request that verifies a backup; see `run_id`."""
    return _digest(f"verify {backup_id}", launch)


def run_name(schedule: str, due_at: float) -> str:
    """What a run's container is called: the schedule and when it was due, in UTC."""
    return f"{schedule}-{datetime.fromtimestamp(due_at, UTC):%Y%m%d-%H%M}"


def _digest(text: str, launch: int) -> str:
    whole = f"{text} {launch}" if launch else text
    return hashlib.sha256(whole.encode()).hexdigest()[:_ID_CHARACTERS]
