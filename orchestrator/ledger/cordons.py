"""Cordons: hosts, or the whole fleet, on which an operator wants nothing placed.

Setting one moves the generations of the hosts that it closes: a decision made before it doesn't slip through.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, delete, insert, select

from orchestrator.decision.snapshot import Cordon
from orchestrator.ledger import generations, schema
from orchestrator.ledger.journal import append
from orchestrator.ledger.records import Event


def read_cordons(connection: Connection) -> tuple[Cordon, ...]:
    """All of them, those that have run out too."""
    rows = connection.execute(select(schema.cordon).order_by(schema.cordon.c.scope)).all()
    return tuple(
        Cordon(
            host=None if row.scope == schema.FLEET else row.scope,
            who=row.who,
            why=row.why,
            until=row.until,
            since=row.since,
        )
        for row in rows
    )


def set_cordon(connection: Connection, cordon: Cordon, *, hosts: Iterable[str]) -> None:
    """Write it in place of an older one; `hosts` are all that it closes."""
    generations.move(connection, schema.host, hosts)
    scope = schema.FLEET if cordon.host is None else cordon.host
    connection.execute(delete(schema.cordon).where(schema.cordon.c.scope == scope))
    connection.execute(
        insert(schema.cordon).values(
            scope=scope, who=cordon.who, why=cordon.why, until=cordon.until, since=cordon.since
        )
    )
    kind = "freeze" if cordon.host is None else "cordon"
    detail = {"why": cordon.why, "until": cordon.until}
    append(connection, Event(at=cordon.since, kind=kind, host=cordon.host, who=cordon.who, detail=detail))


def lift_cordon(connection: Connection, host: str | None, *, who: str, at: float) -> bool:
    """Take one back; whether there was one."""
    scope = schema.FLEET if host is None else host
    gone = connection.execute(delete(schema.cordon).where(schema.cordon.c.scope == scope))
    if gone.rowcount:
        append(connection, Event(at=at, kind="thaw" if host is None else "uncordon", host=host, who=who))
    return bool(gone.rowcount)
