"""`vdbmon backup`: the catalogue of backups, and what is done with one."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter

from orchestrator.backup.commands import SERVED_SOCKET
from orchestrator.backup.entries import BACKUP_KINDS, Backup
from orchestrator.backup.inputs import JobOptions
from orchestrator.backup.job_names import JobName
from orchestrator.backup.progress import read_progress
from orchestrator.backup.runner.record import Kind
from orchestrator.backup.states import state_of, under_way
from orchestrator.backup.upkeep import take_in_awaited_logs
from orchestrator.placement.requests import Sizes, Wanted
from orchestrator.placement.scheduler import Scheduler
from orchestrator.survey.prometheus import PrometheusClient
from vdbmon.backup_options import IdArgument, JsonOption, SourceOption, WaitOption, opened
from vdbmon.backup_schedules import late_lines, schedules, standings_of
from vdbmon.backup_tables import backup_lines, list_lines
from vdbmon.backup_upkeep import keep, prune, scan_
from vdbmon.columns import say
from vdbmon.options import ConfigOption
from vdbmon.placing import place_and_tell

PROMETHEUS_SECONDS = 2.0
"""How far a job is is worth no longer a wait."""

app = typer.Typer(add_completion=False, no_args_is_help=True)

_BACKUP = TypeAdapter(Backup)


@app.callback()
def _backup() -> None:
    """The catalogue of backups: what there is, what is due, what a restore would read, what stays and what goes."""


@app.command(name="list")
def list_(
    *,
    source: SourceOption = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also removed ones, and what was done with backups.")
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Backups that are there or are being made, oldest first, and scheduled ones that wait or were missed."""
    with opened(config) as scheduler:
        known, running = _catalogue(scheduler, source)
        late = [line for line in late_lines(standings_of(scheduler), now=time.time(), source=source) if not as_json]
    shown = [item for item in known if everything or (item.present and item.kind in BACKUP_KINDS)]
    if as_json:
        typer.echo(json.dumps([_document(item, known) for item in (*shown, *running)], indent=2))
        return
    lines = list_lines((*shown, *running), known, now=time.time()) if shown or running else ("no backups",)
    say((*lines, *late))


@app.command()
def show(backup_id: IdArgument, *, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """One backup: where it is, what it leads to, what a restore of it reads."""
    with opened(config) as scheduler:
        scheduler.statuses()
        for _ in take_in_awaited_logs(scheduler.ledger, lambda host: scheduler.parts(host).volumes):
            pass  # a host that is away: what was known of it before
        backup = scheduler.ledger.backups.get(backup_id)
        known = scheduler.ledger.backups.all(source=backup.source)
        copies = next((item.copy for item in scheduler.fleet.sources if item.name == backup.source), None)
    if as_json:
        typer.echo(json.dumps([_document(backup, known)], indent=2))
        return
    say(backup_lines(backup, known))
    if backup.kind is Kind.COPY and copies is not None:
        say([f"copy      in {copies.repository}; how restic gets it out: docs/restore.md"])


@app.command()
def verify(
    backup_id: IdArgument,
    *,
    name: Annotated[str | None, typer.Option(help="Name of the container; else the backup's and -v.")] = None,
    wait: WaitOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Restore a backup in a container that is thrown away, check every table, and record what was found.

    Exit codes: 0 launched (with --wait: and it is good), 1 failed, 3 refused by every host.
    """
    with opened(config) as scheduler:
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
    backup_id: IdArgument,
    name: Annotated[str, typer.Argument(help="Name of the container.", show_default=False)],
    *,
    until: Annotated[
        str | None,
        typer.Option(help="'YYYY-MM-DD HH:MM:SS' in UTC or with +01:00, FILE:POSITION, or end (of the binary logs)."),
    ] = None,
    table: Annotated[str | None, typer.Option(help="DATABASE.TABLE of a logical dump.")] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Keep the restored server up.")] = False,
    wait: WaitOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Restore a backup into a fresh volume; with --serve a server runs on it.

    Exit codes: 0 launched (with --wait: and done), 1 failed, 3 refused by every host.
    """
    with opened(config) as scheduler:
        backup = scheduler.ledger.backups.get(backup_id)
        options = JobOptions(backup=backup.id, until=until, table=table, serve=serve)
        code = _place(scheduler, name, backup, job=JobName.RESTORE, options=options, wait=wait, as_json=as_json)
        if code == 0 and not as_json:
            _say_where(scheduler, name, serve=serve)
    raise typer.Exit(code)


app.command()(schedules)
app.command()(keep)
app.command()(prune)
app.command(name="scan")(scan_)


_LONGEST_NAME = 46


def _catalogue(scheduler: Scheduler, source: str | None) -> tuple[tuple[Backup, ...], tuple[Backup, ...]]:
    """The catalogue as it is now, and what is being made."""
    statuses = scheduler.statuses()  # what has ended comes into the catalogue
    for _ in take_in_awaited_logs(scheduler.ledger, lambda host: scheduler.parts(host).volumes):
        pass  # a host that is away: what was known of it before
    known = scheduler.ledger.backups.all(source=source)
    launches = [status.record for status in statuses if source in {None, status.record.source}]
    ids = {item.id for item in known}
    if not any(True for _ in under_way(launches, {}, ids)):
        return known, ()
    client = PrometheusClient(scheduler.fleet.prometheus.url, timeout=PROMETHEUS_SECONDS)
    return known, tuple(under_way(launches, read_progress(client), ids))


def _document(backup: Backup, known: Sequence[Backup]) -> dict[str, Any]:
    document: dict[str, Any] = _BACKUP.dump_python(backup, mode="json")
    return {"id": backup.id, "state": state_of(backup, known).value, **document}


def _say_where(scheduler: Scheduler, name: str, *, serve: bool) -> None:
    launch = scheduler.ledger.launches_named(name)[-1]
    if serve:
        typer.echo(f"server on {launch.host}: docker exec -it {name} mariadb --socket {SERVED_SOCKET}")
    else:
        typer.echo(f"data on {launch.host}: {launch.volume}/data in volume {launch.volume}")


def _place(
    scheduler: Scheduler, name: str, backup: Backup, *, job: JobName, options: JobOptions, wait: bool, as_json: bool
) -> int:
    """Place a job that reads a backup; its size is what it takes, with a margin."""
    scheduler.require_free(name)
    amounts = scheduler.amounts(Sizes(given={}, usual=True), job, options, source=backup.source)
    wanted = Wanted(name=name, source=backup.source, job=job, amounts=amounts, options=options)
    return place_and_tell(scheduler, scheduler.wanted(wanted), dry_run=False, wait=wait, as_json=as_json)
