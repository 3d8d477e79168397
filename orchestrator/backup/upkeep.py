"""What the catalogue needs now and then, whoever looks: logs that backups wait for, decisions that are owed to volumes.

`vdbmon serve` does it under its lease, and tells Prometheus how the backups are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from collector import fleet_metrics as metrics
from collector.errors import VdbmonError
from collector.metrics import Metric, Sample
from orchestrator.backup.entries import BACKUP_KINDS, PHYSICAL, Backup
from orchestrator.backup.feeding import job_of_kind, take_in_logs
from orchestrator.backup.job_names import JobName
from orchestrator.backup.noting import note_decisions
from orchestrator.backup.runner.record import Kind, State
from orchestrator.backup.states import lacks_logs, state_of, waits_for_logs
from orchestrator.engines.engine import EngineUnreachableError
from orchestrator.launch.protocols import Volumes
from orchestrator.ledger import LaunchState, Ledger

VolumesOf = Callable[[str], Volumes]


def keep_up(ledger: Ledger, volumes_of: VolumesOf) -> tuple[Backup, ...]:
    """Take in awaited logs and write owed decisions; the catalogue as it is then.

    Raises:
        VdbmonError: `backup.upkeep`, what could not be done for another reason than a host that is away.
    """
    errors = [*take_in_awaited_logs(ledger, volumes_of)]
    errors += note_decisions(ledger.backups, ledger.backups.all(), volumes_of).values()
    said = [error.message for error in errors if not isinstance(error, EngineUnreachableError)]
    if said:
        raise VdbmonError("backup.upkeep", "; ".join(dict.fromkeys(said)), "it is tried again")
    return ledger.backups.all()


def take_in_awaited_logs(ledger: Ledger, volumes_of: VolumesOf) -> Iterator[VdbmonError]:
    """See how far the binary logs are that are being fetched, where a backup waits for them; what went wrong."""
    running = (item for item in ledger.launches() if item.job == JobName.BINLOG and item.state is LaunchState.RUNNING)
    for source in sorted({launch.source for launch in running}):
        backups = ledger.backups.all(source=source)
        logs = [item for item in backups if item.kind is Kind.BINLOG and item.present]
        if any(lacks_logs(backup, logs) for backup in backups):
            try:
                take_in_logs(ledger, source, volumes_of)
            except VdbmonError as error:
                yield error


def catalogue_samples(backups: Sequence[Backup]) -> Iterator[Sample]:
    """How many backups there are of each source, kind and state, and since when logs are awaited."""
    by_source: dict[str, list[Backup]] = {}
    for backup in backups:
        if backup.present and backup.kind in BACKUP_KINDS:
            by_source.setdefault(backup.source, []).append(backup)
    for source, own in by_source.items():
        counts = Counter((backup.kind.value, state_of(backup, own).value) for backup in own)
        for (kind, state), number in counts.items():
            yield metrics.BACKUPS.sample(number, source, kind, state)
        newest = max((item for item in own if item.kind in PHYSICAL and item.good), key=_ended, default=None)
        if newest is not None and waits_for_logs(newest, own):
            yield metrics.LOGS_AWAITED.sample(newest.finished_at, source)


def newest_samples(backups: Iterable[Backup]) -> Iterator[Sample]:
    """When a source's backups were last made, verified, copied, and what failed last, by host.

    The agents tell the same from the jobs' own files, as long as they see them: the volume of a host that serve is not
    on is out of their sight when its container has ended.
    """
    newest: dict[tuple[Metric, tuple[str, ...]], float] = {}
    failed: dict[tuple[str, str, str], Backup] = {}
    for backup in backups:
        of_a_job = (backup.host, backup.source, job_of_kind(backup.kind))
        for metric, labels, moment in _moments(backup, of_a_job):
            newest[metric, labels] = max(moment, newest.get((metric, labels), moment))
        if backup.made is State.FAILED and backup.present:
            failed[of_a_job] = max(backup, failed.get(of_a_job, backup), key=_started)
    for (metric, labels), moment in newest.items():
        yield metric.sample(moment, *labels)
    for of_a_job, backup in failed.items():
        yield metrics.CATALOGUE_LAST_FAILURE.sample(backup.started_at, backup.volume, *of_a_job)


def _moments(backup: Backup, of_a_job: tuple[str, str, str]) -> Iterator[tuple[Metric, tuple[str, ...], float]]:
    of_a_source = (backup.host, backup.source)
    copied = backup.kind is Kind.COPY and backup.made is State.DONE  # wherever its container's volume is now
    if copied:
        yield metrics.CATALOGUE_LAST_COPY, of_a_source, backup.finished_at
    if copied or (backup.good and backup.kind is not Kind.VERIFY):
        yield metrics.CATALOGUE_LAST_SUCCESS, of_a_job, backup.finished_at
    if backup.good and backup.verified_at is not None:
        yield metrics.CATALOGUE_LAST_VERIFIED, of_a_source, backup.verified_at


def _ended(backup: Backup) -> float:
    return backup.finished_at


def _started(backup: Backup) -> float:
    return backup.started_at
