"""How far each schedule is. Every method is one transaction."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import insert, select, update

from orchestrator.ledger import schema
from orchestrator.ledger.database import Database
from orchestrator.ledger.journal import append
from orchestrator.ledger.records import Event

_LONGEST = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleProgress:
    """How far a schedule is; seconds since the epoch.

    Attributes:
        since: when it was first seen.
        settled_until: runs that were due until then are placed or missed.
        missed: how many were missed since it was first seen.
        last_placed: due time of the last run that was placed.
        waiting_for: why the run that is due isn't placed yet.
    """

    name: str
    since: float
    settled_until: float
    missed: int = 0
    last_placed: float | None = None
    waiting_for: str | None = None


class ScheduleBook:
    """Reads and writes it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> tuple[ScheduleProgress, ...]:
        """Every schedule that was ever seen, by name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(schema.schedule).order_by(schema.schedule.c.name)).mappings()
            return tuple(ScheduleProgress(**row) for row in rows)

    def progress(self, name: str, *, at: float) -> ScheduleProgress:
        """How far it is; one that is seen for the first time begins now, and has missed nothing."""
        columns = schema.schedule.c
        with self._database.writing() as connection:
            row = connection.execute(select(schema.schedule).where(columns.name == name)).mappings().first()
            if row is not None:
                return ScheduleProgress(**row)
            connection.execute(insert(schema.schedule).values(name=name, since=at, settled_until=at, missed=0))
        return ScheduleProgress(name=name, since=at, settled_until=at)

    def settle(
        self, name: str, *, until: float, at: float, missed: int = 0, placed: bool = False, why: str = ""
    ) -> None:
        """Settle all runs that were due by `until`: so many were missed, and the last was placed or not.

        Runs are settled once: of two who do it the second changes nothing.
        """
        columns = schema.schedule.c
        changes = {"last_placed": until} if placed else {}
        with self._database.writing() as connection:
            moved = connection.execute(
                update(schema.schedule)
                .where(columns.name == name, columns.settled_until < until)
                .values(settled_until=until, missed=columns.missed + missed, waiting_for=None, **changes)
            )
            if moved.rowcount and missed:
                detail = {"runs": missed, "until": until, "why": why}
                append(connection, Event(at=at, kind="schedule.missed", name=name, detail=detail))

    def wait(self, name: str, why: str) -> None:
        """Write why the run that is due isn't placed yet."""
        with self._database.writing() as connection:
            connection.execute(
                update(schema.schedule).where(schema.schedule.c.name == name).values(waiting_for=why[:_LONGEST])
            )
