"""The verify job: restore a backup on the side, check every table, compare with what the source said, throw it away."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .attempt import Attempt, Result, Surroundings
from .chain import StoredBackup, read_backup, read_chain
from .errors import Code, JobFailedError
from .extract import restore_chain
from .jobs import TableDetail, VerifyJob
from .logical import restore_dump
from .mariadb_backup import TOOL, tool_versions
from .progress import Progress
from .record import TABLES_NAME, Kind, Record, ServerFacts, State
from .restore import DATA_NAME
from .server import private_server
from .sql import Session, identifier
from .tables import TableFacts, read_tables, table_facts
from .volume import read_sums, replace_text, sha256_of

RESULT_SUFFIX = ".verified.json"
_ALL_TABLES = (
    "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
    " AND table_schema NOT IN ('information_schema', 'performance_schema') ORDER BY table_schema, table_name"
)
# Failures that say something about the backup, and not about this container.
_ABOUT_THE_BACKUP = {
    Code.BACKUP_DAMAGED,
    Code.BACKUP_UNFINISHED,
    Code.SERVER_FAILED,
    Code.TABLE_DAMAGED,
    Code.TABLE_DIFFERS,
}


def run_verify(job: VerifyJob, surroundings: Surroundings) -> Record:
    """Verify; the record's state is verified, or failed with the reason. It is also written beside the backup."""
    last = job.backups[-1]
    attempt = Attempt(job, Kind.VERIFY, surroundings, parent=last.name)
    record = attempt.run(lambda folder: _work(job, surroundings, folder))
    if record.state is State.VERIFIED or record.code in _ABOUT_THE_BACKUP:
        with contextlib.suppress(OSError):  # the backup may be mounted read-only; the volume of this job has it too
            replace_text(last.parent / f"{last.name}{RESULT_SUFFIX}", record.to_json() + "\n")
    return record


def _work(job: VerifyJob, surroundings: Surroundings, folder: Path) -> Result:
    first = read_backup(job.backups[0])
    if first.record.kind is Kind.LOGICAL:
        return _verify_dump(first, job, surroundings.progress, folder / DATA_NAME)
    chain = read_chain(job.backups)
    expected = _expected(chain[-1])
    data = folder / DATA_NAME
    restore_chain(chain, job.identity, data, folder, surroundings.progress)
    with private_server(data) as server:
        surroundings.progress.say("the server runs on it; checking tables")
        with server.session() as session:
            check_tables(session)
            compare_tables(session, expected)
            version = session.value("SELECT VERSION()")
    shutil.rmtree(data)
    record = chain[-1].record
    return Result(
        facts=ServerFacts(server_version=version, to_lsn=record.to_lsn, gtid=record.gtid),
        tables=len(expected),
        tools=tool_versions(TOOL, "mariadbd"),
        state=State.VERIFIED,
    )


def _verify_dump(item: StoredBackup, job: VerifyJob, progress: Progress, data: Path) -> Result:
    """Load a dump. It holds no checksums of tables; their number is known."""
    loaded = restore_dump(item, data, progress, identity=job.identity)
    if loaded.tables != item.record.tables:
        text = f"{loaded.tables} tables are in the restored data; the dump has {item.record.tables}"
        raise JobFailedError(Code.TABLE_DIFFERS, text)
    with private_server(data) as server, server.session() as session:
        progress.say("the server runs on it; checking tables")
        check_tables(session)
    shutil.rmtree(data)
    return replace(loaded, state=State.VERIFIED)


def _expected(item: StoredBackup) -> list[TableFacts]:
    """What the source said of its tables."""
    sums = read_sums(item.folder, item.record)
    path = item.folder / TABLES_NAME
    if TABLES_NAME not in sums:
        return []
    if not path.is_file() or sha256_of(path) != sums[TABLES_NAME]:
        raise JobFailedError(Code.BACKUP_DAMAGED, f"{path} is not what was written: its SHA-256 differs")
    return read_tables(item.folder)


def check_tables(session: Session) -> None:
    """CHECK TABLE on all of them.

    Raises:
        JobFailedError: one is damaged.
    """
    for database, name in session.query(_ALL_TABLES):
        rows = session.query(f"CHECK TABLE {identifier(database, name)}")
        bad = [row for row in rows if row[2] in ("error", "warning", "Error", "Warning")]
        if bad or not rows or rows[-1][3] not in ("OK", "Table is already up to date"):
            text = f"table {database}.{name} is damaged: {(bad or rows or [('', '', '', 'no answer')])[0][3]}"
            raise JobFailedError(Code.TABLE_DAMAGED, text)


def compare_tables(session: Session, expected: Sequence[TableFacts]) -> None:
    """Compare rows and checksums.

    Raises:
        JobFailedError: one is not there, or differs.
    """
    session.query("START TRANSACTION")  # each table is read from a savepoint
    for table in expected:
        detail = TableDetail.ROWS if table.checksum is None else TableDetail.CHECKSUMS
        found = table_facts(session, table.database, table.name, detail)
        if found is None:
            raise JobFailedError(Code.TABLE_DIFFERS, f"table {table.database}.{table.name} is not in the restored data")
        if found != table:
            text = (
                f"table {table.database}.{table.name} has {found.rows} rows and checksum {found.checksum}; "
                f"the source had {table.rows} and {table.checksum}"
            )
            raise JobFailedError(Code.TABLE_DIFFERS, text)
