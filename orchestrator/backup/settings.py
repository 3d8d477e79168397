"""What the configuration says of backups beside their source: how long they are kept, and when they are made."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import Field

from collector.quantities import Seconds
from orchestrator.backup.job_names import ENDLESS, JobName

_SCHEDULE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,29}")
"""A launch's name is that of its schedule and the due time, and holds 48 characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long backups stay; what either of the two wants is kept.

    Attributes:
        count: the last so many that can be restored.
        window: any moment within so long can be gone back to.
    """

    count: Annotated[int, Field(gt=0)] | None = None
    window: Seconds | None = None

    def __post_init__(self) -> None:
        if self.count is None and self.window is None:
            raise ValueError("give count, window or both; without a retention everything is kept")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSettings:
    """A job that comes again; `vdbmon serve` places it.

    Attributes:
        name: of the schedule; its runs are called after it and their due time.
        source: by name.
        job: `backup`, `logical`, `verify` and `copy` come again; `verify` and `copy` take the last good backup.
        cron: minute, hour, day of the month, month, day of the week, as in crontab(5).
        timezone: of `cron`.
        incremental: make increments of the last good backup; a full one where there is none.
        full_every: with `incremental`: a full one again when the last is that old.
        start_within: a run that can't be placed is tried again for so long, and no longer than until the next one is
            due; then it is missed.
        fresh: how old the last good run may get; `BackupTooOld` and its like page beyond it.
        verify: restore and check every backup that this schedule makes, and how old the last good check may get.
        size: what a run may use: `auto` for what earlier ones needed and a margin, or as `vdbmon place` takes it
            (cpus, memory, disk, read_bps, write_bps).
        host: only there; `zone`, `device_class`, `pool` and `labels` likewise, as `vdbmon place` has them.
        apart: not beside another job of the source.
    """

    name: str
    source: str
    job: JobName = JobName.BACKUP
    cron: str
    timezone: str = "UTC"
    incremental: bool = False
    full_every: Seconds | None = None
    start_within: Seconds = 3600.0
    fresh: Seconds | None = None
    verify: Seconds | None = None
    size: str | dict[str, str | float] = "auto"
    host: str | None = None
    zone: str | None = None
    device_class: str | None = None
    pool: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    apart: bool = False

    def __post_init__(self) -> None:
        if not _SCHEDULE_NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is no name of a schedule; use at most 30 of a-z, 0-9 and dash")
        try:
            CronSim(self.cron, datetime(2000, 1, 1, tzinfo=UTC))
        except CronSimError as error:
            raise ValueError(f"cron {self.cron!r}: {error}; write for example '30 2 * * *'") from error
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"no time zone {self.timezone!r}; write for example UTC or Europe/Berlin") from error
        if isinstance(self.size, str) and self.size != "auto":
            raise ValueError(f"size {self.size!r}: give auto, or a table such as {{ cpus = 2, memory = '4GiB' }}")
        if self.job in ENDLESS or self.job is JobName.RESTORE:
            raise ValueError(f"job {self.job} can't come again; place it once")
        if self.job is not JobName.BACKUP and (self.incremental or self.full_every or self.verify):
            raise ValueError("incremental, full_every and verify are for job backup")
