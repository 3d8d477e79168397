"""The ledger: what was given away to whom, and a record of every decision. SQL through SQLAlchemy Core."""

from orchestrator.ledger.errors import ConcurrentUpdateError, LedgerError, NameTakenError, NotEmptyError
from orchestrator.ledger.records import Event, Generations, LaunchRecord, LaunchState, LedgerView
from orchestrator.ledger.restore import Restored
from orchestrator.ledger.store import Ledger, open_ledger, override_detail

__all__ = [
    "ConcurrentUpdateError",
    "Event",
    "Generations",
    "LaunchRecord",
    "LaunchState",
    "Ledger",
    "LedgerError",
    "LedgerView",
    "NameTakenError",
    "NotEmptyError",
    "Restored",
    "open_ledger",
    "override_detail",
]
