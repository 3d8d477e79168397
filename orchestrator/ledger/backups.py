"""The catalogue of backups in the ledger. Every method is one transaction.

What a record says and what was decided about a backup since are different columns: a record that is read again (a
launch settled twice, a scan) never takes back a verification or an operator's word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, Row, select, update
from sqlalchemy.dialects import postgresql, sqlite

from collector.errors import VdbmonError
from orchestrator.backup.decisions import Decisions
from orchestrator.backup.entries import Backup
from orchestrator.backup.runner.record import Kind, State
from orchestrator.ledger import generations, schema
from orchestrator.ledger.database import Database
from orchestrator.ledger.journal import append
from orchestrator.ledger.records import READING, Event

_NOTED = ("damage", "verified_at", "verified_by", "keep_why", "keep_until")
_DECIDED = (*_NOTED, "condemned_at", "decided_at", "noted_at")
"""What isn't in a backup's own record."""

_LONGEST = 1024
_TICK = 0.001
"""Between two decisions about one backup, so that the later one is known from the earlier whatever the clocks say."""


class BackupNotFoundError(VdbmonError):
    """There is no such backup: `backup.not_found`."""

    def __init__(self, backup_id: str) -> None:
        super().__init__("backup.not_found", f"no backup {backup_id}", "see `vdbmon backup list`")


class BackupCatalogue:
    """Reads and writes entries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, *, source: str | None = None) -> tuple[Backup, ...]:
        """Every entry, or those of one source, oldest first; removed ones too."""
        with self._database.reading() as connection:
            return _backups(connection, source)

    def get(self, beginning: str) -> Backup:
        """The entry of that id, or the only one whose id begins so.

        Raises:
            BackupNotFoundError: there is none.
            VdbmonError: `backup.ambiguous`.
        """
        found = [backup for backup in self.all() if backup.id.startswith(beginning)]
        exact = [backup for backup in found if backup.id == beginning] or found
        if not exact:
            raise BackupNotFoundError(beginning)
        if len(exact) > 1:
            names = ", ".join(backup.id for backup in exact[:3])
            raise VdbmonError("backup.ambiguous", f"{len(exact)} backups begin with {beginning}: {names}", "say more")
        return exact[0]

    def put(self, backup: Backup) -> None:
        """Write what a record says that is there; what was decided about the backup stays."""
        row = _row(backup)
        with self._database.writing() as connection:
            insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
            new = {key: value for key, value in row.items() if key not in (*_DECIDED, "id")}
            if backup.request_id is None:
                del new["request_id"]
            statement = insert(schema.backup).values(row)
            connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=new))

    def verified(self, backup_id: str, *, by: str, at: float, damage: str | None) -> None:
        """Write what a verification found: nothing wrong, or what. An older one doesn't count any more."""
        columns = schema.backup.c
        changes: dict[str, Any] = {"damage": damage and damage[:_LONGEST], "verified_by": by}
        with self._database.writing() as connection:
            known = connection.execute(
                select(columns.verified_by, columns.verified_at, columns.decided_at)
                .where(columns.id == backup_id)
                .with_for_update()
            ).first()
            if known is None or known.verified_by == by:
                return  # removed from the catalogue meanwhile; or it is told again
            query = select(columns.finished_at).where(columns.id == known.verified_by)
            newest = connection.execute(query).scalar() or known.verified_at
            if newest is not None and newest > at:
                return
            if damage is None:
                changes["verified_at"] = at
            changes["decided_at"] = _next(known.decided_at, at)
            connection.execute(update(schema.backup).where(columns.id == backup_id).values(changes))
            kind = "backup.verified" if damage is None else "backup.damaged"
            append(connection, Event(at=at, kind=kind, name=backup_id, detail={"by": by, "damage": damage}))

    def keep(self, backup_id: str, *, why: str | None, until: float | None, who: str, at: float) -> None:
        """Keep a backup whatever the retention says; with `why` None leave it to the retention again."""
        columns = schema.backup.c
        staying = (columns.id == backup_id, columns.condemned_at.is_(None))
        with self._database.writing() as connection:
            known = connection.execute(select(columns.decided_at).where(*staying).with_for_update()).first()
            if known is None:
                raise BackupNotFoundError(backup_id)
            changes = {"keep_why": why, "keep_until": until, "decided_at": _next(known.decided_at, at)}
            connection.execute(update(schema.backup).where(*staying).values(changes))
            kind = "backup.release" if why is None else "backup.keep"
            append(connection, Event(at=at, kind=kind, name=backup_id, who=who, detail={"why": why, "until": until}))

    def noted(self, backup_id: str, *, decided_at: float) -> None:
        """Write that what was decided by then stands beside the backup."""
        columns = schema.backup.c
        with self._database.writing() as connection:
            connection.execute(update(schema.backup).where(columns.id == backup_id).values(noted_at=decided_at))

    def recall(self, decisions: Decisions, *, at: float) -> bool:
        """Take in what stands beside a backup, if it is newer than what is known; whether it was.

        What is dated later than now is none of ours.
        """
        columns = schema.backup.c
        if decisions.decided_at > at:
            return False
        with self._database.writing() as connection:
            known = connection.execute(
                select(columns.decided_at).where(columns.id == decisions.backup_id).with_for_update()
            ).first()
            if known is None or (known.decided_at is not None and known.decided_at >= decisions.decided_at):
                return False
            found = {name: getattr(decisions, name) for name in _NOTED}
            connection.execute(
                update(schema.backup)
                .where(columns.id == decisions.backup_id)
                .values(**found, decided_at=decisions.decided_at, noted_at=decisions.decided_at)
            )
            append(connection, Event(at=at, kind="backup.recalled", name=decisions.backup_id, detail=found))
        return True

    def in_use(self, source: str) -> frozenset[str]:
        """Ids that live launches of a source read or write."""
        with self._database.reading() as connection:
            return _in_use(connection, source)

    def condemn(
        self,
        source: str,
        choose: Callable[[Sequence[Backup], frozenset[str]], Iterable[Backup]],
        *,
        who: str,
        at: float,
    ) -> tuple[Backup, ...]:
        """Decide which backups of a source go; with them come those of an earlier call that are still there.

        `choose` is told all entries of the source and the ids that live launches use. Moving the source's generation
        comes first: a placement that was decided before fails, and one that is decided later doesn't find them.
        """
        columns = schema.backup.c
        with self._database.writing() as connection:
            generations.move(connection, schema.source, [source])
            backups = _backups(connection, source)
            left = [backup for backup in backups if backup.condemned_at is not None and backup.removed_at is None]
            chosen = tuple(choose(backups, _in_use(connection, source)))
            for backup in chosen:
                connection.execute(update(schema.backup).where(columns.id == backup.id).values(condemned_at=at))
                append(connection, Event(at=at, kind="backup.condemned", name=backup.id, host=backup.host, who=who))
        return (*left, *chosen)

    def removed(self, backup_id: str, *, at: float, why: str) -> None:
        """Write that its volume is gone."""
        columns = schema.backup.c
        with self._database.writing() as connection:
            gone = connection.execute(
                update(schema.backup).where(columns.id == backup_id, columns.removed_at.is_(None)).values(removed_at=at)
            )
            if gone.rowcount:
                append(connection, Event(at=at, kind="backup.removed", name=backup_id, detail=why))

    def volume_removed(self, volume: str, *, at: float) -> None:
        """Write that a volume is gone, whatever was in it."""
        columns = schema.backup.c
        with self._database.reading() as connection:
            query = select(columns.id).where(columns.volume == volume, columns.kind != Kind.COPY)
            ids = connection.execute(query.where(columns.removed_at.is_(None))).scalars().all()
        for backup_id in ids:
            self.removed(backup_id, at=at, why="its volume was removed")


def _backups(connection: Connection, source: str | None) -> tuple[Backup, ...]:
    columns = schema.backup.c
    query = select(schema.backup).order_by(columns.finished_at, columns.id)
    if source is not None:
        query = query.where(columns.source == source)
    return tuple(_backup(row) for row in connection.execute(query))


def _next(known: float | None, at: float) -> float:
    """When something is decided that is known to have been decided before; see `_TICK`."""
    return at if known is None else max(at, known + _TICK)


def _in_use(connection: Connection, source: str) -> frozenset[str]:
    """Ids that live launches of a source read (`spec.reads`) or write."""
    launch = schema.launch.c
    rows = connection.execute(
        select(launch.spec, launch.volume).where(launch.source == source, launch.state.in_(READING))
    )
    used: set[str] = set()
    for spec, volume in rows:
        used.update(spec.get("reads", ()), [volume] if volume else [])
    return frozenset(used)


def _row(backup: Backup) -> dict[str, Any]:
    row = {item.name: getattr(backup, item.name) for item in fields(Backup)}
    return row | {"record": dict(backup.record), "reason": backup.reason and backup.reason[:_LONGEST]}


def _backup(row: Row[Any]) -> Backup:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name
    return Backup(**{**values, "kind": Kind(row.kind), "made": State(row.made)})
