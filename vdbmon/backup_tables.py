"""Backups for terminals and pipes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from collector.quantities import format_bytes
from orchestrator.backup.entries import VOLUME_KINDS, Backup
from orchestrator.backup.retention import Verdict
from orchestrator.backup.runner.record import Kind, State
from orchestrator.backup.states import state_of
from vdbmon.tables import age_text
from vdbmon.times import time_text


def backup_table(backups: Sequence[Backup], known: Sequence[Backup], *, now: float) -> Table:
    """What there is; `known` is the catalogue."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("id", "source", "kind", "state"):
        table.add_column(name, overflow="fold")
    table.add_column("age", no_wrap=True)
    table.add_column("took", no_wrap=True)
    table.add_column("stored", no_wrap=True)
    for name in ("host", "builds on", "note"):
        table.add_column(name, overflow="fold")
    for backup in backups:
        table.add_row(
            *map(escape, (backup.id, backup.source, backup.kind, state_of(backup, known))),
            age_text(now - backup.finished_at),
            age_text(backup.seconds),
            format_bytes(backup.bytes_stored),
            *map(escape, (backup.host, backup.parent or "", _note(backup, known, now))),
        )
    return table


def verdict_table(verdicts: Sequence[Verdict], *, now: float) -> Table:
    """What stays and why, and what goes; newest first."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("id", "source", "kind", "state"):
        table.add_column(name, overflow="fold")
    table.add_column("age", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("why", overflow="fold")
    for verdict in verdicts:
        backup = verdict.backup
        table.add_row(
            *map(escape, (backup.id, backup.source, backup.kind, backup.state)),
            age_text(now - backup.finished_at),
            "stays" if verdict.held else "goes",
            escape(verdict.text),
        )
    return table


def backup_lines(backup: Backup, state: State) -> Iterator[str]:
    """All that is known of one."""
    what = f"{backup.kind} backup" if backup.kind in VOLUME_KINDS else backup.kind
    yield f"{backup.id}: {what} of {backup.source}, {state}"
    why = backup.damage or backup.reason
    if why:
        yield f"reason    {why}"
    gone = f", removed {time_text(backup.removed_at)}" if backup.removed_at is not None else ""
    yield f"volume    {backup.volume} on {backup.host}{gone}"
    yield f"made      {time_text(backup.started_at)} to {time_text(backup.finished_at)}, {backup.seconds:.1f} s"
    yield f"size      {format_bytes(backup.bytes_raw)} raw, {format_bytes(backup.bytes_stored)} stored"
    if backup.to_lsn is not None:
        yield f"LSN       {backup.from_lsn} to {backup.to_lsn}"
    if backup.binlog_file is not None:
        yield f"position  {backup.binlog_file}:{backup.binlog_position}, GTID {backup.gtid or '-'}"
    if backup.lock_seconds is not None:
        yield f"lock      {backup.lock_seconds:.1f} s"
    if backup.parent is not None:
        yield f"builds on {backup.parent}"
    yield from _record_lines(backup)
    if backup.verified_at is not None:
        yield f"verified  {time_text(backup.verified_at)} by {backup.verified_by}"
    if backup.keep_why is not None:
        until = f" until {time_text(backup.keep_until)}" if backup.keep_until is not None else ""
        yield f"kept{until}: {backup.keep_why}"


def copy_lines(backup: Backup, known: Iterable[Backup]) -> Iterator[str]:
    """Its second copies."""
    for copy in known:
        if copy.kind is Kind.COPY and copy.parent == backup.id and copy.good:
            yield f"copied    {time_text(copy.finished_at)} by {copy.id}"


def _record_lines(backup: Backup) -> Iterator[str]:
    """What its own record says of files, keys and tools."""
    for file in backup.record.get("files", ()):
        yield f"file      {file['name']}, {format_bytes(file['bytes'])}, sha256 {file['sha256']}"
    for recipient in backup.record.get("recipients", ()):
        yield f"encrypted for {recipient}"
    tools = backup.record.get("tools") or {}
    if tools:
        yield f"tools     {', '.join(f'{name} {version}' for name, version in sorted(tools.items()))}"


def _note(backup: Backup, known: Iterable[Backup], now: float) -> str:
    if backup.removed_at is not None:
        return "removed"
    if backup.condemned_at is not None:
        return "being removed"
    notes = [backup.damage or backup.reason or ""]
    if backup.kept(now):
        notes.append(f"kept: {backup.keep_why}")
    if any(True for _ in copy_lines(backup, known)):
        notes.append("second copy")
    return "; ".join(filter(None, notes))
