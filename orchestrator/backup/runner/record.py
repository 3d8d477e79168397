"""What is known of one backup, or of one restore: `record.json` in its folder, and the runner's last line on stdout.

Times are UTC in ISO 8601, durations seconds, sizes bytes. Log sequence numbers (LSN) are InnoDB's. The line must stay
below 16 KiB, at which container engines cut a log line: what grows with the number of tables has files of its own
(`tables.json`, `SHA256SUMS`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from .decoding import decode

FORMAT = 2
RECORD_NAME = "record.json"
SUMS_NAME = "SHA256SUMS"  # of every other file but the record, as sha256sum(1) reads it
TABLES_NAME = "tables.json"
STREAM_NAME = "backup.xb.zst"
ENCRYPTED_SUFFIX = ".age"


class Kind(StrEnum):
    """What a record is about."""

    FULL = "full"
    INCREMENTAL = "incremental"
    LOGICAL = "logical"
    BINLOG = "binlog"
    COPY = "copy"
    VERIFY = "verify"
    RESTORE = "restore"
    STANDBY = "standby"


class State(StrEnum):
    """How far it is. A backup is good when it is done; `verified` is what a good restore of it says."""

    STARTED = "started"
    COPIED = "copied"
    WAITING_FOR_LOGS = "waiting_for_logs"
    DONE = "done"
    VERIFIED = "verified"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file of the backup, by its path in the backup's folder."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """The most that the job used, averaged over a few seconds; None where the kernel doesn't say.

    Attributes:
        cpu: cores.
        memory: bytes that can't be reclaimed at once: usage less inactive page cache.
        read_bps: bytes per second from block devices; `write_bps` to them.
        network_in_bps: bytes per second; `network_out_bps` likewise.
    """

    cpu: float | None = None
    memory: int | None = None
    read_bps: int | None = None
    write_bps: int | None = None
    network_in_bps: int | None = None
    network_out_bps: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What is known of the server and of the moment that a restore leads to.

    Attributes:
        binlog_file: binary log and position that a replica of the restored data would start from; None without a log.
            Of a `binlog` record: the end of what was fetched.
        first_binlog_file: where a `binlog` record begins.
        gtid: the last transaction in the backup, by MariaDB's global id.
        lock_seconds: how long commits at the source waited: from the request of the lock to its end.
    """

    server_version: str | None = None
    from_lsn: int | None = None
    to_lsn: int | None = None
    binlog_file: str | None = None
    binlog_position: int | None = None
    first_binlog_file: str | None = None
    gtid: str | None = None
    lock_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(ServerFacts):
    """One job's result.

    Attributes:
        format: version of this shape.
        parent: id of the backup that an incremental one builds on, or that was verified, restored or copied.
        code: stable name of the kind of failure, as `source.denied`; None unless failed.
        reason: why it failed, in one line; None unless failed.
        bytes_raw: length before compression and encryption.
        bytes_stored: length in the volume.
        files: what was stored; of a logical dump the list of its files alone.
        recipients: age public keys that can decrypt it; empty if it is not encrypted.
        tables: how many tables have rows and checksum in `tables.json`, or were compared with it.
        restored_to: the moment that a restore was to lead to, as it was asked for; None for the backup's own. Of a
            `binlog` record the moment, in ISO 8601, up to which all of the source's logs are here; of a `standby` the
            moment at which it became a primary.
        tools: versions by program.
    """

    backup_id: str
    source: str
    kind: Kind
    state: State
    started_at: str
    finished_at: str
    seconds: float
    bytes_raw: int
    bytes_stored: int
    parent: str | None = None
    code: str | None = None
    reason: str | None = None
    files: tuple[StoredFile, ...] = ()
    recipients: tuple[str, ...] = ()
    tables: int = 0
    restored_to: str | None = None
    tools: dict[str, str] = field(default_factory=dict)
    peaks: Peaks | None = None
    format: int = FORMAT

    def file(self, name: str) -> StoredFile | None:
        """One of `files`."""
        return next((file for file in self.files if file.name == name), None)

    @property
    def stream_name(self) -> str:
        """The file that holds the stream of a physical backup."""
        return STREAM_NAME + (ENCRYPTED_SUFFIX if self.recipients else "")

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Record:
        """The record that `to_json` wrote, or one of format 1.

        Raises:
            ValueError: not JSON, or not this shape; says which key.
        """
        raw = json.loads(text)
        if not isinstance(raw, dict):
            raise ValueError("a backup's record is a JSON object")  # noqa: TRY004 - malformed text, not a wrong argument
        if raw.get("format") == 1:
            raw = _from_format_1(raw)
        if raw.get("format") != FORMAT:
            raise ValueError(f"a backup's record of format {raw.get('format')!r}; this version reads 1 and {FORMAT}")
        return decode(cls, raw, "a backup's record")


def _from_format_1(raw: dict[str, Any]) -> dict[str, Any]:
    """A record of the first version, which knew full backups only: those made then stay good."""
    old = dict(raw)
    versions = {"mariadb-backup": old.pop("backup_tool_version", None), "zstd": old.pop("zstd_version", None)}
    sha256, size = old.pop("sha256", None), old.get("bytes_stored")
    return old | {
        "format": FORMAT,
        "tools": {name: version for name, version in versions.items() if version is not None},
        "files": [{"name": STREAM_NAME, "bytes": size, "sha256": sha256}] if sha256 is not None else [],
        "recipients": [],
        "tables": 0,
        **dict.fromkeys(("parent", "code", "restored_to", "peaks", "first_binlog_file")),
    }
