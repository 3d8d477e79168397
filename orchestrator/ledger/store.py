"""The ledger's transactions.

SQLite: WAL, and BEGIN IMMEDIATE for every transaction that writes, so that writers queue instead of failing halfway
(https://docs.sqlalchemy.org/en/21/dialects/sqlite.html#pysqlite-transactional). A host's generation is compare-and-swap
for decisions: an allocation that was decided on an older one fails and is decided again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import stamina
from sqlalchemy import Connection, Engine, Row, create_engine, delete, event, func, insert, inspect, select, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, OperationalError

from collector.errors import ConfigError, VdbmonError
from orchestrator.ledger import schema
from orchestrator.ledger.records import Event, LaunchRecord, LaunchState, LedgerView
from orchestrator.resources import Amounts, InventoryRows, ResourceClass

_BUSY_SECONDS = 10
_READ = "vdbmon_read"


class LedgerError(VdbmonError):
    """The ledger can't be opened, read or written."""


class ConcurrentUpdateError(LedgerError):
    """The host changed since the decision; decide again."""

    def __init__(self, host: str, detail: str) -> None:
        super().__init__("ledger.concurrent_update", f"{host} changed while this was decided: {detail}", "try again")


class NameTakenError(LedgerError):
    """A live launch has that name."""

    exit_code = 3

    def __init__(self, name: str) -> None:
        super().__init__("name.taken", f"{name} is placed already", f"choose another name, or `vdbmon rm {name}`")


class Ledger:
    """Reads and writes; every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def view(self) -> LedgerView:
        """Generations, allocations and names, all of the same moment."""
        with self._reading() as connection:
            hosts = connection.execute(select(schema.host)).all()
            sums = connection.execute(
                select(
                    schema.allocation.c.host, schema.allocation.c.resource_class, func.sum(schema.allocation.c.amount)
                ).group_by(schema.allocation.c.host, schema.allocation.c.resource_class)
            ).all()
            live = connection.execute(select(schema.launch.c.name, schema.launch.c.host).where(schema.is_live)).all()
        allocated: dict[str, dict[ResourceClass, int]] = {}
        for host, name, amount in sums:
            allocated.setdefault(host, {})[ResourceClass(name)] = int(amount)
        busy = {row.host for row in live}
        return LedgerView(
            generations={row.name: row.generation for row in hosts},
            fingerprints={row.name: row.engine_fingerprint for row in hosts if row.name in busy},
            allocated=allocated,
            names={row.name: row.host for row in live},
        )

    def allocate(
        self,
        record: LaunchRecord,
        amounts: Amounts,
        *,
        inventory: InventoryRows,
        expected_generation: int,
        fingerprint: str,
        decision: Any,
    ) -> None:
        """Write the intent, its allocation and the decision behind it, all or nothing.

        Raises:
            ConcurrentUpdateError: the host's generation isn't the expected one, or its room was sold meanwhile.
            NameTakenError: a live launch has that name.
        """
        with self._writing() as connection:
            _swap_generation(connection, record.host, expected_generation, fingerprint)
            sold = _allocated(connection, record.host)
            for key, amount in amounts.items():
                free = inventory[key].sellable - sold.get(key, 0)
                if amount > free:
                    raise ConcurrentUpdateError(record.host, f"{key.label} was given away")
            try:
                connection.execute(insert(schema.launch).values(asdict(record)))
            except IntegrityError as error:
                raise NameTakenError(record.name) from error
            connection.execute(
                insert(schema.allocation),
                [
                    {"request_id": record.request_id, "host": record.host, "resource_class": key, "amount": amount}
                    for key, amount in amounts.items()
                ],
            )
            _append(
                connection, Event(at=record.created_at, request_id=record.request_id, kind="decision", detail=decision)
            )
            _append(connection, Event(at=record.created_at, request_id=record.request_id, kind="intent"))

    def advance(
        self,
        request_id: str,
        state: LaunchState,
        *,
        at: float,
        release: frozenset[ResourceClass] = frozenset(),
        detail: Any = None,
        **changes: Any,
    ) -> None:
        """Move a launch to a state, with changed columns (`container_id`, `volume`, `outcome`), and record it.

        What it holds of the classes in `release` is given back in the same transaction.
        """
        with self._writing() as connection:
            connection.execute(
                update(schema.launch)
                .where(schema.launch.c.request_id == request_id)
                .values(state=state, updated_at=at, **changes)
            )
            _append(connection, Event(at=at, request_id=request_id, kind=f"state.{state}", detail=detail))
            if _release(connection, request_id, release):
                _append(connection, Event(at=at, request_id=request_id, kind="released", detail=sorted(release)))

    def record(self, entry: Event) -> None:
        """Append to the record."""
        with self._writing() as connection:
            _append(connection, entry)

    def launches(self) -> tuple[LaunchRecord, ...]:
        """All launches that hold something: live ones, and removed ones whose volume stays. Oldest first."""
        holding = schema.is_live | schema.launch.c.volume.is_not(None)
        return self._launches(select(schema.launch).where(holding))

    def launches_named(self, name: str) -> tuple[LaunchRecord, ...]:
        """All launches that ever had that name, oldest first."""
        return self._launches(select(schema.launch).where(schema.launch.c.name == name))

    def held(self, request_id: str) -> Amounts:
        """What a launch holds."""
        query = select(schema.allocation.c.resource_class, schema.allocation.c.amount)
        with self._reading() as connection:
            rows = connection.execute(query.where(schema.allocation.c.request_id == request_id)).all()
        return {ResourceClass(name): amount for name, amount in rows}

    def events(self, request_id: str) -> tuple[Event, ...]:
        """The record of one request, oldest first."""
        columns = schema.event.c
        query = select(columns.at, columns.request_id, columns.kind, columns.detail)
        with self._reading() as connection:
            rows = connection.execute(query.where(columns.request_id == request_id).order_by(columns.id)).all()
        return tuple(Event(**row._mapping) for row in rows)  # noqa: SLF001 - SQLAlchemy's public name

    def close(self) -> None:
        """Give back the connections."""
        self._engine.dispose()

    def _launches(self, query: Any) -> tuple[LaunchRecord, ...]:
        with self._reading() as connection:
            rows = connection.execute(query.order_by(schema.launch.c.created_at, schema.launch.c.request_id)).all()
        return tuple(_launch_record(row) for row in rows)

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with _sentences(self._engine), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with _sentences(self._engine), self._engine.connect() as connection:
            connection.execution_options(**{_READ: True})
            with connection.begin():
                yield connection


def open_ledger(url: str) -> Ledger:
    """Open a ledger, made and brought to the newest schema where that is needed.

    Raises:
        ConfigError: the URL is none that SQLAlchemy knows.
        LedgerError: its folder can't be made, or the database can't be opened.
    """
    try:
        parsed = make_url(url)
        engine = create_engine(parsed)
    except (ArgumentError, ImportError) as error:
        raise ConfigError(
            "config.invalid", f"[ledger] url = {url!r}: {error}", "use sqlite:////path/ledger.db"
        ) from error
    if parsed.get_backend_name() == "sqlite":
        _make_folder(parsed.database)
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    with _sentences(engine):
        _migrate(engine)
    return Ledger(engine)


def _make_folder(database: str | None) -> None:
    if not database or database == ":memory:":
        raise ConfigError("config.invalid", "[ledger] url names no file", "use sqlite:////path/ledger.db")
    folder = Path(database).parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(
            "ledger.unavailable", f"the ledger's folder {folder}: {error.strerror}", "see [ledger] url"
        ) from error


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin transactions of its own
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={_BUSY_SECONDS * 1000}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    reads = connection.get_execution_options().get(_READ, False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


@stamina.retry(on=OperationalError, timeout=_BUSY_SECONDS, attempts=20, wait_initial=0.02, wait_max=0.5)
def _migrate(engine: Engine) -> None:
    """Several processes may open a new ledger at once: switching to WAL doesn't wait for a lock, hence the retry."""
    with engine.begin() as connection:
        if _revision(connection) == schema.HEAD:
            return
        # Alembic is slow to import, and needed once in a ledger's life.
        from alembic import command  # noqa: PLC0415
        from alembic.config import Config  # noqa: PLC0415

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


@contextmanager
def _sentences(engine: Engine) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        where = engine.url.render_as_string(hide_password=True)
        raise LedgerError("ledger.unavailable", f"the ledger {where}: {error.orig}", "see [ledger] url") from error


def _swap_generation(connection: Connection, name: str, expected: int, fingerprint: str) -> None:
    if expected == 0 and not connection.execute(select(schema.host).where(schema.host.c.name == name)).first():
        connection.execute(insert(schema.host).values(name=name, generation=0))
    moved = connection.execute(
        update(schema.host)
        .where(schema.host.c.name == name, schema.host.c.generation == expected)
        .values(generation=expected + 1, engine_fingerprint=fingerprint)
    )
    if moved.rowcount != 1:
        raise ConcurrentUpdateError(name, "something was placed or removed there")


def _allocated(connection: Connection, host: str) -> Mapping[ResourceClass, int]:
    columns = schema.allocation.c
    query = select(columns.resource_class, func.sum(columns.amount)).where(columns.host == host)
    return {
        ResourceClass(name): int(amount) for name, amount in connection.execute(query.group_by(columns.resource_class))
    }


def _release(connection: Connection, request_id: str, classes: frozenset[ResourceClass]) -> bool:
    """Give back what the launch holds of these classes; whether it held any."""
    held = schema.allocation.c
    which = (held.request_id == request_id) & held.resource_class.in_(sorted(classes))
    hosts = connection.execute(select(held.host).where(which).distinct()).scalars().all()
    if not hosts:
        return False
    connection.execute(delete(schema.allocation).where(which))
    connection.execute(
        update(schema.host).where(schema.host.c.name.in_(hosts)).values(generation=schema.host.c.generation + 1)
    )
    return True


def _append(connection: Connection, entry: Event) -> None:
    connection.execute(insert(schema.event).values(asdict(entry)))


def _launch_record(row: Row[Any]) -> LaunchRecord:
    return LaunchRecord(**{**row._mapping, "state": LaunchState(row.state)})  # noqa: SLF001 - SQLAlchemy's public name
