"""Bring a restored server from its backup's moment to a later one, by its source's binary logs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from .binlog_files import check_sequence, check_sums, find_binlogs, read_binlog, sequence_of
from .errors import Code, JobFailedError
from .jobs import PointInTime
from .pipeline import Argv, join
from .record import RECORD_NAME, Kind, Record
from .server import LARGEST_PACKET, RunningServer
from .sql import client_options
from .volume import growing_sums

_EARLIER = "take an earlier backup"


def choose_binlogs(folders: Sequence[Path], backup: Record, until: PointInTime) -> list[Path]:
    """The files from the backup's position to the wanted moment, checked.

    Raises:
        JobFailedError: the backup has no position, a file is missing or damaged, or they end before the moment.
    """
    if backup.binlog_file is None or backup.binlog_position is None:
        text = f"backup {backup.backup_id} has no position in binary logs: its source wrote none"
        raise JobFailedError(Code.BINLOG_GAP, text, "start the source with log_bin, and make a new backup")
    first = sequence_of(backup.binlog_file)
    last = sequence_of(until.file) if until.file is not None else None
    found = find_binlogs(folders)
    chosen = [
        path for path in found if sequence_of(path.name) >= first and (last is None or sequence_of(path.name) <= last)
    ]
    if not chosen or sequence_of(chosen[0].name) != first:
        text = f"binary log {backup.binlog_file}, where backup {backup.backup_id} ends, is missing"
        raise JobFailedError(Code.BINLOG_GAP, text)
    check_sequence(chosen)
    for folder in folders:
        check_sums((path for path in chosen if path.parent == folder), growing_sums(folder))
    _check_reach(chosen, folders, backup, until)
    return chosen


def replay_command(paths: Sequence[Path], backup: Record, until: PointInTime) -> Argv:
    """Prints the events as SQL, each event's checksum compared."""
    stop: tuple[str, ...] = ()
    if until.time is not None:
        stop = (f"--stop-datetime={until.time}",)
    elif until.position is not None:
        stop = (f"--stop-position={until.position}",)
    start = f"--start-position={backup.binlog_position}"
    return ("mariadb-binlog", "--no-defaults", "--verify-binlog-checksum", start, *stop, *map(str, paths))


def replay(server: RunningServer, paths: Sequence[Path], backup: Record, until: PointInTime) -> None:
    """Run the events on the server.

    Raises:
        JobFailedError: an event is damaged, or the server refused one.
    """
    client = ("mariadb", *client_options(server.address), "--binary-mode", f"--max-allowed-packet={LARGEST_PACKET}")
    try:
        join((replay_command(paths, backup, until), client), environment={"TZ": "UTC"})
    except JobFailedError as error:
        raise JobFailedError(Code.BINLOG_DAMAGED, f"replaying the binary logs failed: {error}") from error


def until_text(until: PointInTime) -> str:
    """The moment, for the record."""
    if until.time is not None:
        return f"{until.time} UTC"
    return f"{until.file}:{until.position}" if until.file is not None else "the end of the binary logs"


def _check_reach(chosen: Sequence[Path], folders: Sequence[Path], backup: Record, until: PointInTime) -> None:
    """Whether the logs go as far as is wanted; a source at rest writes nothing, so the job's word counts as well."""
    last = read_binlog(chosen[-1])
    if until.file is not None and until.position is not None:
        if chosen[-1].name != until.file or last.size < until.position:
            text = f"the binary logs end at {chosen[-1].name}:{last.size}, before {until.file}:{until.position}"
            raise JobFailedError(Code.BINLOG_ENDS_EARLY, text)
        before = (until.file, until.position) < (backup.binlog_file or "", backup.binlog_position or 0)
        if before:
            text = f"{until.file}:{until.position} is before backup {backup.backup_id}"
            raise JobFailedError(Code.BINLOG_ENDS_EARLY, text, _EARLIER)
    if until.time is None:
        return
    wanted = datetime.strptime(until.time, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    if wanted < datetime.fromisoformat(backup.started_at):
        text = f"{until.time} is before backup {backup.backup_id}, begun {backup.started_at}"
        raise JobFailedError(Code.BINLOG_ENDS_EARLY, text, _EARLIER)
    reached = max([datetime.fromtimestamp(last.last_time, UTC), *_fetched_until(folders)])
    if reached < wanted:
        text = f"the binary logs are known up to {reached:%Y-%m-%d %H:%M:%S} UTC, not to {until.time}"
        raise JobFailedError(Code.BINLOG_ENDS_EARLY, text)


def _fetched_until(folders: Sequence[Path]) -> list[datetime]:
    """When binlog jobs last had all of the source's logs."""
    found = []
    for folder in folders:
        try:
            record = Record.from_json((folder / RECORD_NAME).read_text())
        except (OSError, ValueError):
            continue
        if record.kind is Kind.BINLOG and record.restored_to is not None:
            found.append(datetime.fromisoformat(record.restored_to))
    return found
