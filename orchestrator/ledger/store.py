"""The ledger: what was given away to whom. Every method is one transaction; `database` says what holds them apart."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from orchestrator.decision.request import Override
from orchestrator.decision.resources import Amounts, InventoryRows, ResourceClass
from orchestrator.decision.snapshot import Cordon
from orchestrator.ledger import addresses, cordons, generations, journal, schema, turns
from orchestrator.ledger.backups import BackupCatalogue
from orchestrator.ledger.database import Database, open_database
from orchestrator.ledger.errors import ConcurrentUpdateError, LedgerError, NameTakenError
from orchestrator.ledger.export import export_rows
from orchestrator.ledger.leases import Leases
from orchestrator.ledger.pools import PoolLedger
from orchestrator.ledger.records import (
    NOT_READING,
    READING,
    Event,
    Generations,
    LaunchRecord,
    LaunchState,
    LedgerView,
    Sighting,
    columns_of,
)
from orchestrator.ledger.resizing import resize
from orchestrator.ledger.restore import Restored, restore
from orchestrator.ledger.schedules import ScheduleBook
from orchestrator.ledger.sightings import Seen, see, sightings
from orchestrator.ledger.view import read_view


class Ledger:
    """Reads and writes; every method is one transaction.

    Attributes:
        pools: addresses of pools.
        backups: the catalogue of backups.
        schedules: how far each schedule is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.pools = PoolLedger(database)
        self.backups = BackupCatalogue(database)
        self.schedules = ScheduleBook(database)

    def view(self) -> LedgerView:
        """All that a decision needs, of one moment."""
        with self._database.reading() as connection:
            return read_view(connection)

    def allocate(
        self,
        record: LaunchRecord,
        amounts: Amounts,
        *,
        inventory: InventoryRows,
        expected: Generations,
        max_readers: int | None,
        fingerprint: str,
        decision: Any,
        who: str | None = None,
        override: Override | None = None,
    ) -> None:
        """Write the intent, its allocation and the decision behind it, all or nothing.

        Raises:
            ConcurrentUpdateError: a generation isn't the expected one, the host's room was sold meanwhile, or
                `max_readers` launches read the source already (None for no limit).
            NameTakenError: a live launch has that name.
        """
        with self._database.writing() as connection:
            _swap_all(connection, record, expected, fingerprint)
            _check_room(connection, record.host, amounts, inventory)
            if max_readers is not None:
                _check_readers(connection, record.source, max_readers)
            try:
                connection.execute(insert(schema.launch).values(columns_of(record)))
            except IntegrityError as error:
                raise NameTakenError(record.name) from error
            _write_amounts(connection, record, amounts)
            about = partial(
                Event, at=record.created_at, request_id=record.request_id, name=record.name, host=record.host
            )
            journal.append(connection, about(kind="decision", who=who, detail=decision))
            if override is not None:
                journal.append(connection, about(kind="override", who=override.who, detail=override_detail(override)))
            journal.append(connection, about(kind="intent"))

    def advance(
        self,
        request_id: str,
        state: LaunchState,
        *,
        at: float,
        turn: int | None = None,
        release: frozenset[ResourceClass] = frozenset(),
        detail: Any = None,
        **changes: Any,
    ) -> None:
        """Move a launch to a state, with changed columns (`container_id`, `volume`, `outcome`, `step`), and record it.

        What it holds of the classes in `release` is given back in the same transaction. `turn` is that of the caller,
        None for one who acts whoever's turn it is.

        Raises:
            TakenOverError: it is somebody else's turn.
            LedgerError: `launch.removed`, somebody has removed it; a removed launch doesn't come back.
        """
        launch = schema.launch.c
        with self._database.writing() as connection:
            row = connection.execute(
                select(launch.name, launch.host, launch.source).where(launch.request_id == request_id)
            ).one()
            if state.ended or release:
                generations.lock(connection, schema.host, row.host)
                generations.lock(connection, schema.source, row.source)
            pools = addresses.pools_of(connection, request_id) if state is LaunchState.REMOVED else ()
            if turn is not None:
                turns.check_turn(connection, request_id, turn)
            before = connection.execute(
                select(launch.state).where(launch.request_id == request_id).with_for_update()
            ).scalar_one()
            if before == LaunchState.REMOVED and state is not LaunchState.REMOVED:
                raise LedgerError("launch.removed", f"{row.name} was removed meanwhile", "see `vdbmon ps`")
            connection.execute(
                update(schema.launch)
                .where(launch.request_id == request_id)
                .values(state=state, updated_at=at, **changes)
            )
            about = partial(Event, at=at, request_id=request_id, name=row.name, host=row.host)
            journal.append(connection, about(kind=f"state.{state}", detail=detail))
            if state.ended and before in READING:
                generations.move(connection, schema.source, [row.source])
            if _release(connection, request_id, row.host, release):
                journal.append(connection, about(kind="released", detail=sorted(release)))
            if pools and addresses.give_back(connection, request_id, pools, at=at):
                journal.append(connection, about(kind="address.released", detail=list(pools)))

    def resize(
        self,
        record: LaunchRecord,
        amounts: Amounts,
        *,
        inventory: InventoryRows,
        expected: int | None,
        spec: Mapping[str, Any],
        about: Event,
    ) -> None:
        """Let a running launch hold these amounts, change keys of its spec, and record it, all or nothing.

        `expected` is the host's generation that the change was decided on; None for one that only gives back.

        Raises:
            ConcurrentUpdateError: that generation has moved, or the host's room was sold meanwhile.
            LedgerError: `launch.not_running`.
        """
        with self._database.writing() as connection:
            resize(connection, record, amounts, inventory=inventory, expected=expected, spec=spec, about=about)

    def begin_step(self, request_id: str, step: str, *, turn: int, at: float) -> None:
        """Write that the owner of this turn is alive and begins a step; not in the record.

        Raises:
            TakenOverError: it is somebody else's turn.
            LedgerError: `launch.removed`, somebody has removed it.
        """
        with self._database.writing() as connection:
            turns.begin_step(connection, request_id, step, turn=turn, at=at)

    def take_over(self, seen: LaunchRecord, step: str, *, at: float) -> int:
        """Make a launch one's own, if it still is as it was seen; the new turn.

        Raises:
            TakenOverError: its owner showed a sign of life, or somebody else was faster.
        """
        with self._database.writing() as connection:
            return turns.take_over(connection, seen, step, at=at)

    def see(self, host: str, seen: Collection[Seen], *, at: float) -> tuple[Sighting, ...]:
        """Write down all that a host has and that belongs to no live launch, as kind and identity.

        What was seen before and isn't there any more is forgotten.
        """
        if not seen and not any(item.host == host for item in self.sightings()):
            return ()  # as ever: nothing is written
        with self._database.writing() as connection:
            return see(connection, host, seen, at=at)

    def sightings(self) -> tuple[Sighting, ...]:
        """What belonged to no live launch the last time that somebody looked."""
        with self._database.reading() as connection:
            return sightings(connection)

    def engine_fingerprints(self) -> Mapping[str, str]:
        """The engine that the last launch of each host was made on, also of hosts that have no live launch."""
        with self._database.reading() as connection:
            rows = connection.execute(select(schema.host.c.name, schema.host.c.engine_fingerprint)).all()
        return {name: fingerprint for name, fingerprint in rows if fingerprint is not None}

    def record(self, entry: Event) -> None:
        """Append to the record."""
        with self._database.writing() as connection:
            journal.append(connection, entry)

    def cordon(self, cordon: Cordon, *, hosts: Iterable[str]) -> None:
        """Close a host, or the fleet; `hosts` are all that it closes. Decisions under way fail."""
        with self._database.writing() as connection:
            cordons.set_cordon(connection, cordon, hosts=hosts)

    def cordons(self) -> tuple[Cordon, ...]:
        """What operators closed; those that have run out too."""
        with self._database.reading() as connection:
            return cordons.read_cordons(connection)

    def uncordon(self, host: str | None, *, who: str, at: float) -> bool:
        """Open a host again, or with None thaw the fleet; whether it was closed."""
        with self._database.writing() as connection:
            return cordons.lift_cordon(connection, host, who=who, at=at)

    def prune(self, *, before: float, keep: int) -> int:
        """Delete old entries of the record; how many went. See `journal.prune`."""
        with self._database.writing() as connection:
            return journal.prune(connection, before=before, keep=keep)

    def restore(self, restored: Restored, *, who: str, at: float) -> None:
        """Write what was found on the engines.

        Raises:
            NotEmptyError: there is a launch of one of those hosts in the ledger.
        """
        with self._database.writing() as connection:
            restore(connection, restored, who=who, at=at)

    def launches(self) -> tuple[LaunchRecord, ...]:
        """All launches that hold something: live ones, and removed ones whose volume stays. Oldest first."""
        return self._launches(select(schema.launch).where(schema.is_holding))

    def launch(self, request_id: str) -> LaunchRecord | None:
        """The launch of that request; None if the ledger never had one, or has forgotten it."""
        return next(iter(self._launches(select(schema.launch).where(schema.launch.c.request_id == request_id))), None)

    def launches_named(self, name: str) -> tuple[LaunchRecord, ...]:
        """All launches of that name that the record still has, oldest first."""
        return self._launches(select(schema.launch).where(schema.launch.c.name == name))

    def held(self, request_id: str) -> Amounts:
        """What a launch holds."""
        query = select(schema.allocation.c.resource_class, schema.allocation.c.amount)
        with self._database.reading() as connection:
            rows = connection.execute(query.where(schema.allocation.c.request_id == request_id)).all()
        return {ResourceClass(name): amount for name, amount in rows}

    def events(self, request_id: str) -> tuple[Event, ...]:
        """The record of one request, oldest first."""
        with self._database.reading() as connection:
            return journal.events_of(connection, request_id=request_id)

    def events_named(self, name: str) -> tuple[Event, ...]:
        """The record of all requests for a name, the refused ones too, oldest first."""
        with self._database.reading() as connection:
            return journal.events_named(connection, name=name)

    def export(self, *, at: float) -> Iterator[Mapping[str, Any]]:
        """Every row of every table as of one moment, in JSON terms; docs/ledger.md has the format."""
        with self._database.reading(patiently=True) as connection:
            yield from export_rows(connection, at=at)

    def leases(self) -> Leases:
        """The lease of `vdbmon serve`."""
        return Leases(self._database)

    def fenced(self, check: Callable[[Connection], None]) -> Ledger:
        """The same ledger, which writes only what `check` lets pass (`leases.fence`)."""
        return Ledger(self._database.fenced(check))

    def entry_ids(self, *, after: int) -> tuple[int, ...]:
        """Numbers of the record's entries above that one, lowest first."""
        with self._database.reading() as connection:
            return journal.ids_after(connection, after)

    def entries(self, ids: Iterable[int]) -> tuple[tuple[int, Event], ...]:
        """Entries of the record by their numbers, lowest first."""
        with self._database.reading() as connection:
            return journal.entries_of(connection, ids)

    def decisions(self, *, name: str | None, before: int | None, limit: int) -> tuple[tuple[int, Event], ...]:
        """The newest decisions with their numbers, newest first; of that name, and below that number, if given."""
        with self._database.reading() as connection:
            return journal.decisions(connection, name=name, before=before, limit=limit)

    def close(self) -> None:
        """Give back the connections."""
        self._database.close()

    def _launches(self, query: Select[Any]) -> tuple[LaunchRecord, ...]:
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(schema.launch.c.created_at, schema.launch.c.request_id)).all()
        return tuple(_launch_record(row) for row in rows)


def open_ledger(url: str) -> Ledger:
    """Open a ledger, made and brought to the newest schema where that is needed.

    Raises:
        ConfigError: the URL is none that can be used.
        LedgerError: the database can't be made or opened, or a newer vdbmon has written it.
    """
    return Ledger(open_database(url))


def override_detail(override: Override) -> dict[str, Any]:
    """What the record keeps of an override, besides who it was."""
    return {"codes": list(override.codes), "why": override.why}


def _swap_all(connection: Connection, record: LaunchRecord, expected: Generations, fingerprint: str) -> None:
    generations.swap(connection, schema.host, record.host, expected.host, engine_fingerprint=fingerprint)
    generations.swap(connection, schema.source, record.source, expected.source)
    for name, generation in sorted(expected.pools.items()):
        generations.swap(connection, schema.pool, name, generation)


def _check_room(connection: Connection, host: str, amounts: Amounts, inventory: InventoryRows) -> None:
    held = schema.allocation.c
    query = select(held.resource_class, func.sum(held.amount)).where(held.host == host).group_by(held.resource_class)
    sold = {name: int(amount) for name, amount in connection.execute(query)}
    for key, amount in amounts.items():
        row = inventory.get(key)  # a class that is absent is not counted there
        if row is not None and amount > row.sellable - sold.get(key, 0):
            raise ConcurrentUpdateError(f"host {host}", f"{key.label} was given away")


def _check_readers(connection: Connection, source: str, max_readers: int) -> None:
    launch = schema.launch.c
    reading = connection.execute(
        select(func.count())
        .select_from(schema.launch)
        .where(launch.source == source, launch.state.in_(READING), launch.job.not_in(NOT_READING))
    ).scalar_one()
    if reading >= max_readers:
        raise ConcurrentUpdateError(f"source {source}", f"{reading} jobs read it, {max_readers} may")


def _write_amounts(connection: Connection, record: LaunchRecord, amounts: Amounts) -> None:
    rows = [
        {"request_id": record.request_id, "host": record.host, "resource_class": key, "amount": amount}
        for key, amount in amounts.items()
    ]
    connection.execute(insert(schema.allocation), rows)


def _release(connection: Connection, request_id: str, host: str, classes: frozenset[ResourceClass]) -> bool:
    """Give back what the launch holds of these classes; whether it held any."""
    held = schema.allocation.c
    gone = connection.execute(
        delete(schema.allocation).where(held.request_id == request_id, held.resource_class.in_(sorted(classes)))
    )
    if gone.rowcount:
        generations.move(connection, schema.host, [host])
    return bool(gone.rowcount)


def _launch_record(row: Row[Any]) -> LaunchRecord:
    return LaunchRecord(**{**row._mapping, "state": LaunchState(row.state)})  # noqa: SLF001 - SQLAlchemy's public name
