"""Remove what the retention doesn't hold: decided in one transaction, then done one by one, children first.

A backup that is condemned is no part of any chain any more, so whatever happens to its removal no placement builds on
half of it; the next prune goes on with those that were left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from collector.errors import VdbmonError
from orchestrator.backup.chains import by_id, children_first
from orchestrator.backup.entries import Backup
from orchestrator.backup.retention import Held, Verdict, judge, removable
from orchestrator.backup.runner.record import Kind
from orchestrator.backup.sight import Sight
from orchestrator.ledger import Ledger
from orchestrator.placement.removal import Remover
from orchestrator.settings import SourceSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What became of one source's backups.

    Attributes:
        removed: ids.
        stopped: hosts on which it stopped before all were removed, and why.
        left: ids whose removal was decided earlier and can't be done from here, and why.
    """

    removed: tuple[str, ...]
    stopped: Mapping[str, VdbmonError]
    left: Mapping[str, str]


def judge_source(ledger: Ledger, source: SourceSettings, *, sight: Sight, now: float) -> tuple[Verdict, ...]:
    """A verdict on each backup of a source that is there, and nothing is done."""
    catalogue = ledger.backups
    return _judge(catalogue.all(source=source.name), catalogue.in_use(source.name), source, sight=sight, now=now)


def prune_source(
    ledger: Ledger, remover: Remover, source: SourceSettings, *, sight: Sight, who: str, now: float
) -> Pruned:
    """Remove what the source's retention doesn't hold.

    Args:
        ledger: has the catalogue.
        remover: takes volumes away.
        source: whose retention counts.
        sight: what can be removed from here; the rest is left.
        who: the operator, for the record.
        now: seconds since the epoch.
    """

    def choose(backups: Sequence[Backup], in_use: frozenset[str]) -> tuple[Backup, ...]:
        return removable(_judge(backups, in_use, source, sight=sight, now=now))

    removed: list[str] = []
    stopped: dict[str, VdbmonError] = {}
    left: dict[str, str] = {}
    condemned = ledger.backups.condemn(source.name, choose, who=who, at=now)
    for backup in children_first(condemned, by_id(ledger.backups.all(source=source.name))):
        if backup.host in stopped:
            continue  # its child may be what could not be removed
        hindrance = sight.hindrance(backup)
        if hindrance is not None:
            left[backup.id] = hindrance
            continue
        try:
            remover.remove_volume(backup.host, backup.volume)
        except VdbmonError as error:
            stopped[backup.host] = error
            continue
        ledger.backups.removed(backup.id, at=now, why="pruned")
        removed.append(backup.id)
    return Pruned(removed=tuple(removed), stopped=stopped, left=left)


def _judge(
    backups: Sequence[Backup],
    in_use: frozenset[str],
    source: SourceSettings,
    *,
    sight: Sight,
    now: float,
) -> tuple[Verdict, ...]:
    return tuple(_within_sight(judge(backups, source.retention, now=now, in_use=in_use), sight))


def _within_sight(verdicts: Sequence[Verdict], sight: Sight) -> Iterator[Verdict]:
    """What can't be removed from here stays, and so do its parents, which come after it."""
    needed: dict[str, str] = {}
    for verdict in verdicts:
        backup, found = verdict.backup, verdict
        if verdict.held is None and backup.id in needed:
            found = Verdict(backup, Held.NEEDED, f"{needed[backup.id]} needs it")
        elif verdict.held is None and (hindrance := sight.hindrance(backup)) is not None:
            found = Verdict(backup, Held.ELSEWHERE, hindrance)
        if found is not verdict and backup.kind is Kind.INCREMENTAL and backup.parent is not None:
            needed[backup.parent] = backup.id
        yield found
