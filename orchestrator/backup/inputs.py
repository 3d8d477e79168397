"""What a job is given beside its source: the backups that it reads, and how far it goes. Pure.

`resolve` turns what was asked for into what the catalogue has; it refuses, before anything is decided, what can't end
well: a broken chain, logs that don't join, backups that lie on different hosts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from collector.errors import ConfigError, VdbmonError
from orchestrator.backup.chains import (
    Chain,
    age_order,
    binlogs_for,
    by_id,
    chain_of,
    newest_restorable,
    parent_for,
    restorable,
)
from orchestrator.backup.entries import PHYSICAL, RESTORABLE, Backup
from orchestrator.backup.job_names import JobName
from orchestrator.backup.runner.record import Kind

TO_THE_END = "end"
"""`--until end`: as far as the binary logs go."""

_POSITION = re.compile(r"[^:/]+:\d+")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}")
_TABLE = re.compile(r"[^.\s/]+\.[^.\s/]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBackup:
    """A whole backup in a volume."""

    id: str
    volume: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobInputs:
    """What a job reads.

    Attributes:
        backups: full first, then its increments; or one logical dump.
        binlogs: folders of binary logs, oldest first.
        until_time: UTC, `YYYY-MM-DD HH:MM:SS`.
        until_position: `FILE:POSITION`.
        table: `database.table` of a logical dump, to restore this one alone.
        serve: the restored server stays up.
        parent: id of the backup that an increment builds on.
        from_lsn: where that one ends.
        host: where all of it lies; None where nothing is read.
    """

    backups: tuple[StoredBackup, ...] = ()
    binlogs: tuple[StoredBackup, ...] = ()
    until_time: str | None = None
    until_position: str | None = None
    table: str | None = None
    serve: bool = False
    parent: str | None = None
    from_lsn: int | None = None
    host: str | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of all backups that have to stay as long as the job runs."""
        parents = (self.parent,) if self.parent else ()
        return (*(item.id for item in (*self.backups, *self.binlogs)), *parents)


NO_INPUTS = JobInputs()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """What somebody asks for.

    Attributes:
        backup: id, or its beginning; None for the last good one.
        incremental: an increment of the last good backup.
        or_full: with `incremental`: a full one where there is none to build on.
        full_every: with `incremental`: a full one again after so many seconds.
        until: `YYYY-MM-DD HH:MM:SS` in UTC or with an offset from it, `FILE:POSITION`, or `end`.
        table: `database.table`.
        serve: keep the restored server up.
    """

    backup: str | None = None
    incremental: bool = False
    or_full: bool = False
    full_every: float | None = None
    until: str | None = None
    table: str | None = None
    serve: bool = False


NO_OPTIONS = JobOptions()


def resolve(job: str, source: str, options: JobOptions, backups: Sequence[Backup], *, now: float) -> JobInputs:
    """What the job reads, out of the catalogue.

    Raises:
        ConfigError: `request.job_option`: the job has no such option, or the value is none.
        VdbmonError: `backup.not_found`, `backup.none_good`, `backup.chain_broken`, `backup.no_binlogs`.
    """
    _refuse_odd_options(job, options)
    match job:
        case JobName.BACKUP if options.incremental:
            return _increment(source, options, backups, now)
        case JobName.RESTORE:
            return _restore(source, options, backups)
        case JobName.VERIFY | JobName.COPY:
            return _inputs(chain_of(_wanted(source, options, backups, RESTORABLE), by_id(backups)))
        case JobName.STANDBY:
            return _inputs(chain_of(_wanted(source, options, backups, PHYSICAL), by_id(backups)), serve=True)
        case _:
            return NO_INPUTS


def require_present(inputs: JobInputs, backups: Sequence[Backup]) -> None:
    """See that nobody has begun to remove what a job reads; from its allocation on nobody does.

    Raises:
        VdbmonError: `backup.gone`.
    """
    present = {backup.id for backup in backups if backup.present}
    gone = [wanted for wanted in inputs.ids if wanted not in present]
    if gone:
        raise VdbmonError("backup.gone", f"{gone[0]} is being removed", "take another backup")


def _increment(source: str, options: JobOptions, backups: Sequence[Backup], now: float) -> JobInputs:
    parent = parent_for(backups, source, now=now, full_every=options.full_every)
    if parent is None and options.or_full:
        return NO_INPUTS
    if parent is None:
        raise VdbmonError("backup.none_good", f"source {source} has no good backup to build on", "make a full one")
    return JobInputs(parent=parent.id, from_lsn=parent.to_lsn, host=parent.host)


def _restore(source: str, options: JobOptions, backups: Sequence[Backup]) -> JobInputs:
    if options.table is not None:
        chain = chain_of(_wanted(source, options, backups, frozenset({Kind.LOGICAL})), by_id(backups))
        return _inputs(chain, table=options.table, serve=options.serve)
    if options.until is None:
        return _inputs(chain_of(_wanted(source, options, backups, RESTORABLE), by_id(backups)), serve=options.serve)
    moment = _moment(options.until)
    base = _base_before(source, options, backups, moment)
    return _inputs(
        chain_of(base, by_id(backups)),
        binlogs=binlogs_for(base, backups),
        until_time=None if moment is None else f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S}",
        until_position=options.until if moment is None and options.until != TO_THE_END else None,
        serve=options.serve,
    )


def _base_before(source: str, options: JobOptions, backups: Sequence[Backup], moment: float | None) -> Backup:
    """The backup that a point in time is reached from: it must have ended before."""
    if options.backup is None and options.until and moment is None and options.until != TO_THE_END:
        return _before_position(source, options.until, backups)
    base = _wanted(source, options, backups, PHYSICAL, until=moment)
    if moment is not None and base.finished_at > moment:
        raise VdbmonError("backup.too_new", f"{base.id} ended after {options.until}", "name an earlier backup")
    return base


def _before_position(source: str, until: str, backups: Sequence[Backup]) -> Backup:
    file, _, position = until.rpartition(":")
    known = by_id(backups)
    found = [
        item
        for item in backups
        if item.source == source
        and item.kind in PHYSICAL
        and restorable(item, known)
        and (item.binlog_file or "~", item.binlog_position or 0) <= (file, int(position))
    ]
    if not found:
        raise VdbmonError("backup.none_good", f"no good backup of {source} ended before {until}", "see `backup list`")
    return max(found, key=age_order)


def _wanted(
    source: str,
    options: JobOptions,
    backups: Sequence[Backup],
    kinds: frozenset[Kind],
    *,
    until: float | None = None,
) -> Backup:
    if options.backup is None:
        newest = newest_restorable(backups, source, kinds=kinds, until=until)
        if newest is None:
            what = " or ".join(sorted(kinds))
            raise VdbmonError("backup.none_good", f"source {source} has no good backup ({what})", "see `backup list`")
        return newest
    found = [item for item in backups if item.id == options.backup] or [
        item for item in backups if item.id.startswith(options.backup)
    ]
    if len(found) != 1:
        text = f"{len(found)} backups begin with {options.backup}" if found else f"no backup {options.backup}"
        raise VdbmonError("backup.not_found", text, "see `vdbmon backup list`")
    if found[0].source != source:
        raise ConfigError("request.source", f"{found[0].id} is of source {found[0].source}, not {source}")
    if found[0].kind not in kinds:
        text = f"{found[0].id} is a backup of kind {found[0].kind}"
        raise ConfigError("request.job_option", text, f"give one of kind {' or '.join(sorted(kinds))}")
    return found[0]


def _inputs(chain: Chain, *, binlogs: Chain = (), **rest: str | bool | None) -> JobInputs:
    return JobInputs(
        backups=tuple(map(_stored, chain)),
        binlogs=tuple(map(_stored, binlogs)),
        host=chain[-1].host,
        **rest,  # type: ignore[arg-type]
    )


def _stored(backup: Backup) -> StoredBackup:
    return StoredBackup(id=backup.id, volume=backup.volume)


def _moment(until: str) -> float | None:
    if until == TO_THE_END or _POSITION.fullmatch(until):
        return None
    if _TIME.match(until):
        with suppress(ValueError):
            moment = datetime.fromisoformat(until.removesuffix(" UTC"))
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() // 1
    raise ConfigError(
        "request.job_option",
        f"--until {until!r} is no point in time",
        "give '2026-11-23 05:00:00' (UTC), '2026-11-23 06:00:00+01:00', binlog.000003:1192 or end",
    )


def _refuse_odd_options(job: str, options: JobOptions) -> None:
    takes_backups = {JobName.RESTORE, JobName.VERIFY, JobName.STANDBY, JobName.COPY}
    for name, given, takers in (
        ("backup", options.backup is not None, takes_backups),
        ("incremental", options.incremental, {JobName.BACKUP}),
        ("until", options.until is not None, {JobName.RESTORE}),
        ("table", options.table is not None, {JobName.RESTORE}),
        ("serve", options.serve, {JobName.RESTORE}),
    ):
        if given and job not in takers:
            text = f"--{name} is nothing for job {job}"
            raise ConfigError("request.job_option", text, f"it is for {', '.join(sorted(takers))}")
    if options.table is not None and (options.until is not None or not _TABLE.fullmatch(options.table)):
        text = f"--table {options.table!r}: one table as a logical dump has it, without --until"
        raise ConfigError("request.job_option", text, "write for example --table shop.orders")
