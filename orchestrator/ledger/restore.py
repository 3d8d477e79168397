"""Write a ledger anew from what was found on the engines, after the loss of the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection, insert, select, update

from orchestrator.decision.resources import Amounts
from orchestrator.decision.snapshot import Cordon
from orchestrator.ledger import generations, schema
from orchestrator.ledger.addresses import HeldAddress, pool_view, take
from orchestrator.ledger.cordons import set_cordon
from orchestrator.ledger.errors import NotEmptyError
from orchestrator.ledger.journal import append
from orchestrator.ledger.records import Event, LaunchRecord, columns_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was found.

    Attributes:
        generations: by host, at least the newest that a label tells; the ledger goes on above it.
        fingerprints: of the engines that answered, by host.
        amounts: by request id.
        addresses: that launches have.
        cordons: for hosts of which not all could be known.
    """

    generations: Mapping[str, int]
    fingerprints: Mapping[str, str]
    launches: tuple[LaunchRecord, ...]
    amounts: Mapping[str, Amounts]
    addresses: tuple[HeldAddress, ...] = ()
    cordons: tuple[Cordon, ...] = ()


def restore(connection: Connection, restored: Restored, *, who: str, at: float) -> None:
    """See `Ledger.restore`."""
    for host in sorted(restored.generations):
        generations.move(connection, schema.host, [host])
        _refuse_known(connection, host)
        columns = schema.host.c
        connection.execute(
            update(schema.host)
            .where(columns.name == host)
            .values(
                generation=columns.generation + restored.generations[host],
                engine_fingerprint=restored.fingerprints.get(host),
            )
        )
    generations.move(connection, schema.source, {record.source for record in restored.launches})
    for record in restored.launches:
        connection.execute(insert(schema.launch).values(columns_of(record)))
        rows = [
            {"request_id": record.request_id, "host": record.host, "resource_class": key, "amount": amount}
            for key, amount in restored.amounts[record.request_id].items()
        ]
        if rows:
            connection.execute(insert(schema.allocation), rows)
        about = partial(Event, request_id=record.request_id, name=record.name, host=record.host)
        append(connection, about(at=at, kind="rebuilt", who=who))
    for address in restored.addresses:
        taken = Event(
            at=at,
            kind="address",
            request_id=address.request_id,
            host=address.host,
            who=who,
            detail={"pool": address.pool, "ip": str(address.ip)},
        )
        take(connection, address, expected=pool_view(connection, address.pool).generation, about=taken)
    for cordon in restored.cordons:
        set_cordon(connection, cordon, hosts=[host for host in [cordon.host] if host])


def _refuse_known(connection: Connection, host: str) -> None:
    if connection.execute(select(schema.launch.c.name).where(schema.launch.c.host == host).limit(1)).first():
        raise NotEmptyError(f"a launch on {host}")
