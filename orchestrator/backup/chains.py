"""Which backups belong together: an increment with its parents, a point in time with its binary logs. Pure.

A chain is full first: `full <- increment <- increment`. Each increment begins at the log sequence number (LSN) at which
its parent ends; mariadb-backup would refuse anything else at the restore, so it is looked at before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from collector.errors import VdbmonError
from orchestrator.backup.entries import PHYSICAL, Backup
from orchestrator.backup.runner.record import Kind

Chain = tuple[Backup, ...]


class ChainError(VdbmonError):
    """What a restore of a backup needs isn't all there: `backup.chain_broken`.

    Attributes:
        why: the sentence without the backup.
    """

    def __init__(self, backup: Backup, why: str) -> None:
        self.why = why
        super().__init__("backup.chain_broken", f"{backup.id} can't be restored: {why}", "restore an earlier one")


def by_id(backups: Iterable[Backup]) -> dict[str, Backup]:
    """Backups by their ids."""
    return {backup.id: backup for backup in backups}


def chain_of(backup: Backup, known: Mapping[str, Backup]) -> Chain:
    """What a restore of a backup reads, full first.

    Raises:
        ChainError: it or a parent isn't good, isn't there, or doesn't join.
    """
    chain = [backup]
    while True:
        first = chain[0]
        if not first.good:
            raise ChainError(backup, f"{first.id} {_wrong_with(first)}")
        if first.kind is not Kind.INCREMENTAL:
            return tuple(chain)
        parent = known.get(first.parent or "")
        if parent is None:
            raise ChainError(backup, f"the catalogue has no {first.parent}, on which {first.id} builds")
        if parent in chain or parent.kind not in PHYSICAL or parent.source != backup.source:
            raise ChainError(backup, f"{first.id} can't build on {parent.id}")
        if parent.host != backup.host:
            raise ChainError(backup, f"{parent.id} is on {parent.host}, not on {backup.host}")
        if parent.to_lsn is None or first.from_lsn != parent.to_lsn:
            raise ChainError(backup, f"{first.id} begins at LSN {first.from_lsn}, {parent.id} ends at {parent.to_lsn}")
        chain.insert(0, parent)


def restorable(backup: Backup, known: Mapping[str, Backup]) -> bool:
    """Whether a restore of it has all that it needs."""
    try:
        chain_of(backup, known)
    except ChainError:
        return False
    return True


def newest_restorable(
    backups: Sequence[Backup], source: str, *, kinds: frozenset[Kind] = PHYSICAL, until: float | None = None
) -> Backup | None:
    """The last backup of a source that can be restored; with `until` the last that had ended by then."""
    known = by_id(backups)
    found = (
        backup
        for backup in sorted(backups, key=age_order, reverse=True)
        if backup.source == source and backup.kind in kinds and (until is None or backup.finished_at <= until)
    )
    return next((backup for backup in found if restorable(backup, known)), None)


def parent_for(backups: Sequence[Backup], source: str, *, now: float, full_every: float | None = None) -> Backup | None:
    """The backup that the next increment of a source builds on; None if the next one is to be full.

    Args:
        backups: the catalogue.
        source: by name.
        now: seconds since the epoch.
        full_every: seconds after which a full one is due again; None for never.
    """
    newest = newest_restorable(backups, source)
    if newest is None or newest.to_lsn is None:
        return None
    full = chain_of(newest, by_id(backups))[0]
    return None if full_every is not None and now - full.started_at >= full_every else newest


def children_of(backup: Backup, backups: Iterable[Backup]) -> Chain:
    """The increments that build on it directly and are there."""
    return tuple(
        child for child in backups if child.kind is Kind.INCREMENTAL and child.parent == backup.id and child.present
    )


def binlogs_for(base: Backup, backups: Iterable[Backup]) -> Chain:
    """The folders of binary logs that lead on from a backup, oldest first.

    Raises:
        VdbmonError: `backup.no_binlogs`, the backup names no position, or no folder begins at or before it.
    """
    position = base.binlog_file
    if position is None:
        raise VdbmonError("backup.no_binlogs", f"{base.id} names no position in the binary logs", "log-bin was off")
    logs = sorted(
        (item for item in backups if item.kind is Kind.BINLOG and item.source == base.source and item.present),
        key=age_order,
    )
    needed = tuple(item for item in logs if item.host == base.host and (item.binlog_file or "") >= position)
    first = min((item.first_binlog_file for item in needed if item.first_binlog_file), default=None)
    if first is None or first > position:
        begins = f"those there are begin at {first}" if first else "there are none on its host"
        raise VdbmonError(
            "backup.no_binlogs", f"no binary logs lead on from {position}, where {base.id} ends: {begins}"
        )
    return needed


def children_first(backups: Iterable[Backup], known: Mapping[str, Backup]) -> list[Backup]:
    """An order in which backups can be removed: newest first, and never a parent before its child.

    A clock that was set back may have made a child older than its parent: the place in the chain goes before the age.
    """
    return sorted(backups, key=lambda item: (_depth(item, known), *age_order(item)), reverse=True)


def age_order(backup: Backup) -> tuple[float, str]:
    """Oldest first; the id decides between equals."""
    return backup.finished_at, backup.id


def _depth(backup: Backup, known: Mapping[str, Backup]) -> int:
    seen = {backup.id}
    while backup.kind is Kind.INCREMENTAL and (backup.parent or "") in known and backup.parent not in seen:
        backup = known[backup.parent or ""]
        seen.add(backup.id)
    return len(seen)


def _wrong_with(backup: Backup) -> str:
    if backup.removed_at is not None:
        return "was removed"
    if backup.condemned_at is not None:
        return "is being removed"
    why = backup.damage or backup.reason
    return f"is {backup.state}" + (f": {why}" if why else "")
