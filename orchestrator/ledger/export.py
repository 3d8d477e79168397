"""Everything in the ledger as JSON lines. docs/ledger.md documents the format; `FORMAT` moves when it changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, select

from orchestrator.ledger import schema

FORMAT = 1
_ROWS_AT_ONCE = 500


def export_rows(connection: Connection, *, at: float) -> Iterator[Mapping[str, Any]]:
    """A head, then every row with the name of its `table`; tables after those that they refer to, rows by their key."""
    yield {"table": None, "format": FORMAT, "schema": schema.HEAD, "exported_at": at}
    for table in schema.metadata.sorted_tables:
        rows = connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(
            select(table).order_by(*table.primary_key.columns)
        )
        for row in rows.mappings():
            yield {"table": table.name, **row}
