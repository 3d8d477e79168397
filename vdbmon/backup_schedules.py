"""`vdbmon backup schedules`: what is due when, what waits for a host, what was missed, and why."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from collector.errors import ConfigError
from orchestrator.backup.schedules import next_due
from orchestrator.backup.standings import Standing, standings
from orchestrator.ledger import Hindrance, ScheduleProgress
from orchestrator.placement.scheduler import Scheduler
from vdbmon.backup_options import JsonOption, opened
from vdbmon.columns import columns, say
from vdbmon.options import ConfigOption
from vdbmon.times import time_text


def schedules(
    name: Annotated[str | None, typer.Argument(help="Only this one, with what each host has against it.")] = None,
    *,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Schedules: when the next run is due, which one waits for a host, which was missed, and why."""
    with opened(config) as scheduler:
        found = standings_of(scheduler)
    now = time.time()
    if name is not None:
        found = [item for item in found if item.schedule.name == name] or _refuse(name, found)
    if as_json:
        typer.echo(json.dumps([_document(item, now) for item in found], indent=2))
    elif not found:
        typer.echo("no schedules; describe them in [[schedules]]")
    else:
        hosts = (line for item in found if name is not None for line in _host_lines(item.hindrance))
        say((*_rows(found, now), *late_lines(found, now=now), *hosts))


def standings_of(scheduler: Scheduler) -> list[Standing]:
    """How far the schedules of a configuration are."""
    return list(standings(scheduler.ledger, scheduler.fleet.schedules, now=scheduler.clock()))


def late_lines(found: Iterable[Standing], *, now: float, source: str | None = None) -> Iterator[str]:
    """A line for each run that waits, or that was missed and not made up for since."""
    for standing in found:
        schedule, progress = standing.schedule, standing.progress
        if source not in {None, schedule.source}:
            continue
        what = f"{schedule.name} ({schedule.job} of {schedule.source})"
        if progress.trying is not None and progress.hindrance is not None:
            due, why = time_text(progress.trying), progress.hindrance.why
            yield f"waiting: {what}, due {due}, {_tries(progress, now)}: {why}"
        elif progress.has_missed and (miss := progress.last_miss) is not None:
            runs = "" if miss.runs == 1 else f"{miss.runs} runs, the last one "
            tries = "never tried" if not miss.tries else f"tried {_times(miss.tries)}"
            yield f"missed: {what}, {runs}due {time_text(miss.due)}, {tries}: {miss.hindrance.why}"
        checked = standing.verification
        if checked is not None and checked.trying is not None and checked.hindrance is not None:
            yield f"waiting: verification of what {schedule.name} made, {_tries(checked, now)}: {checked.hindrance.why}"


def _rows(found: Sequence[Standing], now: float) -> Iterator[str]:
    rows = [
        (
            item.schedule.name,
            item.schedule.source,
            item.schedule.job.value,
            _moment(next_due(item.schedule, after=now)),
            _moment(item.progress.last_placed),
            str(item.progress.missed),
            _state(item.progress),
        )
        for item in found
    ]
    yield from columns(("schedule", "source", "job", "next", "last placed", "missed", "now"), rows)


def _state(progress: ScheduleProgress) -> str:
    if progress.trying is not None and progress.hindrance is not None:
        return "waiting"
    return "missed" if progress.has_missed else "ok"


def _tries(progress: ScheduleProgress, now: float) -> str:
    """How often it was tried, and when it is again; a launch that stopped halfway is not, until it is known undone."""
    if progress.retry_at is None:
        return "not tried again before `vdbmon reconcile` has finished or undone it"
    again = "now" if progress.retry_at <= now else f"at {time_text(progress.retry_at)}"
    return f"tried {_times(progress.tries)}, again {again}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _host_lines(hindrance: Hindrance | None) -> Iterator[str]:
    for host, said in sorted(hindrance.against.items()) if hindrance is not None else ():
        for code, sentence in said:
            yield f"  {host}: {code}: {sentence}"


def _document(standing: Standing, now: float) -> dict[str, Any]:
    schedule = standing.schedule
    progress = {key: value for key, value in _plain(standing.progress).items() if key != "name"}
    return {
        "schedule": schedule.name,
        "source": schedule.source,
        "job": schedule.job.value,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "next_due": next_due(schedule, after=now),
        "state": _state(standing.progress),
        **progress,
        "verification": None if standing.verification is None else _plain(standing.verification),
    }


def _plain(progress: ScheduleProgress) -> dict[str, Any]:
    return asdict(progress)


def _refuse(name: str, found: Iterable[Standing]) -> list[Standing]:
    known = ", ".join(sorted(item.schedule.name for item in found)) or "none"
    raise ConfigError("request.schedule", f"no schedule {name!r}", f"known: {known}")


def _moment(at: float | None) -> str:
    return "-" if at is None else time_text(at)
