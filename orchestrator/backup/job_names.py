"""The jobs that can be placed, by the names that `vdbmon place --job`, labels, ledger and schedules use."""

from __future__ import annotations

from enum import StrEnum


class JobName(StrEnum):
    """What a container is to do."""

    BACKUP = "backup"
    LOGICAL = "logical"
    BINLOG = "binlog"
    RESTORE = "restore"
    VERIFY = "verify"
    STANDBY = "standby"
    COPY = "copy"


READS_BACKUPS_ALONE = frozenset({JobName.RESTORE, JobName.VERIFY, JobName.COPY})
"""They never talk to their source: they can run when it is gone, and don't count among its readers."""

ENDLESS = frozenset({JobName.BINLOG, JobName.STANDBY})
"""They run until they are stopped."""
