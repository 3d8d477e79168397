"""How far each schedule is, and what keeps the run that is due. Every method is one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from sqlalchemy import RowMapping, insert, select, update

from orchestrator.ledger import schema
from orchestrator.ledger.database import Database
from orchestrator.ledger.journal import append
from orchestrator.ledger.records import Event

_LONGEST = 1024
_IDLE = {"trying": None, "tries": 0, "retry_at": None, "waiting_for": None, "against": None}

Against = Mapping[str, Sequence[tuple[str, str]]]
"""What each host had against a run: code and sentence of every reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindrance:
    """Why a run could not be placed.

    Attributes:
        why: one sentence, or a few.
        against: empty where no host was asked, or a host was found and the launch failed.
    """

    why: str
    against: Against = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """Runs that could not be placed in time; seconds since the epoch.

    Attributes:
        due: when the last of them was due.
        at: when they were given up.
        runs: how many.
        tries: of the last of them.
    """

    due: float
    at: float
    runs: int
    tries: int
    hindrance: Hindrance


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleProgress:
    """How far a schedule is; seconds since the epoch.

    Attributes:
        since: when it was first seen.
        settled_until: runs that were due until then are placed or missed.
        missed: how many were missed since it was first seen.
        last_placed: due time of the last run that was placed.
        trying: due time of the run that is tried; None while none is.
        tries: how often that came to nothing.
        retry_at: when it is tried again; None for at once, or where its launch is not known to be undone.
        hindrance: of the last try.
        last_miss: None if none was missed since it was first seen.
    """

    name: str
    since: float
    settled_until: float
    missed: int = 0
    last_placed: float | None = None
    trying: float | None = None
    tries: int = 0
    retry_at: float | None = None
    hindrance: Hindrance | None = None
    last_miss: Miss | None = None

    @property
    def has_missed(self) -> bool:
        """Whether the last run that isn't waited for was missed."""
        return self.last_miss is not None and (self.last_placed is None or self.last_miss.due > self.last_placed)


class ScheduleBook:
    """Reads and writes it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> tuple[ScheduleProgress, ...]:
        """Every schedule that was ever seen, by name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(schema.schedule).order_by(schema.schedule.c.name)).mappings()
            return tuple(map(_progress, rows))

    def progress(self, name: str, *, at: float) -> ScheduleProgress:
        """How far it is; one that is seen for the first time begins now, and has missed nothing."""
        columns = schema.schedule.c
        query = select(schema.schedule).where(columns.name == name)
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().first()
        if row is not None:
            return _progress(row)
        with self._database.writing() as connection:
            row = connection.execute(query).mappings().first()
            if row is None:
                connection.execute(insert(schema.schedule).values(name=name, since=at, settled_until=at, missed=0))
                return ScheduleProgress(name=name, since=at, settled_until=at)
            return _progress(row)

    def begin(self, name: str, due: float) -> None:
        """Write that the run of that time is tried from now on, before anything is done for it."""
        columns = schema.schedule.c
        with self._database.writing() as connection:
            connection.execute(
                update(schema.schedule)
                .where(columns.name == name, columns.trying.is_distinct_from(due))
                .values(_IDLE | {"trying": due})
            )

    def wait(self, name: str, hindrance: Hindrance, *, tries: int, retry_at: float | None) -> None:
        """Write why the run that is tried isn't placed yet, and when it is tried again."""
        changes = {
            "waiting_for": hindrance.why[:_LONGEST],
            "against": _plain(hindrance.against),
            "tries": tries,
            "retry_at": retry_at,
        }
        with self._database.writing() as connection:
            connection.execute(update(schema.schedule).where(schema.schedule.c.name == name).values(changes))

    def placed(self, name: str, *, until: float) -> None:
        """The run of that time is placed; runs are settled once: of two who do it the second changes nothing."""
        columns = schema.schedule.c
        with self._database.writing() as connection:
            connection.execute(
                update(schema.schedule)
                .where(columns.name == name, columns.settled_until < until)
                .values(_IDLE | {"settled_until": until, "last_placed": until})
            )

    def missed(self, name: str, miss: Miss) -> None:
        """Those runs are missed; as `placed`."""
        columns = schema.schedule.c
        detail = {
            "runs": miss.runs,
            "until": miss.due,
            "tries": miss.tries,
            "why": miss.hindrance.why[:_LONGEST],
            "hosts": {host: [sentence for _, sentence in said] for host, said in miss.hindrance.against.items()},
        }
        with self._database.writing() as connection:
            moved = connection.execute(
                update(schema.schedule)
                .where(columns.name == name, columns.settled_until < miss.due)
                .values(
                    _IDLE
                    | {
                        "settled_until": miss.due,
                        "missed": columns.missed + miss.runs,
                        "last_miss": _miss_document(miss),
                    }
                )
            )
            if moved.rowcount:
                append(connection, Event(at=miss.at, kind="schedule.missed", name=name, detail=detail))


def _progress(row: RowMapping) -> ScheduleProgress:
    values: dict[str, Any] = {str(key): value for key, value in row.items()}
    why, against, miss = (values.pop(key) for key in ("waiting_for", "against", "last_miss"))
    return ScheduleProgress(
        **values,
        hindrance=None if why is None else Hindrance(why=why, against=_pairs(against or {})),
        last_miss=None if miss is None else _read_miss(miss),
    )


def _miss_document(miss: Miss) -> dict[str, Any]:
    own = {item.name: getattr(miss, item.name) for item in fields(Miss)}
    return own | {"hindrance": {"why": miss.hindrance.why[:_LONGEST], "against": _plain(miss.hindrance.against)}}


def _read_miss(document: Mapping[str, Any]) -> Miss:
    kept = document["hindrance"]
    return Miss(**{**document, "hindrance": Hindrance(why=kept["why"], against=_pairs(kept["against"]))})


def _plain(against: Against) -> dict[str, list[list[str]]]:
    return {host: [list(pair) for pair in said] for host, said in against.items()}


def _pairs(against: Mapping[str, Sequence[Sequence[str]]]) -> dict[str, tuple[tuple[str, str], ...]]:
    return {host: tuple((code, sentence) for code, sentence in said) for host, said in against.items()}
