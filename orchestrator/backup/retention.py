"""Which backups may go: retention by count and by recovery window, as one pure function.

What is held, in this order of strength: what somebody keeps (`vdbmon backup keep`), what a running job reads or writes,
the last backup of each family that can be restored, what the policy wants, and whatever a held one needs to be
restored. A policy counts restore points: backups that can be restored with all their parents.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.backup.chains import age_order, by_id, children_first, restorable
from orchestrator.backup.entries import BACKUP_KINDS, PHYSICAL, Backup
from orchestrator.backup.runner.record import Kind, State
from orchestrator.backup.settings import Retention


class Held(StrEnum):
    """Why a backup stays."""

    KEPT = "kept"
    IN_USE = "in use"
    LAST = "last good one"
    COUNT = "count"
    WINDOW = "window"
    NO_POLICY = "no retention"
    NEEDED = "needed"
    LOGS = "logs"
    ELSEWHERE = "elsewhere"
    UNREPLACED = "not replaced yet"


_FAMILIES = (PHYSICAL, frozenset({Kind.LOGICAL}))
"""Backups that stand for each other."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A backup, and why it stays; `held` is None for one that may go."""

    backup: Backup
    held: Held | None
    text: str


def judge(
    backups: Sequence[Backup], policy: Retention | None, *, now: float, in_use: frozenset[str] = frozenset()
) -> tuple[Verdict, ...]:
    """A verdict on each backup of one source that is there, in an order in which they can be removed: children first.

    Args:
        backups: all of one source that the catalogue has.
        policy: None holds everything.
        now: seconds since the epoch.
        in_use: ids that a live launch reads or writes.
    """
    there = (item for item in backups if item.present and item.kind in BACKUP_KINDS)
    present = sorted(there, key=age_order, reverse=True)
    draft = _Draft(present, backups)
    for backup in present:
        if backup.kept(now):
            draft.hold(backup, Held.KEPT, f"kept: {backup.keep_why}")
        elif backup.id in in_use:
            draft.hold(backup, Held.IN_USE, "a running job uses it")
        elif policy is None:
            draft.hold(backup, Held.NO_POLICY, "its source has no retention")
        elif backup.kind is Kind.COPY:
            draft.hold(backup, Held.ELSEWHERE, "its repository has a retention of its own")
    for family in _FAMILIES:
        draft.judge_family([item for item in present if item.kind in family], policy, now)
    draft.hold_parents()
    draft.hold_logs([item for item in present if item.kind is Kind.BINLOG])
    return draft.verdicts()


def removable(verdicts: Iterable[Verdict]) -> tuple[Backup, ...]:
    """Those that may go, children before their parents."""
    return tuple(verdict.backup for verdict in verdicts if verdict.held is None)


class _Draft:
    """Verdicts so far; the first reason that is found counts."""

    def __init__(self, present: Sequence[Backup], backups: Sequence[Backup]) -> None:
        self._present = present
        self._known = by_id(backups)
        self._held: dict[str, tuple[Held, str]] = {}

    def hold(self, backup: Backup, held: Held, text: str) -> None:
        self._held.setdefault(backup.id, (held, text))

    def judge_family(self, newest_first: Sequence[Backup], policy: Retention | None, now: float) -> None:
        points = [backup for backup in newest_first if restorable(backup, self._known)]
        newest = points[0] if points else None
        if newest is not None:
            self.hold(newest, Held.LAST, "the last good one")
        if policy is not None and policy.count is not None:
            for backup in points[: policy.count]:
                self.hold(backup, Held.COUNT, f"one of the last {policy.count}")
        if policy is not None and policy.window is not None:
            self._hold_window(points, now - policy.window)
        for backup in newest_first:
            if backup not in points and (newest is None or age_order(newest) < age_order(backup)):
                self.hold(backup, Held.UNREPLACED, "no good one has come after it")

    def _hold_window(self, points: Sequence[Backup], begin: float) -> None:
        """Any moment since `begin` can be gone back to: from the last restore point before it on."""
        for backup in points:
            self.hold(backup, Held.WINDOW, "in the recovery window")
            if backup.finished_at <= begin:
                return

    def hold_parents(self) -> None:
        """A parent stays as long as a child does; newest first, so a child's verdict is final when it is read."""
        for backup in self._present:
            child = backup
            while child.id in self._held and child.kind is Kind.INCREMENTAL and child.parent in self._known:
                parent = self._known[child.parent]
                if not parent.present or parent.id in self._held:
                    break
                self.hold(parent, Held.NEEDED, f"{child.id} needs it")
                child = parent

    def hold_logs(self, newest_first: Sequence[Backup]) -> None:
        """Binary logs stay while a held physical backup is older than their end; the last ones stay anyway."""
        bases = [item for item in self._present if item.id in self._held and item.kind in PHYSICAL]
        oldest = min((item.started_at for item in bases if item.state is not State.FAILED), default=None)
        for place, backup in enumerate(newest_first):
            if place == 0:
                self.hold(backup, Held.LAST, "the last binary logs")
            elif oldest is not None and backup.finished_at >= oldest:
                self.hold(backup, Held.LOGS, "a backup that stays leads on into them")

    def verdicts(self) -> tuple[Verdict, ...]:
        return tuple(
            Verdict(backup, *self._held.get(backup.id, (None, "may go")))
            for backup in children_first(self._present, self._known)
        )
