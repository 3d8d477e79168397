"""Addresses of pools, for those who take one and give it back; every method that writes is one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv4Address

from sqlalchemy import select

from orchestrator.decision.addresses import Holding
from orchestrator.ledger import addresses, generations, schema
from orchestrator.ledger.addresses import HeldAddress
from orchestrator.ledger.database import Database
from orchestrator.ledger.errors import LedgerError
from orchestrator.ledger.records import Event, LaunchState


class PoolLedger:
    """Who has which address. An address is chosen on a pool's generation, and taken only if that hasn't moved."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(
        self,
        request_id: str,
        *,
        host: str,
        pool: str,
        choose: Callable[[Sequence[Holding]], IPv4Address | None],
        at: float,
    ) -> HeldAddress | None:
        """Give a launch the address that `choose` picks, or the one that it has already; None if it picks none.

        Raises:
            ConcurrentUpdateError: the pool has changed since it was chosen.
            LedgerError: `launch.removed`, somebody has removed the launch.
        """
        with self._database.reading() as connection:
            for own in addresses.held(connection, request_id):
                return own
            found = addresses.pool_view(connection, pool)
        ip = choose(found.holdings)
        if ip is None:
            return None
        given = HeldAddress(request_id=request_id, host=host, pool=pool, ip=ip)
        launch = schema.launch.c
        with self._database.writing() as connection:
            generations.lock(connection, schema.pool, pool)
            row = connection.execute(
                select(launch.name, launch.state).where(launch.request_id == request_id).with_for_update(read=True)
            ).one()
            if row.state == LaunchState.REMOVED:
                raise LedgerError("launch.removed", f"{row.name} was removed meanwhile", "see `vdbmon ps`")
            detail = {"pool": pool, "ip": str(ip)}
            about = Event(at=at, kind="address", request_id=request_id, name=row.name, host=host, detail=detail)
            addresses.take(connection, given, expected=found.generation, about=about)
        return given

    def give_back(self, request_id: str, *, at: float) -> None:
        """Let a launch's address rest; nothing to do if it has none. Removing the launch does it too."""
        with self._database.writing() as connection:
            pools = addresses.pools_of(connection, request_id)
            addresses.give_back(connection, request_id, pools, at=at)

    def held(self) -> tuple[HeldAddress, ...]:
        """All that launches have."""
        with self._database.reading() as connection:
            return addresses.held(connection)
