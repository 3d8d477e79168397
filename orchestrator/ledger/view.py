"""The ledger at one moment, as decisions need it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Table, and_, func, select

from orchestrator.decision.resources import Amounts, ResourceClass
from orchestrator.decision.snapshot import PlacedJob
from orchestrator.ledger import schema
from orchestrator.ledger.addresses import holdings
from orchestrator.ledger.cordons import read_cordons
from orchestrator.ledger.records import NOT_READING, READING, LedgerView

_Rows = Sequence[Row[*tuple[Any, ...]]]

_its_address = and_(schema.address.c.request_id == schema.launch.c.request_id, schema.address.c.released_at.is_(None))
"""A launch that has none yet will take one of the pool in its spec; of a rebuilt one only the address is known."""


def read_view(connection: Connection) -> LedgerView:
    """All of it; the transaction must see one moment."""
    columns, held = schema.launch.c, schema.allocation.c
    hosts = connection.execute(select(schema.host)).all()
    live = connection.execute(
        select(
            columns.request_id,
            columns.name,
            columns.host,
            columns.source,
            columns.job,
            columns.state,
            columns.window_start,
            columns.window_end,
            func.coalesce(schema.address.c.pool, columns.spec["pool"].as_string()).label("pool"),
            columns.spec["reads"].label("reads"),
        )
        .outerjoin(schema.address, _its_address)
        .where(schema.is_live)
        .order_by(columns.host, columns.created_at, columns.request_id)
    ).all()
    rows = connection.execute(select(held.request_id, held.host, held.resource_class, held.amount)).all()
    reading = [row for row in live if row.state in READING]
    busy = {row.host for row in live}
    return LedgerView(
        generations={row.name: row.generation for row in hosts},
        fingerprints={row.name: row.engine_fingerprint for row in hosts if row.name in busy},
        allocated=_sums(rows),
        names={row.name: row.host for row in live},
        jobs=_jobs(reading, rows),
        readers=Counter(row.source for row in reading if row.job not in NOT_READING),
        source_generations=_generations(connection, schema.source),
        pool_generations=_generations(connection, schema.pool),
        holdings=holdings(connection),
        cordons=read_cordons(connection),
    )


def _sums(rows: _Rows) -> dict[str, Amounts]:
    sums: dict[str, dict[ResourceClass, int]] = {}
    for _, host, name, amount in rows:
        of_host = sums.setdefault(host, {})
        key = ResourceClass(name)
        of_host[key] = of_host.get(key, 0) + amount
    return dict(sums)


def _jobs(reading: _Rows, rows: _Rows) -> dict[str, tuple[PlacedJob, ...]]:
    amounts: dict[str, dict[ResourceClass, int]] = {row.request_id: {} for row in reading}
    for request_id, _, name, amount in rows:
        if request_id in amounts:
            amounts[request_id][ResourceClass(name)] = amount
    jobs: dict[str, tuple[PlacedJob, ...]] = {}
    for row in reading:
        window = None if row.window_start is None else (row.window_start, row.window_end)
        job = PlacedJob(
            request_id=row.request_id,
            name=row.name,
            source=row.source,
            job=row.job,
            amounts=amounts[row.request_id],
            pool=row.pool,
            reads_backups=bool(row.reads) or row.job in NOT_READING,
            window=window,
        )
        jobs[row.host] = (*jobs.get(row.host, ()), job)
    return jobs


def _generations(connection: Connection, table: Table) -> dict[str, int]:
    return {row.name: row.generation for row in connection.execute(select(table))}
