"""The lease of `vdbmon serve` as a row of the ledger, and the fence that it puts before writes.

The token counts how often the lease has changed hands. A transaction of the holder first reads the row FOR KEY SHARE:
its own renewals pass, a takeover waits until it has ended, and after a takeover it finds another token and writes
nothing. On SQLite every transaction that writes holds the whole database, so reading the row is enough.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from orchestrator.ledger import schema
from orchestrator.ledger.database import Database
from orchestrator.ledger.errors import LedgerError

_SERVE = "serve"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRow:
    """The lease as it stands in the ledger.

    Attributes:
        token: moves when the lease changes hands.
        renewals: moves with every change of the row.
        holder: None while nobody has it.
        seconds: how long the holder may be silent before another one takes it.
    """

    token: int
    renewals: int
    holder: str | None
    seconds: float


class LeaseLostError(LedgerError):
    """Another one has the lease, or it ran out: nothing more may be done in its name."""

    def __init__(self) -> None:
        super().__init__("lease.lost", "the lease of `vdbmon serve` is lost", "whoever has it now goes on")


class Leases:
    """Reads the lease, and changes it by compare-and-swap."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self) -> LeaseRow:
        """The lease now.

        Raises:
            LedgerError: the ledger doesn't answer.
        """
        lease = schema.lease.c
        query = select(lease.token, lease.renewals, lease.holder, lease.seconds).where(lease.name == _SERVE)
        with self._database.reading() as connection:
            return LeaseRow(**connection.execute(query).mappings().one())

    def swap(self, seen: LeaseRow, wanted: LeaseRow) -> bool:
        """Write `wanted` if the row is still as it was seen; whether it was.

        Raises:
            LedgerError: the ledger doesn't answer; whether it was written is unknown.
        """
        lease = schema.lease.c
        values = {"renewals": wanted.renewals, "holder": wanted.holder, "seconds": wanted.seconds}
        if wanted.token != seen.token:
            values["token"] = wanted.token
        as_seen = (lease.name == _SERVE) & (lease.token == seen.token) & (lease.renewals == seen.renewals)
        with self._database.writing() as connection:
            return connection.execute(update(schema.lease).where(as_seen).values(values)).rowcount == 1


def fence(holder: str, token: int) -> Callable[[Connection], None]:
    """What a transaction in the name of this holder does first; it raises LeaseLostError where the lease is gone."""

    def check(connection: Connection) -> None:
        lease = schema.lease.c
        query = select(lease.token, lease.holder).where(lease.name == _SERVE)
        row = connection.execute(query.with_for_update(read=True, key_share=True)).one()
        if (row.token, row.holder) != (token, holder):
            raise LeaseLostError

    return check
