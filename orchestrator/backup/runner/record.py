"""What is known of one backup: `record.json` in its folder, and the runner's last line on standard output.

Times are UTC in ISO 8601, durations seconds, sizes bytes. Log sequence numbers (LSN) are InnoDB's.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import get_type_hints

FORMAT = 1
RECORD_NAME = "record.json"
STREAM_NAME = "backup.xb.zst"


class State(StrEnum):
    """How a backup ended."""

    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What mariadb-backup says of the server and of the moment that a restore leads to.

    Attributes:
        binlog_file: binary log and position that a replica of the restored data would start from; None without a log.
        gtid: the last transaction in the backup, by MariaDB's global id.
        lock_seconds: how long the server's backup lock was held, in whole seconds.
    """

    server_version: str | None = None
    backup_tool_version: str | None = None
    from_lsn: int | None = None
    to_lsn: int | None = None
    binlog_file: str | None = None
    binlog_position: int | None = None
    gtid: str | None = None
    lock_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(ServerFacts):
    """A backup that ended, well or not.

    Attributes:
        format: version of this shape.
        kind: `full`.
        reason: why it failed, in one line; None when done.
        bytes_raw: length of the xbstream before compression.
        bytes_stored: length of the compressed stream in the volume.
        sha256: of the compressed stream; None when failed.
    """

    backup_id: str
    source: str
    state: State
    started_at: str
    finished_at: str
    seconds: float
    bytes_raw: int
    bytes_stored: int
    sha256: str | None = None
    reason: str | None = None
    zstd_version: str | None = None
    kind: str = "full"
    format: int = FORMAT

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Record:
        """The record that `to_json` wrote.

        Raises:
            ValueError: not JSON, or not this shape; says which key.
        """
        raw = json.loads(text)
        if not isinstance(raw, dict):
            raise ValueError("a backup's record is a JSON object")  # noqa: TRY004 - malformed text, not a wrong argument
        if raw.get("format") != FORMAT:
            raise ValueError(f"a backup's record of format {raw.get('format')!r}; this version reads {FORMAT}")
        hints = get_type_hints(cls)
        if odd := sorted(hints.keys() ^ raw.keys()):
            raise ValueError(f"a backup's record has missing or unknown keys: {', '.join(odd)}")
        values = raw | {"state": State(raw["state"])}
        if odd := sorted(name for name, hint in hints.items() if not isinstance(values[name], hint)):
            raise ValueError(f"a backup's record has values of a wrong type: {', '.join(odd)}")
        return cls(**values)
