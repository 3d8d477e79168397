"""What the source's tables held at the moment of a backup: rows and CHECKSUM TABLE, for a later verification.

mariadb-backup says on its log when it has blocked commits, and the moment of its backup is in that time. A snapshot
opened then is the same moment; that it is, the server's own word of the snapshot's binary log position says (MariaDB:
`binlog_snapshot_file`, `binlog_snapshot_position`), which must be the backup's. Only transactional tables are in it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from .decoding import decode
from .errors import JobFailedError
from .facts import Position
from .jobs import Server, TableDetail
from .record import TABLES_NAME
from .sql import Session, identifier

_IDLE_SECONDS = 7 * 86400  # a session waits for the end of the backup's copy
_TABLES = (
    "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
    " AND engine = 'InnoDB' AND table_schema NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')"
    " ORDER BY table_schema, table_name"
)
# A table that was altered or dropped after the snapshot is no error that ends the session.
_COUNT = "BEGIN NOT ATOMIC DECLARE EXIT HANDLER FOR SQLEXCEPTION SELECT NULL; SELECT COUNT(*) FROM {}; END"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """A table at the moment of the backup; `checksum` is CHECKSUM TABLE's, None if only rows were counted."""

    database: str
    name: str
    rows: int
    checksum: int | None


class Snapshot:
    """A session that is connected at the start of a backup, so that opening the snapshot is one short statement."""

    def __init__(self, server: Server) -> None:
        self._session = Session(server)
        self._opened = threading.Event()
        self._position: Position | None = None
        self._session.query(
            f"SET SESSION wait_timeout = {_IDLE_SECONDS}", "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"
        )

    def open(self) -> None:
        """Open it now; what goes wrong costs the comparison of tables, not the backup."""
        try:
            rows = dict(
                row[:2]
                for row in self._session.query(
                    "START TRANSACTION WITH CONSISTENT SNAPSHOT", "SHOW STATUS LIKE 'binlog\\_snapshot\\_%'"
                )
                if len(row) == 2  # noqa: PLR2004 - name and value
            )
        except JobFailedError:
            return
        names = {name.lower(): value for name, value in rows.items()}
        file, offset = names.get("binlog_snapshot_file", ""), names.get("binlog_snapshot_position", "")
        if file and offset.isdigit():
            self._position = Position(file=file, offset=int(offset))

    @property
    def position(self) -> Position | None:
        """Of the snapshot; None as long as there is none, or on a server without binary logs."""
        return self._position

    def tables(self, detail: TableDetail, waiting: Callable[[], object]) -> Iterator[TableFacts]:
        """Read them all, one after the other, calling `waiting` meanwhile; one that was altered since is left out."""
        self._session.waiting = waiting
        for database, name in self._session.query(_TABLES):
            facts = table_facts(self._session, database, name, detail)
            if facts is not None:
                yield facts

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()


def table_facts(session: Session, database: str, name: str, detail: TableDetail) -> TableFacts | None:
    """Count and sum one table as the session sees it; None if it can't be read whole."""
    table = identifier(database, name)
    session.query("SAVEPOINT before_table")
    checksum: int | None = None
    if detail is TableDetail.CHECKSUMS:
        ((_, found),) = session.query(f"CHECKSUM TABLE {table}")
        checksum = int(found) if found.isdigit() else None
    rows = session.value(_COUNT.format(table))
    session.query("ROLLBACK TO SAVEPOINT before_table")  # gives back the lock that would hold up an ALTER TABLE
    if rows is None or (checksum is None and detail is TableDetail.CHECKSUMS):
        return None
    return TableFacts(database=database, name=name, rows=int(rows), checksum=checksum)


def tables_to_json(tables: list[TableFacts]) -> str:
    """The text of `tables.json`."""
    return json.dumps([asdict(table) for table in tables], indent=1) + "\n"


def read_tables(folder: Path) -> list[TableFacts]:
    """What a backup's `tables.json` says; nothing if it has none.

    Raises:
        ValueError: it is not of its shape.
    """
    path = folder / TABLES_NAME
    if not path.exists():
        return []
    return [decode(TableFacts, item, TABLES_NAME) for item in json.loads(path.read_text())]
