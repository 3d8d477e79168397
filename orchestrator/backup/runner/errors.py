"""Why a job failed: a code that programs read, and a reason in one line for people."""

from __future__ import annotations

from enum import StrEnum


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


class JobFailedError(Exception):
    """The job can't be done; the text is the reason, in one line."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(" ".join(reason.split()))
        self.code = code


class TerminatedError(Exception):
    """The job was told to stop. Not a kind of `JobFailedError`, so that nothing takes it for one and goes on."""
