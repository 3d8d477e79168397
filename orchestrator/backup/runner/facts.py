"""Read what mariadb-backup and other programs write about themselves and about a backup.

Source: extra/mariabackup/backup_mysql.cc of MariaDB 10.11. `lock_time` of xtrabackup_info is not used: 10.11.19 writes
seconds since 1970 there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .record import ServerFacts

SUCCESS_LINE = "completed OK!"

_BINLOG = re.compile(
    r"filename '(?P<file>[^']*)', position '(?P<position>\d+)'(?:, GTID of the last change '(?P<gtid>[^']*)')?"
)
_VERSION = re.compile(r"\bv?(\d+\.\d+\.\d+[-\w.+]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place in the binary logs."""

    file: str
    offset: int


def parse_facts(info: str, *, lock_seconds: float | None = None) -> ServerFacts:
    """Facts from the text of xtrabackup_info; what it doesn't say is None."""
    values = dict(_pairs(info.splitlines()))
    binlog = _BINLOG.search(values.get("binlog_pos", ""))
    return ServerFacts(
        server_version=values.get("server_version") or None,
        from_lsn=_number(values, "innodb_from_lsn"),
        to_lsn=_number(values, "innodb_to_lsn"),
        binlog_file=binlog["file"] if binlog else None,
        binlog_position=int(binlog["position"]) if binlog else None,
        gtid=(binlog["gtid"] or None) if binlog else None,
        lock_seconds=lock_seconds,
    )


def parse_binlog_position(info: str) -> Position | None:
    """The backup's position in the binary logs; None of a server without them."""
    facts = parse_facts(info)
    if facts.binlog_file is None or facts.binlog_position is None:
        return None
    return Position(file=facts.binlog_file, offset=facts.binlog_position)


def parse_version(text: str) -> str | None:
    """The version in what a program prints of itself."""
    match = _VERSION.search(text)
    return match[1] if match else None


def _pairs(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        key, equals, value = line.partition(" = ")
        if equals:
            yield key.strip(), value.strip()


def _number(values: Mapping[str, str], key: str) -> int | None:
    value = values.get(key, "")
    return int(value) if value.isascii() and value.isdigit() else None
