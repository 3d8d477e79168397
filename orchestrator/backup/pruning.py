"""Remove what the retention doesn't hold: decided in one transaction, then done one by one, children first.

A backup that is condemned is no part of any chain any more, so whatever happens to its removal no placement builds on
half of it; the next prune goes on with those that were left.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from collector.errors import VdbmonError
from orchestrator.backup.chains import by_id, children_first
from orchestrator.backup.entries import Backup
from orchestrator.backup.retention import Held, Verdict, judge, removable
from orchestrator.ledger import Ledger
from orchestrator.placement.removal import Remover
from orchestrator.settings import SourceSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What became of one source's backups.

    Attributes:
        removed: ids.
        stopped: why it stopped before all were removed; None if all were.
    """

    removed: tuple[str, ...]
    stopped: VdbmonError | None = None


def judge_source(ledger: Ledger, source: SourceSettings, *, hosts: Collection[str], now: float) -> tuple[Verdict, ...]:
    """A verdict on each backup of a source that is there, and nothing is done; `hosts` as in `prune_source`."""
    catalogue = ledger.backups
    return _judge(catalogue.all(source=source.name), catalogue.in_use(source.name), source, hosts=hosts, now=now)


def prune_source(
    ledger: Ledger, remover: Remover, source: SourceSettings, *, hosts: Collection[str], who: str, now: float
) -> Pruned:
    """Remove what the source's retention doesn't hold.

    Args:
        ledger: has the catalogue.
        remover: takes volumes away.
        source: whose retention counts.
        hosts: whose volumes can be removed from here; those of others are left.
        who: the operator, for the record.
        now: seconds since the epoch.
    """

    def choose(backups: Sequence[Backup], in_use: frozenset[str]) -> tuple[Backup, ...]:
        return removable(_judge(backups, in_use, source, hosts=hosts, now=now))

    removed: list[str] = []
    condemned = ledger.backups.condemn(source.name, choose, who=who, at=now)
    for backup in children_first(condemned, by_id(ledger.backups.all(source=source.name))):
        try:
            remover.remove_volume(backup.host, backup.volume)
        except VdbmonError as error:
            # Nothing after it: its parents may be among them.
            return Pruned(removed=tuple(removed), stopped=error)
        ledger.backups.removed(backup.id, at=now, why="pruned")
        removed.append(backup.id)
    return Pruned(removed=tuple(removed))


def _judge(
    backups: Sequence[Backup],
    in_use: frozenset[str],
    source: SourceSettings,
    *,
    hosts: Collection[str],
    now: float,
) -> tuple[Verdict, ...]:
    """Parents and children are on one host, so what is left on another holds nothing up."""
    return tuple(
        verdict
        if verdict.held or verdict.backup.host in hosts
        else Verdict(verdict.backup, Held.ELSEWHERE, f"it is on {verdict.backup.host}; run this command there")
        for verdict in judge(backups, source.retention, now=now, in_use=in_use)
    )
