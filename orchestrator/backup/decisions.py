"""What was decided about a backup since it was made, as a file beside it: it outlives the ledger. Pure.

`decisions.json` lies in the root of a backup's volume, beside the backup's own folder, and is written as a whole when
the job has ended. The ledger goes before it; a scan takes in what is newer than what the ledger knows. Times are
seconds since the epoch. Where a job has the volume as its own it could write one: it is read as what a container wrote.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache

from pydantic import TypeAdapter, ValidationError

from orchestrator.backup.entries import Backup

FILE_NAME = "decisions.json"
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """What stands in the file; the attributes are those of `Backup`.

    Attributes:
        decided_at: when the last of it was decided.
    """

    backup_id: str
    decided_at: float
    damage: str | None = None
    verified_at: float | None = None
    verified_by: str | None = None
    keep_why: str | None = None
    keep_until: float | None = None
    format: int = FORMAT

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), sort_keys=True) + "\n"


def decisions_of(backup: Backup) -> Decisions | None:
    """What the catalogue knows to be decided; None if nothing ever was."""
    if backup.decided_at is None:
        return None
    return Decisions(
        backup_id=backup.id,
        decided_at=backup.decided_at,
        damage=backup.damage,
        verified_at=backup.verified_at,
        verified_by=backup.verified_by,
        keep_why=backup.keep_why,
        keep_until=backup.keep_until,
    )


def read_decisions(text: str) -> Decisions | None:
    """What `to_json` wrote; None for anything else."""
    try:
        found = _to_decisions().validate_json(text, strict=True)
    except ValidationError:
        return None
    return found if found.format == FORMAT else None


@cache
def _to_decisions() -> TypeAdapter[Decisions]:
    """Made when it is needed: most commands never read one."""
    return TypeAdapter(Decisions)
