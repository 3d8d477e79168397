"""The logical job: a consistent dump in SQL, one file per table, by mydumper; and how such a dump is loaded.

mydumper's files (version 0.10): `DB-schema-create.sql`, `DB.TABLE-schema.sql`, `DB.TABLE.sql` with the rows,
`DB.TABLE-schema-triggers.sql`, `DB.VIEW-schema-view.sql`, `DB-schema-post.sql` with routines and events, and `metadata`
with the position in the binary logs.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .attempt import Attempt, Result, Surroundings
from .chain import StoredBackup
from .directio import DirectWriter
from .errors import Code, JobFailedError
from .extract import reading_commands
from .jobs import LogicalJob, Server
from .mariadb_backup import storing_commands, tool_versions
from .pipeline import feed, produce, run
from .progress import Progress
from .record import ENCRYPTED_SUFFIX, SUMS_NAME, Kind, Record, ServerFacts
from .server import LARGEST_PACKET, RunningServer, private_server
from .sql import Session, client_options
from .volume import check_secret, read_sums, write_sums

METADATA = "metadata"
_PLAIN = "plain"
_ROWS = 2  # the order of files with a table's rows; views have none
_WATCH_SECONDS = 1.0
_TABLES = (
    "SELECT COUNT(*), COALESCE(SUM(data_length), 0) FROM information_schema.tables"
    " WHERE table_schema NOT IN ('mysql', 'sys', 'performance_schema', 'information_schema')"
)
_COUNT_OF_TABLES = (
    "SELECT COUNT(*) FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
    " AND table_schema NOT IN ('mysql', 'sys', 'performance_schema', 'information_schema')"
)
_OWN_SCHEMAS = r"^(?!(mysql|sys|performance_schema|information_schema)\.)"
_POSITION = re.compile(r"SHOW MASTER STATUS:\s+Log: (?P<file>\S+)\s+Pos: (?P<position>\d+)\s+GTID:(?P<gtid>[ \S]*)")


@dataclass(frozen=True, slots=True)
class DumpFile:
    """A file of a dump. `order` is that of loading; `database` is None for the one that makes a database."""

    name: str
    order: int
    database: str | None
    table: str | None


def run_logical(job: LogicalJob, surroundings: Surroundings) -> Record:
    """Make the dump; its record."""
    return Attempt(job, Kind.LOGICAL, surroundings).run(lambda folder: _dump(job, surroundings.progress, folder))


def classify(name: str) -> DumpFile | None:
    """What a file of mydumper's holds; None for what is not loaded. `name` is without our own suffixes."""
    stem, dot, suffix = name.rpartition(".")
    if not dot or suffix != "sql":
        return None
    for order, ending in ((0, "-schema-create"), (4, "-schema-post"), (5, "-schema-triggers"), (3, "-schema-view")):
        if stem.endswith(ending):
            database, _, table = stem.removesuffix(ending).partition(".")
            return DumpFile(name, order, database if order else None, table or None)
    database, _, table = stem.removesuffix("-schema").partition(".")
    return DumpFile(name, 1 if stem.endswith("-schema") else _ROWS, database, table or None)


def _dump(job: LogicalJob, progress: Progress, folder: Path) -> Result:
    check_secret(job.server.defaults_file, "credentials file")
    progress.expected_raw = _bytes_of_tables(job.server)
    plain = folder / _PLAIN
    with _watched(plain, progress):
        _run_mydumper(job.server, plain)
    metadata = plain / METADATA
    if not metadata.exists():  # it is renamed from metadata.partial at a good end
        raise JobFailedError(Code.TOOL_FAILED, "mydumper ended without saying that the dump is whole")
    facts = parse_metadata(metadata.read_text())
    progress.copied()
    progress.expected_raw = _bytes_in(plain)
    progress.update(raw=0)  # from here on what is compressed
    sums: dict[str, str] = {}
    tables = set()
    for path in sorted(plain.iterdir()):
        found = classify(path.name)
        if found is not None and found.order == _ROWS:
            tables.add((found.database, found.table))
        sums |= _store(path, folder, job.recipients, progress)
        path.unlink()
    plain.rmdir()
    return Result(
        facts=facts,
        files=(write_sums(folder, sums),),
        recipients=job.recipients,
        tables=len(tables),
        tools=tool_versions("mydumper", "zstd", *(("age",) if job.recipients else ())),
    )


def _bytes_of_tables(server: Server) -> int:
    """How large the dump will be, about. mydumper 0.10 waits forever where it sees no table.

    Raises:
        JobFailedError: the server can't be reached, or refuses, or shows no table.
    """
    with Session(server) as session:
        ((tables, length),) = session.query(_TABLES)
    if tables == "0":
        text = f"the user of {server.defaults_file} sees no table to dump"
        raise JobFailedError(Code.SOURCE_DENIED, text, "grant it SELECT")
    return int(length)


def _run_mydumper(server: Server, plain: Path) -> None:
    """Dump into `plain`. mydumper goes on where it gets no lock: what it calls critical is a failure all the same."""
    try:
        run((*_dump_command(server), "--outputdir", str(plain)), fatal="CRITICAL")
    except JobFailedError as error:
        text = f"dumping the server at {server.socket or server.host} failed: {error}"
        raise JobFailedError(_code_of(text), text) from error


def _code_of(complaint: str) -> Code:
    if "denied" in complaint:
        return Code.SOURCE_DENIED
    lost = any(words in complaint for words in ("Can't connect", "Lost connection", "gone away"))
    return Code.SOURCE_LOST if lost else Code.TOOL_FAILED


@contextmanager
def _watched(folder: Path, progress: Progress) -> Iterator[None]:
    """Tell how much of a dump there is while it grows."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_WATCH_SECONDS):
            progress.update(raw=_bytes_in(folder))

    watcher = threading.Thread(target=watch, name="dump size")
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _bytes_in(folder: Path) -> int:
    """The length of all files that are there now."""
    total = 0
    with suppress(FileNotFoundError):
        for path in folder.iterdir():
            with suppress(FileNotFoundError):
                total += path.stat().st_size
    return total


def _dump_command(server: Server) -> tuple[str, ...]:
    where: tuple[str, ...] = (f"--socket={server.socket}",)
    if server.host is not None:
        where = (f"--host={server.host}", f"--port={server.port}")
    tls = ("--ssl", f"--ca={server.ssl_ca}") if server.ssl_ca is not None else ()
    what = ("--regex", _OWN_SCHEMAS, "--triggers", "--events", "--routines", "--build-empty-files", "--threads=2")
    return ("mydumper", f"--defaults-file={server.defaults_file}", *where, *tls, *what)


def parse_metadata(text: str) -> ServerFacts:
    """The dump's position, as mydumper notes it."""
    match = _POSITION.search(text)
    if match is None:
        return ServerFacts()
    return ServerFacts(
        binlog_file=match["file"], binlog_position=int(match["position"]), gtid=match["gtid"].strip() or None
    )


def _store(path: Path, folder: Path, recipients: tuple[str, ...], progress: Progress) -> dict[str, str]:
    """Compress and encrypt one file; its SHA-256 by its name."""
    name = f"{path.name}.zst{ENCRYPTED_SUFFIX if recipients else ''}"
    raw, stored = progress.bytes_raw, progress.bytes_stored
    with DirectWriter(folder / name) as writer:
        produce(
            (("cat", str(path)), *storing_commands(recipients)),
            writer.write,
            progress=lambda count: progress.update(raw=raw + count, stored=stored + writer.bytes_written),
        )
        digest = writer.finish()
    return {name: digest}


def restore_dump(
    item: StoredBackup, data: Path, progress: Progress, *, identity: Path | None, table: str | None = None
) -> Result:
    """Make a new data directory and load the dump, or one table of it; `tables` are those that the server has then.

    Raises:
        JobFailedError: a file is missing, damaged, or can't be decrypted; no such table.
    """
    sums = read_sums(item.folder, item.record)
    if item.record.recipients and identity is None:
        raise JobFailedError(Code.WRONG_KEY, f"dump {item.record.backup_id} is encrypted, and no key is given")
    if identity is not None:
        check_secret(identity, "identity file")
    wanted = _wanted(sums, table)
    data.mkdir(mode=0o700)
    options = ("--auth-root-authentication-method=normal", "--skip-test-db")
    run(("mariadb-install-db", "--no-defaults", f"--datadir={data}", *options, "--user=root"))
    progress.expected_raw = sum(
        (item.folder / name).stat().st_size for _, name in wanted if (item.folder / name).exists()
    )
    with private_server(data) as server:
        for file, name in wanted:
            path = item.folder / name
            _load(server, path, file.database, digest=sums[name], identity=identity, progress=progress)
        with server.session() as session:
            version = session.value("SELECT VERSION()")
            tables = session.value(_COUNT_OF_TABLES)
    facts = ServerFacts(server_version=version)
    return Result(facts=facts, tools=tool_versions("mariadbd"), tables=int(tables or 0))


def _wanted(names: Iterable[str], table: str | None) -> list[tuple[DumpFile, str]]:
    """The files to load, in order."""
    found = [(file, name) for name in names if (file := classify(_plain_name(name))) is not None and name != SUMS_NAME]
    if table is not None:
        database, _, _ = table.partition(".")
        kept = [(file, name) for file, name in found if file.table and f"{file.database}.{file.table}" == table]
        if not kept:
            raise JobFailedError(Code.BACKUP_CHAIN, f"the dump has no table {table}", "name one of its SHA256SUMS")
        found = kept + [(file, name) for file, name in found if _plain_name(name) == f"{database}-schema-create.sql"]
    return sorted(found, key=lambda pair: (pair[0].order, pair[1]))


def _plain_name(name: str) -> str:
    return name.removesuffix(ENCRYPTED_SUFFIX).removesuffix(".zst")


def _load(
    server: RunningServer, path: Path, database: str | None, *, digest: str, identity: Path | None, progress: Progress
) -> None:
    client = ("mariadb", *client_options(server.address), "--binary-mode", f"--max-allowed-packet={LARGEST_PACKET}")
    commands = (*reading_commands(identity), (*client, *((database,) if database else ())))
    before = progress.bytes_raw
    try:
        fed = feed(path, commands, progress=lambda count: progress.update(raw=before + count))
    except FileNotFoundError as error:
        raise JobFailedError(Code.BACKUP_DAMAGED, f"{error.filename} is missing") from error
    if fed.sha256 != digest:
        raise JobFailedError(Code.BACKUP_DAMAGED, f"{path} is not what was written: its SHA-256 differs")
    if fed.failure is not None:
        raise fed.failure
