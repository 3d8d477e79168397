"""The append-only record: decisions, overrides, launches, failures, cordons; with a retention.

Nothing changes an entry once it is written. Entries leave by age or by number, oldest first; those of a launch that
still holds something stay, whatever their age.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, Select, delete, insert, select

from orchestrator.ledger import schema
from orchestrator.ledger.records import Event, columns_of

_BATCH = 1000
"""Entries that one call deletes at the most: no placement waits for a long clean-up."""

_COLUMNS = [schema.event.c[item.name] for item in fields(Event)]

Numbered = tuple[int, Event]
"""An entry with its number; PostgreSQL may show a lower number after a higher one."""


def append(connection: Connection, entry: Event) -> None:
    """Write an entry."""
    connection.execute(insert(schema.event).values(columns_of(entry)))


def events_of(connection: Connection, *, request_id: str) -> tuple[Event, ...]:
    """The record of one request, oldest first."""
    return _events(connection, select(*_COLUMNS).where(schema.event.c.request_id == request_id))


def events_named(connection: Connection, *, name: str) -> tuple[Event, ...]:
    """The record of all requests for one name, oldest first."""
    return _events(connection, select(*_COLUMNS).where(schema.event.c.name == name))


def ids_after(connection: Connection, after: int) -> tuple[int, ...]:
    """Numbers of the entries above that one, lowest first."""
    columns = schema.event.c
    return tuple(connection.execute(select(columns.id).where(columns.id > after).order_by(columns.id)).scalars())


def entries_of(connection: Connection, ids: Iterable[int]) -> tuple[Numbered, ...]:
    """Entries by their numbers, lowest first."""
    columns = schema.event.c
    return _numbered(connection, select(columns.id, *_COLUMNS).where(columns.id.in_(ids)).order_by(columns.id))


def decisions(connection: Connection, *, name: str | None, before: int | None, limit: int) -> tuple[Numbered, ...]:
    """The newest decisions, newest first; of that name, and below that number, if given."""
    columns = schema.event.c
    query = select(columns.id, *_COLUMNS).where(columns.kind == "decision").order_by(columns.id.desc()).limit(limit)
    if name is not None:
        query = query.where(columns.name == name)
    if before is not None:
        query = query.where(columns.id < before)
    return _numbered(connection, query)


def prune(connection: Connection, *, before: float, keep: int) -> int:
    """Delete entries older than `before` (epoch seconds) and those beyond the newest `keep`; how many went.

    With them go removed launches that hold nothing and have no entry any more, cordons that ran out by then, and
    backups that were removed by then.
    """
    columns = schema.event.c
    oldest_kept = select(columns.id).order_by(columns.id.desc()).offset(keep - 1).limit(1).scalar_subquery()
    holding = select(schema.launch.c.request_id).where(schema.is_holding)
    gone = (
        select(columns.id)
        .where((columns.at < before) | (columns.id < oldest_kept))
        .where(columns.request_id.is_(None) | columns.request_id.not_in(holding))
        .order_by(columns.id)
        .limit(_BATCH)
    )
    ids = connection.execute(gone).scalars().all()
    if ids:
        connection.execute(delete(schema.event).where(columns.id.in_(ids)))
    _forget_launches(connection, before)
    connection.execute(delete(schema.cordon).where(schema.cordon.c.until < before))
    connection.execute(delete(schema.backup).where(schema.backup.c.removed_at < before))
    return len(ids)


def _forget_launches(connection: Connection, before: float) -> None:
    launch = schema.launch.c
    recorded = select(schema.event.c.id).where(schema.event.c.request_id == launch.request_id).exists()
    allocated = select(schema.allocation.c.amount).where(schema.allocation.c.request_id == launch.request_id).exists()
    connection.execute(
        delete(schema.launch).where(~schema.is_holding, launch.updated_at < before, ~recorded, ~allocated)
    )


def _numbered(connection: Connection, query: Select[Any]) -> tuple[Numbered, ...]:
    rows = (dict(row) for row in connection.execute(query).mappings())
    return tuple((row.pop("id"), Event(**row)) for row in rows)


def _events(connection: Connection, query: Select[Any]) -> tuple[Event, ...]:
    return tuple(Event(**row) for row in connection.execute(query.order_by(schema.event.c.id)).mappings())
