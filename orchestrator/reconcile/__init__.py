"""The ledger against what every host really runs: `Auditor` tells, `Reconciler` mends."""

from orchestrator.reconcile.audit import Auditor, HostAudit
from orchestrator.reconcile.leaks import SILENT_AFTER, Leak, LeakKind
from orchestrator.reconcile.mend import Ground
from orchestrator.reconcile.opening import auditor, reconciler
from orchestrator.reconcile.run import GRACE_SECONDS, AgedLeak, Reconciler, Reconciliation

__all__ = [
    "GRACE_SECONDS",
    "SILENT_AFTER",
    "AgedLeak",
    "Auditor",
    "Ground",
    "HostAudit",
    "Leak",
    "LeakKind",
    "Reconciler",
    "Reconciliation",
    "auditor",
    "reconciler",
]
