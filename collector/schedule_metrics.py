"""What `vdbmon serve` says of the schedules: which runs are expected, and how old the last good one may get.

Declared here because rules and panels refer to them, and those must not know the scheduler. `backup_job` is the kind of
job (`backup`, `verify`, `copy` ...), with which the job input labels what the jobs say of themselves.
"""

from __future__ import annotations

from collector.metrics import Unit, counter, gauge

_L = ("source", "backup_job")

MAX_AGE = gauge("vdbmon_schedule_max_age_seconds", "How old the last good run may get.", *_L, unit=Unit.SECONDS)
SINCE = gauge(
    "vdbmon_schedule_since_timestamp_seconds", "Since when the schedule is in force.", *_L, unit=Unit.TIMESTAMP
)
NEXT = gauge("vdbmon_schedule_next_timestamp_seconds", "When the next run is due.", *_L, unit=Unit.TIMESTAMP)
MISSED = counter("vdbmon_schedule_missed_total", "Runs that were due and could not be placed in time.", *_L)
WAITING = gauge(
    "vdbmon_schedule_waiting_since_timestamp_seconds",
    "When the run was due that waits for a host; absent where none waits.",
    *_L,
    unit=Unit.TIMESTAMP,
)
REFUSING = gauge(
    "vdbmon_schedule_refusing_hosts",
    "Hosts with this reason (docs/placement.md) against the run that waits, or that was missed last.",
    *_L,
    "code",
)
