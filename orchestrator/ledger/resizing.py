"""Change what a running launch holds of its host, and its desired limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from orchestrator.decision.resources import Amounts, InventoryRows
from orchestrator.ledger import generations, schema
from orchestrator.ledger.errors import ConcurrentUpdateError, LedgerError
from orchestrator.ledger.journal import append
from orchestrator.ledger.records import Event, LaunchRecord, LaunchState


def resize(
    connection: Connection,
    record: LaunchRecord,
    amounts: Amounts,
    *,
    inventory: InventoryRows,
    expected: int | None,
    spec: Mapping[str, Any],
    about: Event,
) -> None:
    """Write new amounts of some classes and changed keys of the spec; see `Ledger.resize`.

    Raises:
        ConcurrentUpdateError: the host's generation isn't `expected` any more, or its room was sold meanwhile.
        LedgerError: `launch.not_running`, it has ended or was removed.
    """
    if expected is None:
        generations.move(connection, schema.host, [record.host])
    else:
        generations.swap(connection, schema.host, record.host, expected)
    launch, held = schema.launch.c, schema.allocation.c
    row = connection.execute(
        select(launch.state, launch.spec).where(launch.request_id == record.request_id).with_for_update()
    ).one()
    if row.state != LaunchState.RUNNING:
        raise LedgerError("launch.not_running", f"{record.name} is {row.state} meanwhile", "see `vdbmon ps`")
    for key, amount in amounts.items():
        others = connection.execute(
            select(func.coalesce(func.sum(held.amount), 0)).where(
                held.host == record.host, held.resource_class == key, held.request_id != record.request_id
            )
        ).scalar_one()
        own = connection.execute(
            select(held.amount).where(held.request_id == record.request_id, held.resource_class == key)
        ).scalar()
        counted = inventory.get(key)  # a class that is absent is not counted there
        if counted is not None and amount > (own or 0) and amount > counted.sellable - int(others):
            raise ConcurrentUpdateError(f"host {record.host}", f"{key.label} was given away")
        own_row = (held.request_id == record.request_id) & (held.resource_class == key)
        changed = connection.execute(update(schema.allocation).where(own_row).values(amount=amount))
        if not changed.rowcount:
            values = {"request_id": record.request_id, "host": record.host, "resource_class": key, "amount": amount}
            connection.execute(insert(schema.allocation).values(values))
    connection.execute(
        update(schema.launch).where(launch.request_id == record.request_id).values(spec={**row.spec, **spec})
    )
    append(connection, about)
