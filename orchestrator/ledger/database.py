"""The database under the ledger: opening it, its schema, and the two kinds of transaction.

What keeps two schedulers from selling the same gigabyte is a generation per host, source and pool: a decision names the
generations that it was made on, and the first statements of an allocation move them (compare-and-swap).

SQLite: WAL, and BEGIN IMMEDIATE for every transaction that writes, so that writers queue instead of failing halfway
(https://docs.sqlalchemy.org/en/21/dialects/sqlite.html#pysqlite-transactional).

PostgreSQL: writers run in READ COMMITTED. The UPDATE that moves a generation waits for the row's lock and then checks
its WHERE clause again on the row as it is now (https://www.postgresql.org/docs/15/transaction-iso.html), so of two that
expect the same generation the second one updates nothing and gives up. Every later statement of the winner sees what
was committed before it got the lock, so its sums are complete. Rows are always locked in one order (hosts, sources,
pools; each by name; launches last), so no two writers wait for each other. SERIALIZABLE would do too, but it also
aborts transactions that touch different hosts. Readers run in REPEATABLE READ: a view is of one moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import stamina
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from collector.errors import ConfigError
from orchestrator.ledger import schema
from orchestrator.ledger.errors import ConcurrentUpdateError, LedgerError

_BUSY_SECONDS = 10
_ABANDONED_SECONDS = 30
"""After this long PostgreSQL ends a transaction whose scheduler was frozen; its locks hold up all others."""

_READ = "vdbmon_read"
_MIGRATION_LOCK = 0x7664626D6F6E  # "vdbmon"
_ROLLED_BACK = ("40001", "40P01")  # serialization failure, deadlock: PostgreSQL asks to try again
_EXAMPLE = "use sqlite:////path/ledger.db, or postgresql+psycopg://user@host/name"


class Database:
    """An open database. Every transaction commits as a whole or leaves nothing."""

    def __init__(self, engine: Engine, fence: Callable[[Connection], None] | None = None) -> None:
        """`fence` is the first act of every transaction that may write; what it raises ends it."""
        self._engine = engine
        self._fence = fence

    def fenced(self, fence: Callable[[Connection], None]) -> Database:
        """The same database behind a fence."""
        return Database(self._engine, fence)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that may write.

        Raises:
            ConcurrentUpdateError: the server rolled it back for another one's sake.
            LedgerError: the database doesn't answer, or refuses.
        """
        with _sentences(self._engine), self._engine.begin() as connection:
            if self._fence is not None:
                self._fence(connection)
            yield connection

    @contextmanager
    def reading(self, *, patiently: bool = False) -> Iterator[Connection]:
        """A transaction that sees one moment; `patiently` for one that may wait long for whoever reads its rows.

        Raises:
            LedgerError: the database doesn't answer, or refuses.
        """
        options: dict[str, Any] = {_READ: True}
        if self._engine.dialect.name == "postgresql":
            options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with _sentences(self._engine), self._engine.connect() as connection:
            connection.execution_options(**options)
            with connection.begin():
                if patiently and self._engine.dialect.name == "postgresql":
                    connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
                yield connection

    def close(self) -> None:
        """Give back the connections."""
        self._engine.dispose()


def open_database(url: str) -> Database:
    """Open a database, made and brought to the newest schema where that is needed.

    Raises:
        ConfigError: the URL is none that SQLAlchemy knows, names another kind of database, or holds a password.
        LedgerError: its folder can't be made, it can't be opened, or a newer vdbmon has written it.
    """
    engine = _engine(url)
    try:
        with _sentences(engine):
            _migrate(engine)
    except LedgerError:
        engine.dispose()
        raise
    return Database(engine)


def check_url(url: str) -> None:
    """Refuse what no ledger can ever be at; nobody is asked.

    Raises:
        ConfigError: as `open_database`.
    """
    with suppress(LedgerError):  # of a folder that isn't there yet
        _engine(url).dispose()


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        match parsed.get_backend_name():
            case "sqlite":
                return _sqlite(parsed)
            case "postgresql":
                return _postgresql(parsed)
            case other:
                raise ConfigError("config.invalid", f"[ledger] url: {other} is not supported", _EXAMPLE)
    except ImportError as error:
        raise ConfigError("config.invalid", f"[ledger] url: {error}", "install vdbmon[postgresql]") from error
    except ArgumentError as error:
        raise ConfigError("config.invalid", f"[ledger] url: {error}", _EXAMPLE) from error
    except ValueError as error:
        raise ConfigError("config.invalid", "[ledger] url is no URL", _EXAMPLE) from error


def _sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise ConfigError("config.invalid", "[ledger] url names no file", "use sqlite:////path/ledger.db")
    folder = Path(url.database).parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(
            "ledger.unavailable", f"the ledger's folder {folder}: {error.strerror}", "see [ledger] url"
        ) from error
    engine = create_engine(url)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _postgresql(url: URL) -> Engine:
    if url.password:
        raise ConfigError(
            "config.secret",
            "[ledger] url holds a password",
            "write it into a file of mode 0600 (host:port:database:user:password) and add ?passfile=/path to the url",
        )
    timeouts = {
        "lock_timeout": f"{_BUSY_SECONDS}s",
        "idle_in_transaction_session_timeout": f"{_ABANDONED_SECONDS}s",
    }
    return create_engine(
        url,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": _BUSY_SECONDS,
            "application_name": "vdbmon",
            "options": " ".join(f"-c {key}={value}" for key, value in timeouts.items()),
        },
    )


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin transactions of its own
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={_BUSY_SECONDS * 1000}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    reads = connection.get_execution_options().get(_READ, False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _is_locked(error: Exception) -> bool:
    return isinstance(error, OperationalError) and "database is locked" in str(error.orig)


@stamina.retry(on=_is_locked, timeout=_BUSY_SECONDS, attempts=20, wait_initial=0.02, wait_max=0.5)
def _migrate(engine: Engine) -> None:
    """Several processes may open a new ledger at once: switching SQLite to WAL doesn't wait for a lock, so it retries.

    A ledger that is up to date is opened without a write.
    """
    with engine.connect() as connection:
        connection.execution_options(**{_READ: True})
        with connection.begin():
            if _is_current(connection):
                return
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
        if not _is_current(connection):
            _upgrade(connection)


def _is_current(connection: Connection) -> bool:
    """Whether the schema is the one that this vdbmon knows."""
    if not inspect(connection).has_table("alembic_version"):
        return False
    found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    if found is not None and found > schema.HEAD:
        raise LedgerError(
            "ledger.newer",
            f"the ledger has schema {found}, and this vdbmon knows {schema.HEAD} at most",
            "install the vdbmon that wrote it; schemas don't go back",
        )
    return bool(found == schema.HEAD)


def _upgrade(connection: Connection) -> None:
    # Alembic is slow to import, and needed once in a schema's life.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@contextmanager
def _sentences(engine: Engine) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        said = " ".join(str(error.orig).split())
        if getattr(error.orig, "sqlstate", None) in _ROLLED_BACK:
            raise ConcurrentUpdateError("the ledger", said) from error
        where = engine.url.render_as_string(hide_password=True)
        raise LedgerError("ledger.unavailable", f"the ledger {where}: {said}", "see [ledger] url") from error
