"""Whose turn it is on a launch: the one who launches it, or whoever took it over to finish, undo or remove it.

A launch has one owner at a time, known by its `turn`. Before each step the owner writes the step and the time: his
heartbeat. It fails once somebody has moved the turn. Whoever takes over names the turn and the heartbeat that he saw
(compare-and-swap), so of two only one does, and an owner who showed a sign of life meanwhile keeps it.
"""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from orchestrator.ledger import schema
from orchestrator.ledger.errors import LedgerError, TakenOverError
from orchestrator.ledger.records import LaunchRecord, LaunchState


def begin_step(connection: Connection, request_id: str, step: str, *, turn: int, at: float) -> None:
    """See `Ledger.begin_step`."""
    launch = schema.launch.c
    moved = connection.execute(
        update(schema.launch)
        .where(launch.request_id == request_id, launch.turn == turn, schema.is_live)
        .values(step=step, updated_at=at)
    )
    if moved.rowcount != 1:
        check_turn(connection, request_id, turn)
        name = connection.execute(select(launch.name).where(launch.request_id == request_id)).scalar_one()
        raise LedgerError("launch.removed", f"{name} was removed meanwhile", "see `vdbmon ps`")


def check_turn(connection: Connection, request_id: str, turn: int) -> None:
    """Refuse whoever isn't the owner any more; the launch's row is locked from now on.

    Raises:
        TakenOverError: the turn has moved.
    """
    launch = schema.launch.c
    row = connection.execute(
        select(launch.name, launch.turn).where(launch.request_id == request_id).with_for_update()
    ).one()
    if row.turn != turn:
        raise TakenOverError(row.name)


def take_over(connection: Connection, seen: LaunchRecord, step: str, *, at: float) -> int:
    """See `Ledger.take_over`."""
    launch = schema.launch.c
    moved = connection.execute(
        update(schema.launch)
        .where(
            launch.request_id == seen.request_id,
            launch.turn == seen.turn,
            launch.updated_at == seen.updated_at,
            launch.state == seen.state,
        )
        .values(turn=seen.turn + 1, step=step, updated_at=at)
    )
    if moved.rowcount != 1:
        raise TakenOverError(seen.name)
    return seen.turn + 1


def is_under_way(record: LaunchRecord) -> bool:
    """Whether somebody works on it, or died over it."""
    return record.step is not None or record.state in {LaunchState.INTENT, LaunchState.CREATED}
