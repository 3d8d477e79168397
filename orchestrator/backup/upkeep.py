"""What the catalogue needs now and then, whoever looks: logs that backups wait for, decisions that are owed to volumes.

`vdbmon serve` does it under its lease, and tells Prometheus how the backups are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from collector import fleet_metrics as metrics
from collector.errors import VdbmonError
from collector.metrics import Sample
from orchestrator.backup.entries import BACKUP_KINDS, PHYSICAL, Backup
from orchestrator.backup.feeding import take_in_logs
from orchestrator.backup.job_names import JobName
from orchestrator.backup.noting import note_decisions
from orchestrator.backup.runner.record import Kind
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


def _ended(backup: Backup) -> float:
    return backup.finished_at
