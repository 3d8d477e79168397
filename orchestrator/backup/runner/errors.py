"""Why a job failed: a code that programs read, and for people one line that says what, where, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Code(StrEnum):
    """Kinds of failure; a code is never changed or used for something else."""

    TERMINATED = "job.terminated"
    BAD_ID = "job.id"
    VOLUME_MISSING = "volume.missing"
    VOLUME_TAKEN = "volume.taken"
    VOLUME_FULL = "volume.full"
    VOLUME_FAILED = "volume.failed"
    CREDENTIALS = "credentials.mode"
    SOURCE_DENIED = "source.denied"
    SOURCE_LOST = "source.lost"
    SOURCE_LOCKED = "source.locked"
    SOURCE_REPLACED = "source.replaced"
    TOOL_FAILED = "tool.failed"
    BACKUP_DAMAGED = "backup.damaged"
    BACKUP_UNFINISHED = "backup.unfinished"
    BACKUP_CHAIN = "backup.chain"
    WRONG_KEY = "backup.key"
    BINLOG_GAP = "binlog.gap"
    BINLOG_DAMAGED = "binlog.damaged"
    BINLOG_ENDS_EARLY = "binlog.ends_early"
    SERVER_FAILED = "server.failed"
    TABLE_DAMAGED = "verify.table"
    TABLE_DIFFERS = "verify.differs"
    COPY_FAILED = "copy.failed"
    REPLICATION = "standby.replication"


REMEDIES: Mapping[Code, str] = MappingProxyType(
    {
        Code.TERMINATED: "place it again",
        Code.BAD_ID: "use letters, digits, dot, dash, underscore",
        Code.VOLUME_MISSING: "mount the volume there",
        Code.VOLUME_TAKEN: "give another id",
        Code.VOLUME_FULL: "give the volume more disk",
        Code.VOLUME_FAILED: "look at the kernel's log on the host, and take another volume",
        Code.CREDENTIALS: "give a file of mode 0600",
        Code.SOURCE_DENIED: "check the user's password and rights, or the key and the certificates",
        Code.SOURCE_LOST: "see that the source runs and is reached from here, then place it again",
        Code.SOURCE_LOCKED: "place it when the source is less busy",
        Code.SOURCE_REPLACED: "make a full backup",
        Code.TOOL_FAILED: "the container's log has all it said",
        Code.BACKUP_DAMAGED: "take an earlier backup or the second copy, and make a new one",
        Code.BACKUP_UNFINISHED: "take another one of `vdbmon backup list`",
        Code.BACKUP_CHAIN: "give the full backup and all increments up to the wanted one, in order",
        Code.WRONG_KEY: "give the private key of one of its recipients",
        Code.BINLOG_GAP: "make a full backup and follow the logs into a new folder",
        Code.BINLOG_DAMAGED: "fetch the logs again while the source has them, or stop before that place",
        Code.BINLOG_ENDS_EARLY: "fetch the logs up to there, or name another moment",
        Code.SERVER_FAILED: "the container's log has more; try an earlier backup",
        Code.TABLE_DAMAGED: "check that table at the source, and make a new backup",
        Code.TABLE_DIFFERS: "don't rely on this backup; make a new one and verify it",
        Code.COPY_FAILED: "run `restic check` on the repository, then copy again",
        Code.REPLICATION: "mend the cause, or place a new standby from a newer backup",
    }
)
"""What to do where the failure itself doesn't say it better."""


class JobFailedError(Exception):
    """The job can't be done; the text says what and where, in one line.

    Args:
        remedy: what to do about it; None for the code's usual one.
    """

    def __init__(self, code: Code, what: str, remedy: str | None = None) -> None:
        super().__init__(" ".join(what.split()))
        self.code = code
        self.remedy = REMEDIES[code] if remedy is None else remedy

    @property
    def reason(self) -> str:
        """What, where, and what to do: the record's reason."""
        return f"{str(self).rstrip('.')}; {self.remedy}"


class TerminatedError(Exception):
    """The job was told to stop. Not a kind of `JobFailedError`, so that nothing takes it for one and goes on."""
