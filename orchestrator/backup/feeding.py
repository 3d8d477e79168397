"""What goes into the catalogue when a job ends, or when its record is found in a volume."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from orchestrator.backup.entries import Backup, entry_of
from orchestrator.backup.job_names import JobName
from orchestrator.backup.runner.errors import Code
from orchestrator.backup.runner.record import Kind, Record, State
from orchestrator.launch.protocols import Volumes
from orchestrator.ledger import BackupCatalogue, LaunchRecord, Ledger

KIND_OF_JOB: Mapping[str, Kind] = MappingProxyType(
    {
        JobName.BACKUP: Kind.FULL,
        JobName.LOGICAL: Kind.LOGICAL,
        JobName.BINLOG: Kind.BINLOG,
        JobName.RESTORE: Kind.RESTORE,
        JobName.VERIFY: Kind.VERIFY,
        JobName.STANDBY: Kind.STANDBY,
        JobName.COPY: Kind.COPY,
    }
)


def job_of_kind(kind: Kind) -> str:
    """The job that makes what is of this kind; an increment is a backup."""
    return JobName.BACKUP if kind is Kind.INCREMENTAL else _JOB_OF_KIND[kind]


_JOB_OF_KIND = {made: job for job, made in KIND_OF_JOB.items()}
_DAMAGE = frozenset(
    {
        Code.BACKUP_DAMAGED,
        Code.BACKUP_UNFINISHED,
        Code.BACKUP_CHAIN,
        Code.SERVER_FAILED,
        Code.TABLE_DAMAGED,
        Code.TABLE_DIFFERS,
    }
)
"""The runner's codes that speak against the backup that was verified."""


def feed(catalogue: BackupCatalogue, launch: LaunchRecord, result: Record | None, *, message: str, at: float) -> None:
    """Take in how a launch ended; one that left no record has failed, and `message` says why."""
    if launch.volume is None or launch.job not in KIND_OF_JOB:
        return
    if result is None or not speaks_of(result, launch):
        # What a binlog job has fetched is good however it ended, and is known from when it ran.
        known = {item.id for item in catalogue.all(source=launch.source)}
        if launch.job != JobName.BINLOG or launch.volume not in known:
            catalogue.put(_failed(launch, message or "it left no record", at=at))
        return
    entry = entry_of(result, host=launch.host, volume=launch.volume, request_id=launch.request_id)
    take(catalogue, entry, reads=launch.spec.get("reads", ()))


def take_in_logs(ledger: Ledger, source: str, volumes_of: Callable[[str], Volumes]) -> None:
    """Take in how far the binary logs of a source are that are being fetched: their job writes its record as it runs.

    Raises:
        VdbmonError: a volume can't be looked into.
    """
    for launch in ledger.launches():
        if launch.job != JobName.BINLOG or launch.source != source or launch.volume is None:
            continue
        found = volumes_of(launch.host).record(launch.volume)
        if found is not None and speaks_of(found, launch):
            entry = entry_of(found, host=launch.host, volume=launch.volume, request_id=launch.request_id)
            ledger.backups.put(entry)


def take(catalogue: BackupCatalogue, entry: Backup, *, reads: tuple[str, ...] | list[str]) -> None:
    """Take in an entry, and what it says of the backup that it verified; `reads` are those that it was given."""
    catalogue.put(entry)
    if entry.kind is Kind.VERIFY and entry.parent is not None and entry.parent in reads:
        damage = None if entry.made is State.VERIFIED else found_damage(entry)
        if entry.made is State.VERIFIED or damage is not None:
            catalogue.verified(entry.parent, by=entry.id, at=entry.finished_at, damage=damage)


def found_damage(verification: Backup) -> str | None:
    """What a failed verification says of its backup; None if it failed for a reason of its own (no space, killed)."""
    code = str(verification.record.get("code") or "")
    return verification.reason or code if code in _DAMAGE else None


def speaks_of(result: Record, launch: LaunchRecord) -> bool:
    """Whether a record is that of the launch."""
    return result.backup_id == launch.volume and result.source == launch.source


def _failed(launch: LaunchRecord, reason: str, *, at: float) -> Backup:
    return Backup(
        id=launch.volume or "",
        source=launch.source,
        kind=KIND_OF_JOB[launch.job],
        made=State.FAILED,
        reason=reason,
        host=launch.host,
        volume=launch.volume or "",
        request_id=launch.request_id,
        started_at=launch.created_at,
        finished_at=at,
        seconds=max(at - launch.created_at, 0.0),
        bytes_raw=0,
        bytes_stored=0,
    )
