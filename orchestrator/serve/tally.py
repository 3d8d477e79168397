"""Counts new entries of the ledger's record: decisions, refusals by code, launches and their failures.

PostgreSQL gives numbers when a transaction writes, not when it commits, so a lower number may come to light after a
higher one: the last WINDOW numbers are looked at again each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from orchestrator.ledger import Event, Ledger
from orchestrator.serve.findings import Counts

WINDOW = 1000
_AT_ONCE = 200  # entries that are read at once: a decision on 100 hosts is 30 kB

ACCEPTED, REFUSED = "accepted", "refused"


class Tally:
    """Counts what is written after it was made."""

    def __init__(self, ledger: Ledger) -> None:
        ids = ledger.entry_ids(after=0)
        self._low = max(ids[-1] - WINDOW, 0) if ids else 0
        self._seen = {number for number in ids if number > self._low}

    def update(self, ledger: Ledger, counts: Counts) -> None:
        """Count what is new.

        Raises:
            LedgerError: the ledger doesn't answer; what is new then is counted next time.
        """
        fresh = iter([number for number in ledger.entry_ids(after=self._low) if number not in self._seen])
        while batch := list(islice(fresh, _AT_ONCE)):
            for number, entry in ledger.entries(batch):
                _count(entry, counts)
                self._seen.add(number)
        self._low = max(self._low, max(self._seen, default=0) - WINDOW)
        self._seen = {number for number in self._seen if number > self._low}


def _count(entry: Event, counts: Counts) -> None:
    counts.entries[entry.kind] += 1
    if entry.kind == "decision" and isinstance(entry.detail, Mapping):
        refused = entry.detail.get("host") is None
        counts.decisions[REFUSED if refused else ACCEPTED] += 1
        if refused:
            counts.refusals.update(_codes(entry.detail))


def _codes(decision: Mapping[str, Any]) -> frozenset[str]:
    """All codes of a decision, each once."""
    verdicts = decision.get("verdicts", ())
    return frozenset(str(reason["code"]) for verdict in verdicts for reason in verdict["reasons"])
