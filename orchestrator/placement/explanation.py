"""A decision again, later: what the ledger's record says of the requests for a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from collector.errors import VdbmonError
from orchestrator.ledger import Event, Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A decision, and what came of it.

    Attributes:
        decided_at: seconds since the epoch.
        who: the operator; None where the record is older than that column.
        decision: the document (`orchestrator.decision.documents`).
        events: the rest of the record of its request, oldest first; the ledger keeps less of one that is long removed.
        earlier: ids of older requests for the same name, oldest first.
    """

    name: str
    request_id: str
    decided_at: float
    who: str | None
    decision: Mapping[str, Any]
    events: tuple[Event, ...]
    earlier: tuple[str, ...]


def explain(ledger: Ledger, name: str, *, request_id: str | None = None) -> Explanation:
    """The newest decision on that name, or the one of a request whose id begins with `request_id`.

    Raises:
        VdbmonError: `decision.not_found`, there is none in the record.
    """
    record = ledger.events_named(name)
    decisions = [(event, event.request_id) for event in record if event.kind == "decision" and event.detail]
    wanted = [(event, found) for event, found in decisions if found and found.startswith(request_id or "")]
    if not wanted:
        of_request = f" of request {request_id}" if request_id else ""
        raise VdbmonError(
            "decision.not_found",
            f"the record has no decision on {name}{of_request}",
            "it was never asked for, only with --dry-run, or longer ago than [ledger] keep",
        )
    chosen, identity = wanted[-1]
    ids = [found for _, found in decisions if found]
    return Explanation(
        name=name,
        request_id=identity,
        decided_at=chosen.at,
        who=chosen.who,
        decision=chosen.detail,
        events=tuple(event for event in record if event.request_id == identity and event is not chosen),
        earlier=tuple(ids[: ids.index(identity)]),
    )
