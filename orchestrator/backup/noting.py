"""Write what was decided about backups beside them, whoever decided it; what could not be written is owed.

Done after each decision and again and again by `vdbmon serve`, so a host that is away gets it when it is back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from collector.errors import VdbmonError
from orchestrator.backup.decisions import decisions_of
from orchestrator.backup.entries import VOLUME_KINDS, Backup
from orchestrator.engines.engine import EngineUnreachableError
from orchestrator.launch.protocols import Volumes
from orchestrator.ledger import BackupCatalogue


def owed(backups: Iterable[Backup]) -> tuple[Backup, ...]:
    """Those about which something was decided that doesn't stand beside them yet."""
    return tuple(
        backup
        for backup in backups
        if backup.present
        and backup.kind in VOLUME_KINDS
        and backup.decided_at is not None
        and (backup.noted_at is None or backup.noted_at < backup.decided_at)
    )


def note_decisions(
    catalogue: BackupCatalogue, backups: Iterable[Backup], volumes_of: Callable[[str], Volumes]
) -> dict[str, VdbmonError]:
    """Write what is owed; by backup why it could not be written. A host that doesn't answer isn't asked again.

    A volume that can't be seen from here is left to the host that sees it, and is no error.
    """
    errors: dict[str, VdbmonError] = {}
    away: set[str] = set()
    for backup in owed(backups):
        decisions = decisions_of(backup)
        if decisions is None or backup.host in away:
            continue
        try:
            if volumes_of(backup.host).write_decisions(backup.volume, decisions.to_json()):
                catalogue.noted(backup.id, decided_at=decisions.decided_at)
        except VdbmonError as error:
            errors[backup.id] = error
            if isinstance(error, EngineUnreachableError):
                away.add(backup.host)
    return errors
