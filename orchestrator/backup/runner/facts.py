"""Read what mariadb-backup writes about a backup: `xtrabackup_info` of --extra-lsndir, and its log.

Source: extra/mariabackup/backup_mysql.cc of MariaDB 10.11. `lock_time` of xtrabackup_info is not used: 10.11.19 writes
seconds since 1970 there. The log's times have a resolution of one second.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime

from .record import ServerFacts

INFO_NAMES = ("xtrabackup_info", "mariadb_backup_info")  # the second since MariaDB 11.1
SUCCESS_LINE = "completed OK!"

_BINLOG = re.compile(
    r"filename '(?P<file>[^']*)', position '(?P<position>\d+)'(?:, GTID of the last change '(?P<gtid>[^']*)')?"
)
_LOG_PREFIX = re.compile(r"(?:\[\d+\] )?(?P<time>\d{4}-\d\d-\d\d +\d{1,2}:\d\d:\d\d) (?:\d+ )?(?P<text>.*)")
_COMMITS_BLOCKED = "Acquired locks for BACKUP STAGE BLOCK_COMMIT"
_UNLOCKED = "All tables unlocked"
_ZSTD_VERSION = re.compile(r"\bv(\d+\.\d+\.\d+)")


def parse_facts(info: str, log: str) -> ServerFacts:
    """Facts from the text of xtrabackup_info and of the log; what they don't say is None."""
    values = dict(_pairs(info.splitlines()))
    binlog = _BINLOG.search(values.get("binlog_pos", ""))
    return ServerFacts(
        server_version=values.get("server_version") or None,
        backup_tool_version=values.get("tool_version") or None,
        from_lsn=_number(values, "innodb_from_lsn"),
        to_lsn=_number(values, "innodb_to_lsn"),
        binlog_file=binlog["file"] if binlog else None,
        binlog_position=int(binlog["position"]) if binlog else None,
        gtid=(binlog["gtid"] or None) if binlog else None,
        lock_seconds=_lock_seconds(log),
    )


def succeeded(log: str) -> bool:
    """Whether the log ends as that of a good backup does; the exit status alone has been 0 for bad ones."""
    lines = log.rstrip().splitlines()
    return bool(lines) and lines[-1].endswith(SUCCESS_LINE)


def last_message(log: str) -> str:
    """The last line of a log without its time, for a reason of failure."""
    lines = [line for line in log.splitlines() if line.strip()]
    if not lines:
        return "no message"
    match = _LOG_PREFIX.fullmatch(lines[-1].strip())
    return match["text"] if match else lines[-1].strip()


def parse_zstd_version(text: str) -> str | None:
    """The version in what `zstd --version` prints."""
    match = _ZSTD_VERSION.search(text)
    return match[1] if match else None


def _pairs(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        key, equals, value = line.partition(" = ")
        if equals:
            yield key.strip(), value.strip()


def _number(values: Mapping[str, str], key: str) -> int | None:
    value = values.get(key, "")
    return int(value) if value.isascii() and value.isdigit() else None


def _lock_seconds(log: str) -> int | None:
    times: dict[str, datetime] = {}
    for line in log.splitlines():
        match = _LOG_PREFIX.fullmatch(line.strip())
        if match and match["text"] in (_COMMITS_BLOCKED, _UNLOCKED):
            times[match["text"]] = datetime.fromisoformat(match["time"])
    if len(times) != len((_COMMITS_BLOCKED, _UNLOCKED)):
        return None
    return int((times[_UNLOCKED] - times[_COMMITS_BLOCKED]).total_seconds())
