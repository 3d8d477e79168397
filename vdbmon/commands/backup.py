"""`vdbmon backup`: the catalogue of backups, and what is done with one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from pydantic import TypeAdapter
from rich.console import Console

from collector.errors import ConfigError, VdbmonError
from orchestrator.backup.chains import by_id, chain_of
from orchestrator.backup.entries import BACKUP_KINDS, Backup
from orchestrator.backup.inputs import JobOptions
from orchestrator.backup.job_names import JobName
from orchestrator.backup.pruning import judge_source, prune_source
from orchestrator.backup.retention import Verdict
from orchestrator.backup.scan import Scan, scan
from orchestrator.host.volumes import LoopVolumes
from orchestrator.placement.requests import Sizes, Wanted, source_called
from orchestrator.placement.scheduler import Scheduler, open_scheduler
from orchestrator.settings import SourceSettings
from vdbmon.backup_tables import backup_lines, backup_table, verdict_table
from vdbmon.config import find_config, load_config
from vdbmon.options import ConfigOption, UntilOption
from vdbmon.placing import place_and_tell
from vdbmon.times import parse_until

app = typer.Typer(add_completion=False, no_args_is_help=True)

_IdArgument = Annotated[str, typer.Argument(help="Id of the backup, or its beginning.", show_default=False)]
_SourceOption = Annotated[str | None, typer.Option(help="Only of this source.", show_default=False)]
_JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
_WaitOption = Annotated[bool, typer.Option("--wait", help="Wait until the job ends; exit with 1 if it failed.")]
_DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]

_BACKUPS = TypeAdapter(tuple[Backup, ...])
_VERDICTS = TypeAdapter(tuple[Verdict, ...])


@app.callback()
def _backup() -> None:
    """The catalogue of backups: list, show, verify, restore, keep, prune, scan."""


@app.command(name="list")
def list_(
    *,
    source: _SourceOption = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also removed ones, and what was done with backups.")
    ] = False,
    as_json: _JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Backups that are there, oldest first; those under way are in `vdbmon ps`."""
    with _opened(config) as scheduler:
        scheduler.statuses()  # what has ended comes into the catalogue
        found = scheduler.ledger.backups.all(source=source)
    shown = tuple(item for item in found if everything or (item.present and item.kind in BACKUP_KINDS))
    if as_json:
        typer.echo(_BACKUPS.dump_json(shown, indent=2).decode())
    elif shown:
        Console().print(backup_table(shown, now=time.time()))
    else:
        typer.echo("no backups")


@app.command()
def show(backup_id: _IdArgument, *, as_json: _JsonOption = False, config: ConfigOption = None) -> None:
    """One backup: where it is, what it leads to, what a restore of it reads."""
    with _opened(config) as scheduler:
        backup = scheduler.ledger.backups.get(backup_id)
        known = by_id(scheduler.ledger.backups.all(source=backup.source))
    if as_json:
        typer.echo(_BACKUPS.dump_json((backup,), indent=2).decode())
        return
    for line in backup_lines(backup):
        typer.echo(line)
    if backup.kind in BACKUP_KINDS:
        try:
            typer.echo(f"restore   {' <- '.join(item.id for item in chain_of(backup, known))}")
        except VdbmonError as error:
            typer.echo(f"restore   no: {error.message}")


@app.command()
def verify(
    backup_id: _IdArgument,
    *,
    name: Annotated[str | None, typer.Option(help="Name of the container; else the backup's and -v.")] = None,
    wait: _WaitOption = False,
    as_json: _JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Restore a backup in a container that is thrown away, check every table, and record what was found."""
    with _opened(config) as scheduler:
        backup = scheduler.ledger.backups.get(backup_id)
        called = name or f"{backup.id[:_LONGEST_NAME]}-v"
        code = _place(
            scheduler,
            called,
            backup,
            job=JobName.VERIFY,
            options=JobOptions(backup=backup.id),
            wait=wait,
            as_json=as_json,
        )
    raise typer.Exit(code)


@app.command()
def restore(
    backup_id: _IdArgument,
    name: Annotated[str, typer.Argument(help="Name of the container.", show_default=False)],
    *,
    until: Annotated[
        str | None, typer.Option(help="'YYYY-MM-DD HH:MM:SS' in UTC, FILE:POSITION, or end (of the binary logs).")
    ] = None,
    table: Annotated[str | None, typer.Option(help="DATABASE.TABLE of a logical dump.")] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Keep the restored server up.")] = False,
    wait: _WaitOption = False,
    as_json: _JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Restore a backup into a fresh volume; with --serve a server runs on it."""
    with _opened(config) as scheduler:
        backup = scheduler.ledger.backups.get(backup_id)
        options = JobOptions(backup=backup.id, until=until, table=table, serve=serve)
        code = _place(scheduler, name, backup, job=JobName.RESTORE, options=options, wait=wait, as_json=as_json)
    raise typer.Exit(code)


@app.command()
def keep(
    backup_id: _IdArgument,
    *,
    why: Annotated[str | None, typer.Option("--why", help="The reason, for the record.", show_default=False)] = None,
    until: UntilOption = None,
    release: Annotated[bool, typer.Option("--release", help="Leave it to the retention again.")] = False,
    config: ConfigOption = None,
) -> None:
    """Keep a backup, and with it its parents, whatever the retention says."""
    if release == bool(why and why.strip()):
        raise ConfigError("request.why", "give --why to keep a backup, or --release", "one of the two")
    now = time.time()
    with _opened(config) as scheduler:
        backup = scheduler.ledger.backups.get(backup_id)
        scheduler.ledger.backups.keep(
            backup.id, why=why, until=parse_until(until, now=now), who=scheduler.operator, at=now
        )
    typer.echo(f"{backup.id} is left to the retention" if release else f"{backup.id} is kept")


@app.command()
def prune(
    *,
    source: _SourceOption = None,
    dry_run: _DryRunOption = False,
    as_json: _JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Remove backups that their source's retention doesn't hold, with their volumes.

    Exit codes: 0 all of them, 1 something stopped it.
    """
    with _opened(config) as scheduler:
        scheduler.statuses()
        sources = _sources(scheduler, source)
        verdicts = tuple(verdict for item in sources for verdict in _judged(scheduler, item))
        if as_json:
            typer.echo(_VERDICTS.dump_json(verdicts, indent=2).decode())
        elif verdicts:
            Console().print(verdict_table(verdicts, now=time.time()))
        codes = {0} if dry_run else {_prune(scheduler, item, quiet=as_json) for item in sources}
    raise typer.Exit(max(codes, default=0))


@app.command(name="scan")
def scan_(
    *,
    forget: Annotated[
        bool, typer.Option("--forget", help="Backups whose volume is gone are history from now on.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Bring the catalogue up to what is in the volumes of this host; each backup carries its own record.

    Exit codes: 0 all is known, 1 something is odd or lost.
    """
    with _opened(config) as scheduler:
        folder = scheduler.fleet.volumes.dir
        found = scan(
            scheduler.ledger,
            folder,
            LoopVolumes(folder),
            host=scheduler.local_host,
            forget=forget,
            at=scheduler.clock(),
        )
    _tell(found, forget=forget)
    raise typer.Exit(int(bool(found.odd or (found.lost and not forget))))


_LONGEST_NAME = 46


@contextmanager
def _opened(config: ConfigOption) -> Iterator[Scheduler]:
    settings = load_config(find_config(config))
    with open_scheduler(settings.fleet(), settings.host.name) as scheduler:
        yield scheduler


def _place(
    scheduler: Scheduler, name: str, backup: Backup, *, job: JobName, options: JobOptions, wait: bool, as_json: bool
) -> int:
    """Place a job that reads a backup; its size is what it takes, with a margin."""
    scheduler.require_free(name)
    amounts = scheduler.amounts(Sizes(given={}, usual=True), job, options, source=backup.source)
    wanted = Wanted(name=name, source=backup.source, job=job, amounts=amounts, options=options)
    return place_and_tell(scheduler, scheduler.wanted(wanted), dry_run=False, wait=wait, as_json=as_json)


def _sources(scheduler: Scheduler, name: str | None) -> tuple[SourceSettings, ...]:
    return scheduler.fleet.sources if name is None else (source_called(name, scheduler.fleet),)


def _judged(scheduler: Scheduler, source: SourceSettings) -> tuple[Verdict, ...]:
    return judge_source(scheduler.ledger, source, hosts={scheduler.local_host}, now=scheduler.clock())


def _prune(scheduler: Scheduler, source: SourceSettings, *, quiet: bool) -> int:
    pruned = prune_source(
        scheduler.ledger,
        scheduler.remover(),
        source,
        hosts={scheduler.local_host},
        who=scheduler.operator,
        now=scheduler.clock(),
    )
    for backup_id in pruned.removed if not quiet else ():
        typer.echo(f"removed {backup_id}")
    if pruned.stopped is not None:
        typer.echo(f"vdbmon: {source.name}: {pruned.stopped}; give the command again", err=True)
    return int(pruned.stopped is not None)


def _tell(found: Scan, *, forget: bool) -> None:
    for backup in found.found:
        typer.echo(f"{backup.id}: {backup.kind} of {backup.source}, {backup.made}")
    for sentence in found.odd:
        typer.echo(f"vdbmon: {sentence}", err=True)
    for backup_id in found.lost:
        said = "forgotten" if forget else "`vdbmon backup scan --forget` makes it history"
        typer.echo(f"vdbmon: {backup_id}: its volume isn't there; {said}", err=True)
