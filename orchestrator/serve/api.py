"""The read-only API: capacity and decisions as JSON. docs/serve.md and the schemas beside it describe the answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from collector.errors import VdbmonError
from collector.web.server import Answer, Page, Request
from orchestrator.capacity.documents import capacity_document
from orchestrator.capacity.figures import fleet_dimensions
from orchestrator.capacity.forecast import Forecasts, forecasts
from orchestrator.ledger import Event, Ledger
from orchestrator.serve.findings import Findings
from orchestrator.survey.deadline import ask_all

JSON = "application/json"
LEDGER_SECONDS = 5.0
MOST_DECISIONS = 200
_USUAL_DECISIONS = 20
_AT_ONCE = 4
_DECISIONS = "decisions"


def json_answer(document: Any, status: HTTPStatus = HTTPStatus.OK) -> Answer:
    """A document on one line."""
    return Answer(f"{json.dumps(document)}\n".encode(), JSON, status)


def api_page(answer: Callable[[Request], Any]) -> Page:
    """A page of JSON; what can't be answered says why: 400 for a wrong question, else 503."""

    def page(request: Request) -> Answer:
        try:
            return json_answer(answer(request))
        except VdbmonError as error:
            status = HTTPStatus.BAD_REQUEST if error.code == "request.query" else HTTPStatus.SERVICE_UNAVAILABLE
            document = {"code": error.code, "message": error.message, "remedy": error.remedy}
            return json_answer({"error": document}, status)

    return page


def capacity_answer(findings: Findings, *, now: float) -> dict[str, Any]:
    """As `vdbmon capacity --json`: docs/capacity.schema.json.

    Raises:
        VdbmonError: `capacity.unknown`, the last survey is too long ago, or there was none.
    """
    found = findings.capacity.get()
    if found is None:
        raise VdbmonError("capacity.unknown", "the fleet could not be surveyed lately", "see the log, and /metrics")
    history = findings.history.get()
    growth: Forecasts | VdbmonError = VdbmonError("prometheus.no_history", "the history was not read yet")
    if history is not None:
        growth = forecasts(fleet_dimensions(found.hosts), history, now=now)
    return capacity_document(found.taken_at, found.hosts, growth)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionQuery:
    """What `/api/decisions` is asked.

    Attributes:
        before: number of a decision; only older ones.
    """

    name: str | None = None
    before: int | None = None
    limit: int = _USUAL_DECISIONS


def parse_decision_query(query: str) -> DecisionQuery:
    """`name=NAME&limit=20&before=NUMBER`, each optional.

    Raises:
        VdbmonError: `request.query`.
    """
    words = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(set(words) - {"name", "before", "limit"})
    if unknown:
        raise VdbmonError("request.query", f"unknown parameter {unknown[0]}", "known: name, before, limit")
    before = _number("before", words["before"]) if "before" in words else None
    limit = _number("limit", words["limit"]) if "limit" in words else _USUAL_DECISIONS
    return DecisionQuery(name=words.get("name"), before=before, limit=min(limit, MOST_DECISIONS))


class Decisions:
    """Answers from the ledger's record, a few questions at a time, each under a deadline."""

    def __init__(self) -> None:
        self._slots = threading.BoundedSemaphore(_AT_ONCE)

    def answer(self, ledger: Ledger, query: DecisionQuery) -> dict[str, Any]:
        """The newest decisions: docs/decisions.schema.json.

        Raises:
            VdbmonError: the ledger doesn't answer, in time or at all.
        """
        answers = ask_all({_DECISIONS: partial(self._ask, ledger, query)}, seconds=LEDGER_SECONDS)
        found = answers.get(_DECISIONS)
        if found is None:
            raise VdbmonError("ledger.slow", f"the ledger doesn't answer within {LEDGER_SECONDS:g} s")
        if isinstance(found, VdbmonError):
            raise found
        return decisions_document(found, query.limit)

    def _ask(self, ledger: Ledger, query: DecisionQuery) -> tuple[tuple[int, Event], ...]:
        """A question to a ledger that hangs keeps its slot, so that questions don't pile up."""
        if not self._slots.acquire(blocking=False):
            raise VdbmonError("serve.busy", f"{_AT_ONCE} questions to the ledger are under way", "try again")
        try:
            return ledger.decisions(name=query.name, before=query.before, limit=query.limit)
        finally:
            self._slots.release()


def decisions_document(found: tuple[tuple[int, Event], ...], limit: int) -> dict[str, Any]:
    """Decisions, newest first; `next` is the `before` of the page after this one."""
    return {
        "decisions": [_entry(number, event) for number, event in found],
        "next": found[-1][0] if len(found) == limit else None,
    }


def _entry(number: int, event: Event) -> Mapping[str, Any]:
    return {"number": number, "at": event.at, "who": event.who, "decision": event.detail}


def _number(name: str, text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 2**31:
        raise VdbmonError("request.query", f"{name}={text} is no positive number")
    return int(text)
