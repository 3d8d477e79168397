"""A backup as the catalogue has it: what its own record says, where it is, and what was decided about it since.

Times are seconds since the epoch, sizes bytes, durations seconds; log sequence numbers (LSN) are InnoDB's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from orchestrator.backup.runner.record import Kind, Record, State

PHYSICAL = frozenset({Kind.FULL, Kind.INCREMENTAL})
RESTORABLE = PHYSICAL | {Kind.LOGICAL}
"""Kinds that a restore begins with."""
VOLUME_KINDS = PHYSICAL | {Kind.LOGICAL, Kind.BINLOG}
"""Kinds whose volume holds data of a source that nothing else may hold."""
BACKUP_KINDS = VOLUME_KINDS | {Kind.COPY}
"""With those whose data are elsewhere; entries of other kinds are about what was done with a backup."""

GOOD = frozenset({State.DONE, State.VERIFIED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """One backup, or what was done with one.

    Attributes:
        id: name of its folder in the volume.
        made: how its job ended.
        parent: the backup that an increment builds on, or that was copied, verified or restored.
        reason: why its job failed.
        damage: what a verification found wrong with it; None as long as none did.
        host: that has the volume.
        volume: its sized volume.
        request_id: of the launch that made it; None where only its volume is known.
        verified_at: when a restore of it was last found to be good.
        verified_by: id of that verification.
        keep_why: why somebody keeps it, whatever the retention says; None if nobody does.
        keep_until: None for as long as nobody takes it back.
        condemned_at: its removal is decided and may be under way: it is no part of any chain any more.
        removed_at: its volume is gone; the entry stays as history.
        decided_at: when the last of what was decided about it (damage, verified, keep) was decided.
        noted_at: of that, what stands beside the backup as well (`orchestrator.backup.decisions`).
        record: the runner's own, in JSON terms.
    """

    id: str
    source: str
    kind: Kind
    made: State
    parent: str | None = None
    reason: str | None = None
    damage: str | None = None
    host: str
    volume: str
    request_id: str | None = None
    started_at: float
    finished_at: float
    seconds: float
    bytes_raw: int
    bytes_stored: int
    lock_seconds: float | None = None
    from_lsn: int | None = None
    to_lsn: int | None = None
    first_binlog_file: str | None = None
    binlog_file: str | None = None
    binlog_position: int | None = None
    gtid: str | None = None
    verified_at: float | None = None
    verified_by: str | None = None
    keep_why: str | None = None
    keep_until: float | None = None
    condemned_at: float | None = None
    removed_at: float | None = None
    decided_at: float | None = None
    noted_at: float | None = None
    record: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def state(self) -> State:
        """How it is, with what verifications found: the newest one counts."""
        if self.damage is not None:
            return State.FAILED
        return State.VERIFIED if self.made is State.DONE and self.verified_at is not None else self.made

    @property
    def present(self) -> bool:
        """Whether its volume is there, and is to stay."""
        return self.condemned_at is None and self.removed_at is None

    @property
    def good(self) -> bool:
        """Whether it is there and whole, as far as it itself can say; an increment needs its parents as well."""
        return self.present and self.state in GOOD

    def kept(self, now: float) -> bool:
        """Whether an operator's word keeps it."""
        return self.keep_why is not None and (self.keep_until is None or self.keep_until > now)


def entry_of(record: Record, *, host: str, volume: str, request_id: str | None = None) -> Backup:
    """The entry of a backup that has just ended, or was found."""
    document: dict[str, Any] = json.loads(json.dumps(asdict(record)))
    return Backup(
        id=record.backup_id,
        source=record.source,
        kind=record.kind,
        made=record.state,
        parent=record.parent,
        reason=record.reason,
        host=host,
        volume=volume,
        request_id=request_id,
        started_at=_seconds(record.started_at),
        finished_at=_seconds(record.finished_at),
        seconds=record.seconds,
        bytes_raw=record.bytes_raw,
        bytes_stored=record.bytes_stored,
        lock_seconds=record.lock_seconds,
        from_lsn=record.from_lsn,
        to_lsn=record.to_lsn,
        first_binlog_file=record.first_binlog_file,
        binlog_file=record.binlog_file,
        binlog_position=record.binlog_position,
        gtid=record.gtid,
        record=document,
    )


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
