"""Decide and allocate as one act: a decision that another scheduler overtook is made again, for a bounded time.

Only the ledger is read again. The answers of engines and Prometheus are kept, for they are at most CONFLICT_SECONDS
older than in the first attempt.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import stamina

from orchestrator.decision.decide import Decision
from orchestrator.decision.snapshot import HostState, Snapshot
from orchestrator.ledger import ConcurrentUpdateError, LedgerView
from orchestrator.survey.fleet import with_ledger

CONFLICT_SECONDS = 15.0
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, JITTER_SECONDS = 0.002, 0.03, 0.02
"""Short: who lost waits no longer than who won needs for his next, else the slow lose again and again."""

Taken = TypeVar("Taken")


def decide_and_take(
    snapshot: Snapshot,
    *,
    decide: Callable[[Snapshot], Decision],
    view: Callable[[], LedgerView],
    take: Callable[[Snapshot, Decision, HostState], Taken],
) -> tuple[Decision, Taken | None]:
    """The decision, and what `take` made of the chosen host; None for a refusal and for a later start.

    Raises:
        ConcurrentUpdateError: others were faster every time.
    """
    for attempt in stamina.retry_context(
        on=ConcurrentUpdateError,
        attempts=None,
        timeout=CONFLICT_SECONDS,
        wait_initial=FIRST_WAIT_SECONDS,
        wait_max=LONGEST_WAIT_SECONDS,
        wait_jitter=JITTER_SECONDS,
    ):
        with attempt:
            if attempt.num > 1:
                snapshot = with_ledger(snapshot, view())
            decision = decide(snapshot)
            if decision.host is None or decision.start_at is not None:
                return decision, None
            return decision, take(snapshot, decision, snapshot.host(decision.host))
    raise AssertionError("a retry context returns or raises")
