"""Addresses of pools in the ledger: one row per pool and address that was ever given away.

The row of an address that was given back stays, with the time: until it is given away again it says who had it last,
and how long it has rested. What is given away and given back moves the pool's generation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from sqlalchemy import Connection, delete, insert, select, update

from orchestrator.decision.addresses import Holding
from orchestrator.ledger import generations, schema
from orchestrator.ledger.journal import append
from orchestrator.ledger.records import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldAddress:
    """An address that a launch has."""

    request_id: str
    host: str
    pool: str
    ip: IPv4Address


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolView:
    """One pool at one moment."""

    generation: int
    holdings: tuple[Holding, ...]


def held(connection: Connection, request_id: str | None = None) -> tuple[HeldAddress, ...]:
    """Of one launch, or of all; by pool and address."""
    columns = schema.address.c
    query = select(columns.request_id, columns.host, columns.pool, columns.ip).where(columns.released_at.is_(None))
    if request_id is not None:
        query = query.where(columns.request_id == request_id)
    rows = [
        HeldAddress(request_id=row.request_id, host=row.host, pool=row.pool, ip=IPv4Address(row.ip))
        for row in connection.execute(query)
    ]
    return tuple(sorted(rows, key=lambda row: (row.pool, row.ip)))


def pool_view(connection: Connection, pool: str) -> PoolView:
    """What a choice is made on."""
    found = connection.execute(select(schema.pool.c.generation).where(schema.pool.c.name == pool)).scalar()
    return PoolView(generation=found or 0, holdings=holdings(connection).get(pool, ()))


def holdings(connection: Connection) -> Mapping[str, tuple[Holding, ...]]:
    """Everything that was ever given away, by pool."""
    columns = schema.address.c
    found: dict[str, list[Holding]] = {}
    for row in connection.execute(select(columns.pool, columns.ip, columns.released_at)):
        found.setdefault(row.pool, []).append(Holding(address=IPv4Address(row.ip), released_at=row.released_at))
    return {pool: tuple(items) for pool, items in found.items()}


def take(connection: Connection, address: HeldAddress, *, expected: int, about: Event) -> None:
    """Write down that a launch has it; `expected` is the pool's generation that it was chosen on.

    Raises:
        ConcurrentUpdateError: the pool has changed since.
    """
    generations.swap(connection, schema.pool, address.pool, expected)
    columns, ip = schema.address.c, str(address.ip)
    connection.execute(delete(schema.address).where(columns.pool == address.pool, columns.ip == ip))
    connection.execute(
        insert(schema.address).values(
            pool=address.pool, ip=ip, request_id=address.request_id, host=address.host, taken_at=about.at
        )
    )
    append(connection, about)


def pools_of(connection: Connection, request_id: str) -> Iterable[str]:
    """Pools that the launch has an address of, their rows locked."""
    pools = sorted({address.pool for address in held(connection, request_id)})
    for pool in pools:
        generations.lock(connection, schema.pool, pool)
    return pools


def give_back(connection: Connection, request_id: str, pools: Iterable[str], *, at: float) -> bool:
    """Let a launch's address rest; whether it had one. `pools` are those of `pools_of`, locked before the launch."""
    columns = schema.address.c
    given = connection.execute(
        update(schema.address)
        .where(columns.request_id == request_id, columns.released_at.is_(None))
        .values(released_at=at)
    )
    generations.move(connection, schema.pool, pools)
    return bool(given.rowcount)
