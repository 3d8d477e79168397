"""`vdbmon backup keep`, `prune`, `scan`: what stays, what goes, and what the volumes say."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Annotated

import typer
from pydantic import TypeAdapter

from collector.errors import ConfigError
from orchestrator.backup.noting import note_decisions
from orchestrator.backup.pruning import judge_source, prune_source
from orchestrator.backup.retention import Verdict
from orchestrator.backup.scan import Lost, Scan, scan
from orchestrator.backup.sight import Sight, look_at
from orchestrator.placement.scheduler import Scheduler
from orchestrator.settings import SourceSettings
from vdbmon.backup_options import DryRunOption, IdArgument, JsonOption, SourceOption, chosen_sources, opened
from vdbmon.backup_tables import verdict_lines
from vdbmon.columns import say
from vdbmon.options import ConfigOption, UntilOption
from vdbmon.times import parse_until, time_text

_VERDICTS = TypeAdapter(tuple[Verdict, ...])


def keep(
    backup_id: IdArgument,
    *,
    why: Annotated[str | None, typer.Option("--why", help="The reason, for the record.", show_default=False)] = None,
    until: UntilOption = None,
    release: Annotated[bool, typer.Option("--release", help="Leave it to the retention again.")] = False,
    config: ConfigOption = None,
) -> None:
    """Keep a backup, and with it its parents, whatever the retention says."""
    if release and (why or until):
        raise ConfigError("request.why", "--release takes neither --why nor --until", "leave them out")
    if not release and not (why and why.strip()):
        raise ConfigError("request.why", "--why is missing", "say why it is kept, or --release to let it go")
    now = time.time()
    with opened(config) as scheduler:
        backups = scheduler.ledger.backups
        found = backups.get(backup_id)
        end = parse_until(until, now=now)
        backups.keep(found.id, why=why, until=end, who=scheduler.operator, at=now)
        owed = note_decisions(backups, [backups.get(found.id)], lambda host: scheduler.parts(host).volumes)
    if release:
        typer.echo(f"{found.id} is left to the retention")
    else:
        typer.echo(f"{found.id} is kept {'until it is released' if end is None else f'until {time_text(end)}'}")
    for error in owed.values():
        typer.echo(f"vdbmon: not written beside it yet: {error.message}; `vdbmon serve` tries again", err=True)


def prune(
    *,
    source: SourceOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Remove backups that their source's retention doesn't hold, with their volumes, on all hosts that answer.

    Exit codes: 0 done, 1 something stopped it, or a host didn't answer.
    """
    with opened(config) as scheduler:
        scheduler.statuses()
        sources = chosen_sources(scheduler, source)
        sight = _sight(scheduler, sources)
        verdicts = tuple(verdict for item in sources for verdict in _judged(scheduler, item, sight))
        if as_json:
            typer.echo(_VERDICTS.dump_json(verdicts, indent=2).decode())
        elif verdicts:
            say(verdict_lines(verdicts, now=time.time()))
        else:
            typer.echo("no backups")
        codes = {0} if dry_run else {_prune(scheduler, item, sight, quiet=as_json) for item in sources}
    for host, why in sight.silent.items():
        typer.echo(f"vdbmon: {host}: its backups are left: {why}", err=True)
    raise typer.Exit(int(bool(sight.silent) or max(codes, default=0)))


def scan_(
    *,
    host: Annotated[list[str] | None, typer.Option(help="Only this host; may be given again.")] = None,
    forget: Annotated[
        bool, typer.Option("--forget", help="Backups of --host, else of this one, without a volume are history.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Bring the catalogue up to what is in the volumes of all hosts; each backup carries its own record.

    Exit codes: 0 all is known, 1 something is odd or lost, or a host didn't answer.
    """
    with opened(config) as scheduler:
        local = scheduler.local_host
        hosts = _known_hosts(scheduler, host or ())
        volumes = {name: scheduler.parts(name).volumes for name in hosts or (local, *scheduler.remote)}
        forgotten = frozenset(hosts or (local,)) if forget else frozenset()
        found = scan(scheduler.ledger, volumes, forget=forgotten, at=scheduler.clock())
    _tell(found)
    raise typer.Exit(int(not found.complete))


def _sight(scheduler: Scheduler, sources: Collection[SourceSettings]) -> Sight:
    names = {source.name for source in sources}
    backups = scheduler.ledger.backups.all()
    hosts = {item.host for item in backups if item.source in names and item.removed_at is None}
    volumes = {host: parts.volumes for host, parts in scheduler.remote.items()}
    return look_at(volumes, local_host=scheduler.local_host, hosts=hosts)


def _judged(scheduler: Scheduler, source: SourceSettings, sight: Sight) -> tuple[Verdict, ...]:
    return judge_source(scheduler.ledger, source, sight=sight, now=scheduler.clock())


def _prune(scheduler: Scheduler, source: SourceSettings, sight: Sight, *, quiet: bool) -> int:
    pruned = prune_source(
        scheduler.ledger, scheduler.remover(), source, sight=sight, who=scheduler.operator, now=scheduler.clock()
    )
    for backup_id in pruned.removed if not quiet else ():
        typer.echo(f"removed {backup_id}")
    for host, error in pruned.stopped.items():
        typer.echo(f"vdbmon: {source.name} on {host}: {error}; then prune again", err=True)
    for backup_id, why in pruned.left.items():
        typer.echo(f"vdbmon: {backup_id} is still being removed: {why}", err=True)
    return int(bool(pruned.stopped))


def _known_hosts(scheduler: Scheduler, names: Collection[str]) -> tuple[str, ...]:
    known = {scheduler.local_host, *scheduler.remote}
    for name in names:
        if name not in known:
            raise ConfigError("request.host", f"no host {name!r}", f"known: {', '.join(sorted(known))}")
    return tuple(dict.fromkeys(names))


def _tell(found: Scan) -> None:
    for backup in found.found:
        recalled = "; its keep and verification were read from beside it" if backup.id in found.recalled else ""
        say((f"{backup.host}: {backup.id}: {backup.kind} of {backup.source}, {backup.made}{recalled}",))
    for host, sentence in found.odd:
        typer.echo(f"vdbmon: {host}: {sentence}", err=True)
    for item in found.lost:
        typer.echo(f"vdbmon: {item.backup.host}: {item.backup.id}: {_lost(item)}", err=True)
    for host, why in found.silent.items():
        typer.echo(f"vdbmon: {host}: not scanned: {why}", err=True)


def _lost(item: Lost) -> str:
    host = item.backup.host
    if item.forgotten:
        return "its volume isn't there; it is history now"
    forget = f"`vdbmon backup scan --host {host} --forget` makes it history"
    if item.certain:
        return f"its volume isn't there; {forget}"
    return f"{host}'s engine has no volume of it; look with `vdbmon backup scan` on {host}; if it is gone, {forget}"
