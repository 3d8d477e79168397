"""The ledger: what was given away to whom, and a record of every decision. SQL through SQLAlchemy Core."""

from orchestrator.ledger.addresses import HeldAddress
from orchestrator.ledger.backups import BackupCatalogue, BackupNotFoundError
from orchestrator.ledger.database import check_url
from orchestrator.ledger.errors import ConcurrentUpdateError, LedgerError, NameTakenError, NotEmptyError, TakenOverError
from orchestrator.ledger.leases import LeaseLostError, LeaseRow, Leases, fence
from orchestrator.ledger.records import Event, Generations, LaunchRecord, LaunchState, LedgerView, Sighting
from orchestrator.ledger.restore import Restored
from orchestrator.ledger.schedules import Hindrance, Miss, ScheduleProgress
from orchestrator.ledger.store import Ledger, open_ledger, override_detail
from orchestrator.ledger.turns import is_under_way

__all__ = [
    "BackupCatalogue",
    "BackupNotFoundError",
    "ConcurrentUpdateError",
    "Event",
    "Generations",
    "HeldAddress",
    "Hindrance",
    "LaunchRecord",
    "LaunchState",
    "LeaseLostError",
    "LeaseRow",
    "Leases",
    "Ledger",
    "LedgerError",
    "LedgerView",
    "Miss",
    "NameTakenError",
    "NotEmptyError",
    "Restored",
    "ScheduleProgress",
    "Sighting",
    "TakenOverError",
    "check_url",
    "fence",
    "is_under_way",
    "open_ledger",
    "override_detail",
]
