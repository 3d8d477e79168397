"""How backups are, with what no single record says: jobs under way, and binary logs that are still to come. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from orchestrator.backup.entries import BACKUP_KINDS, PHYSICAL, Backup
from orchestrator.backup.feeding import KIND_OF_JOB
from orchestrator.backup.progress import Progress
from orchestrator.backup.runner.record import Kind, State
from orchestrator.ledger import LaunchRecord, LaunchState


def state_of(backup: Backup, backups: Iterable[Backup]) -> State:
    """How it is; `waiting_for_logs` until the binary logs that lead on from it are there, where they are fetched.

    It can be restored as it is meanwhile, only not to a later moment. A verified one stays verified.

    Args:
        backup: to tell of.
        backups: all of its source.
    """
    if backup.state is State.DONE and waits_for_logs(backup, backups):
        return State.WAITING_FOR_LOGS
    return backup.state


def waits_for_logs(backup: Backup, backups: Iterable[Backup]) -> bool:
    """Whether binary logs of its source are fetched, and those from its position on aren't there yet."""
    logs = [item for item in backups if item.kind is Kind.BINLOG and item.source == backup.source and item.present]
    return bool(logs) and lacks_logs(backup, logs)


def lacks_logs(backup: Backup, logs: Iterable[Backup]) -> bool:
    """Whether it is one that binary logs could lead on from, and none of these do."""
    could = backup.good and backup.kind in PHYSICAL and backup.binlog_file is not None
    return could and not any(_reaches(item, backup) for item in logs)


def logs_until(backup: Backup, backups: Iterable[Backup]) -> float | None:
    """Up to when the binary logs that lead on from it are known to be complete; None if none do."""
    if not backup.good or backup.kind not in PHYSICAL or backup.binlog_file is None:
        return None
    logs = (item for item in backups if item.kind is Kind.BINLOG and item.source == backup.source and item.present)
    moments = (item.record.get("restored_to") for item in logs if _reaches(item, backup))
    return max((datetime.fromisoformat(moment).timestamp() for moment in moments if moment), default=None)


def _reaches(logs: Backup, backup: Backup) -> bool:
    """A restore reads them on the backup's own host."""
    if logs.host != backup.host or logs.first_binlog_file is None or logs.binlog_file is None:
        return False
    end = logs.binlog_file, logs.binlog_position or 0
    position = backup.binlog_file or "", backup.binlog_position or 0
    return logs.first_binlog_file <= position[0] and end >= position


def under_way(
    launches: Iterable[LaunchRecord], progress: Mapping[str, Progress], known: Collection[str]
) -> Iterator[Backup]:
    """Backups that jobs are making now, `started` or `copied`; those that the catalogue knows are left out.

    Args:
        launches: of the ledger.
        progress: by container, as its job tells it.
        known: ids in the catalogue.
    """
    for launch in launches:
        kind = KIND_OF_JOB.get(launch.job)
        if launch.state is not LaunchState.RUNNING or kind not in BACKUP_KINDS or launch.volume in {None, *known}:
            continue
        told = progress.get(launch.name)
        yield _begun(launch, _kind(kind, launch), told)


def _kind(kind: Kind, launch: LaunchRecord) -> Kind:
    return Kind.INCREMENTAL if kind is Kind.FULL and launch.spec.get("reads") else kind


def _begun(launch: LaunchRecord, kind: Kind, told: Progress | None) -> Backup:
    reads: Sequence[str] = launch.spec.get("reads", ())
    return Backup(
        id=launch.volume or "",
        source=launch.source,
        kind=kind,
        made=State.COPIED if told is not None and told.state is State.COPIED else State.STARTED,
        parent=reads[-1] if reads else None,
        host=launch.host,
        volume=launch.volume or "",
        request_id=launch.request_id,
        started_at=launch.created_at,
        finished_at=launch.updated_at,
        seconds=0.0,
        bytes_raw=(told.done or 0) if told is not None else 0,
        bytes_stored=told.stored if told is not None else 0,
        record={},
    )
