"""Generations: compare-and-swap for whatever a decision was made on.

A row per host, source and address pool; one that is absent has generation 0. Whoever changes what is allocated there
moves the generation first, and so holds the row's lock until the end of the transaction. Order: see `database`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Table, select, update
from sqlalchemy.dialects import postgresql, sqlite

from orchestrator.ledger.errors import ConcurrentUpdateError


def swap(connection: Connection, table: Table, name: str, expected: int, **changes: Any) -> None:
    """Move a generation from `expected` to the next, with changed columns of the same row.

    Raises:
        ConcurrentUpdateError: it isn't `expected` any more.
    """
    if expected == 0:
        _make_missing(connection, table, name)
    columns = table.c
    moved = connection.execute(
        update(table)
        .where(columns.name == name, columns.generation == expected)
        .values(generation=columns.generation + 1, **changes)
    )
    if moved.rowcount != 1:
        raise ConcurrentUpdateError(f"{table.name} {name}", "something was placed or removed there")


def lock(connection: Connection, table: Table, name: str) -> None:
    """Hold a row until the transaction ends (SQLite: the transaction holds the whole database anyway)."""
    connection.execute(select(table.c.name).where(table.c.name == name).with_for_update(key_share=True))


def move(connection: Connection, table: Table, names: Iterable[str]) -> None:
    """Move generations whatever they are, so that decisions made on them fail."""
    for name in sorted(set(names)):
        _make_missing(connection, table, name)
        connection.execute(update(table).where(table.c.name == name).values(generation=table.c.generation + 1))


def _make_missing(connection: Connection, table: Table, name: str) -> None:
    """Of two that make a row at once the second waits for the first, and finds it made."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(insert(table).values(name=name, generation=0).on_conflict_do_nothing())
