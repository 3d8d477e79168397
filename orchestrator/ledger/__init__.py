"""The ledger: what was given away to whom, and a record of every decision. SQL through SQLAlchemy Core."""

from orchestrator.ledger.records import Event, LaunchRecord, LaunchState, LedgerView
from orchestrator.ledger.store import ConcurrentUpdateError, Ledger, LedgerError, NameTakenError, open_ledger

__all__ = [
    "ConcurrentUpdateError",
    "Event",
    "LaunchRecord",
    "LaunchState",
    "Ledger",
    "LedgerError",
    "LedgerView",
    "NameTakenError",
    "open_ledger",
]
