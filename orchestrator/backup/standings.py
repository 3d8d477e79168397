"""How far the schedules are, for people and for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from collector import schedule_metrics as metrics
from collector.metrics import Metric, Sample
from orchestrator.backup.job_names import JobName
from orchestrator.backup.schedules import next_due
from orchestrator.backup.settings import ScheduleSettings
from orchestrator.ledger import Hindrance, Ledger, ScheduleProgress

_VERIFICATION = ":verify"
_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Standing:
    """A schedule and how far it is.

    Attributes:
        verification: how far verifying what it made is; None where none was tried yet.
    """

    schedule: ScheduleSettings
    progress: ScheduleProgress
    verification: ScheduleProgress | None = None

    @property
    def hindrance(self) -> Hindrance | None:
        """What keeps the run that waits, or kept the last one if that was missed."""
        if self.progress.trying is not None:
            return self.progress.hindrance
        missed = self.progress.last_miss if self.progress.has_missed else None
        return None if missed is None else missed.hindrance


def verifications_of(schedule: str) -> str:
    """The name in the ledger for verifying what a schedule made; no schedule can be called so."""
    return f"{schedule}{_VERIFICATION}"


def standings(ledger: Ledger, schedules: Iterable[ScheduleSettings], *, now: float) -> tuple[Standing, ...]:
    """How far the schedules are; one that was never run begins now."""
    known = {progress.name: progress for progress in ledger.schedules.all()}
    return tuple(
        Standing(
            item,
            known.get(item.name, ScheduleProgress(name=item.name, since=now, settled_until=now)),
            known.get(verifications_of(item.name)),
        )
        for item in schedules
    )


def schedule_samples(found: Iterable[Standing], *, now: float) -> Iterator[Sample]:
    """What Prometheus is told: schedules of one source and job are one promise, the strictest counts."""
    ages: dict[_Key, float] = {}
    since: dict[_Key, float] = {}
    coming: dict[_Key, float] = {}
    missed: dict[_Key, float] = {}
    waiting: dict[_Key, float] = {}
    refusing: dict[tuple[str, ...], float] = {}
    for standing in found:
        schedule, progress = standing.schedule, standing.progress
        key = schedule.source, schedule.job.value
        _least(ages, key, schedule.fresh)
        _least(since, key, progress.since)
        _least(coming, key, next_due(schedule, after=now))
        missed[key] = missed.get(key, 0) + progress.missed
        _least(waiting, key, progress.trying if progress.hindrance is not None else None)
        _count_refusals(refusing, key, standing.hindrance)
        if schedule.verify is not None:
            verification = schedule.source, JobName.VERIFY.value
            _least(ages, verification, schedule.verify)
            _least(since, verification, progress.since)
    of: tuple[tuple[Metric, dict[_Key, float]], ...] = (
        (metrics.MAX_AGE, ages),
        (metrics.SINCE, since),
        (metrics.NEXT, coming),
        (metrics.MISSED, missed),
        (metrics.WAITING, waiting),
    )
    for metric, values in of:
        for labels, value in values.items():
            yield metric.sample(value, *labels)
    for labels_and_code, hosts in refusing.items():
        yield metrics.REFUSING.sample(hosts, *labels_and_code)


def _count_refusals(counts: dict[tuple[str, ...], float], key: _Key, hindrance: Hindrance | None) -> None:
    """Of several schedules of one source and job the one that most hosts refuse counts."""
    own: dict[str, int] = {}
    for said in hindrance.against.values() if hindrance is not None else ():
        for code in {code for code, _ in said}:
            own[code] = own.get(code, 0) + 1
    for code, hosts in own.items():
        labels = (*key, code)
        counts[labels] = max(hosts, counts.get(labels, 0))


def _least(values: dict[_Key, float], key: _Key, value: float | None) -> None:
    if value is not None:
        values[key] = min(value, values.get(key, value))
