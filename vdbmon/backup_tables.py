"""Backups for terminals and pipes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from collector.quantities import format_bytes
from orchestrator.backup.chains import ChainError, by_id, chain_of
from orchestrator.backup.entries import RESTORABLE, VOLUME_KINDS, Backup
from orchestrator.backup.retention import Verdict
from orchestrator.backup.runner.record import Kind
from orchestrator.backup.states import logs_until, state_of, waits_for_logs
from vdbmon.columns import columns
from vdbmon.tables import age_text
from vdbmon.times import utc_text

_LEADS_TO = {Kind.RESTORE: "leads to ", Kind.BINLOG: "known to ", Kind.STANDBY: "promoted "}
"""What the moment in a record is about."""


def list_lines(backups: Sequence[Backup], known: Sequence[Backup], *, now: float) -> Iterator[str]:
    """What there is, a line each and below it what is to be said of it; `known` is the catalogue."""
    rows = [
        (
            backup.id,
            backup.source,
            backup.kind.value,
            state_of(backup, known).value,
            age_text(now - backup.finished_at),
            format_bytes(backup.bytes_stored),
            backup.host,
        )
        for backup in backups
    ]
    head, *lines = columns(("id", "source", "kind", "state", "age", "stored", "host"), rows)
    yield head
    for line, backup in zip(lines, backups, strict=True):
        yield line
        note = _note(backup, known, now)
        if note:
            yield f"    {note}"


def verdict_lines(verdicts: Sequence[Verdict], *, now: float) -> Iterator[str]:
    """What stays and why, and what goes; newest first."""
    rows = [
        (
            verdict.backup.id,
            verdict.backup.source,
            verdict.backup.kind.value,
            age_text(now - verdict.backup.finished_at),
            "stays" if verdict.held else "goes",
            verdict.text if verdict.held else "",
        )
        for verdict in verdicts
    ]
    yield from columns(("id", "source", "kind", "age", "verdict", "why"), rows)


def backup_lines(backup: Backup, known: Sequence[Backup]) -> Iterator[str]:
    """All that is known of one; `known` is the catalogue of its source."""
    what = f"{backup.kind} backup" if backup.kind in VOLUME_KINDS else backup.kind
    yield f"{backup.id}: {what} of {backup.source}, {state_of(backup, known)}"
    why = backup.damage or backup.reason
    if why:
        yield f"reason    {why}"
    gone = f", removed {utc_text(backup.removed_at)}" if backup.removed_at is not None else ""
    yield f"volume    {backup.volume} on {backup.host}{gone}"
    yield f"made      {utc_text(backup.started_at)} to {utc_text(backup.finished_at)}, {backup.seconds:.1f} s"
    yield f"size      {format_bytes(backup.bytes_raw)} raw, {format_bytes(backup.bytes_stored)} stored"
    if backup.to_lsn is not None:
        yield f"LSN       {backup.from_lsn} to {backup.to_lsn}"
    if backup.binlog_file is not None:
        gtid = f", GTID {backup.gtid}" if backup.gtid else ""
        yield f"position  {backup.binlog_file}:{backup.binlog_position}{gtid}"
    if backup.lock_seconds is not None:
        yield f"lock      {backup.lock_seconds:.1f} s"
    if backup.parent is not None:
        yield f"{'builds on' if backup.kind is Kind.INCREMENTAL else 'of       '} {backup.parent}"
    led_to = backup.record.get("restored_to")
    if led_to is not None and backup.kind in _LEADS_TO:
        yield f"{_LEADS_TO[backup.kind]} {led_to}"
    yield from _record_lines(backup)
    if backup.verified_at is not None:
        yield f"verified  {utc_text(backup.verified_at)} by {backup.verified_by}"
    if backup.keep_why is not None:
        until = f" until {utc_text(backup.keep_until)}" if backup.keep_until is not None else ""
        yield f"kept{until}: {backup.keep_why}"
    yield from copy_lines(backup, known)
    if backup.kind in RESTORABLE:
        yield from _restore_lines(backup, known)


def _restore_lines(backup: Backup, known: Sequence[Backup]) -> Iterator[str]:
    """What a restore of it reads, and how much further binary logs lead."""
    try:
        chain = chain_of(backup, by_id(known))
    except ChainError as error:
        yield f"restore   no: {error.why.replace(backup.id, 'it', 1)}"
        return
    yield f"restore   {' <- '.join(item.id for item in chain)}"
    if waits_for_logs(backup, known):
        at = f"{backup.binlog_file}:{backup.binlog_position}"
        yield f"later     no: the binary logs on {backup.host} don't reach {at} yet; `vdbmon ps` has their job"
    elif (until := logs_until(backup, known)) is not None:
        yield f"later     with binary logs, until {utc_text(until)}"


def copy_lines(backup: Backup, known: Iterable[Backup]) -> Iterator[str]:
    """Its second copies."""
    for copy in known:
        if copy.kind is Kind.COPY and copy.parent == backup.id and copy.good:
            yield f"copied    {utc_text(copy.finished_at)} by {copy.id}"


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
