"""`vdbmon place`: launch a backup container where capacity is left and no alert says no; else say why not, per host."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import typer
from rich.console import Console

from collector.blockdevices import BlockDevices
from collector.errors import ConfigError, VdbmonError
from collector.quantities import format_bytes
from orchestrator.batch import DURATION, Wanted, read_batch
from orchestrator.decision import Decision
from orchestrator.ledger import LaunchRecord, LaunchState
from orchestrator.placement import Placement, Scheduler, open_scheduler, placement_json
from orchestrator.reasons import OVERRIDABLE, Code
from orchestrator.resources import ResourceClass
from orchestrator.scoring import Strategy
from orchestrator.sizes import CPUS, DEFAULTS, parse_amounts
from orchestrator.snapshot import Override, Request, Wishes
from orchestrator.windows import parse_window
from vdbmon import place_options as options
from vdbmon.batches import REFUSED, place_batch
from vdbmon.config import Config, find_config, load_config
from vdbmon.options import ConfigOption
from vdbmon.tables import decision_table, start_text

app = typer.Typer(add_completion=False)

_SIZES = (CPUS, *("memory", "disk", "read_bps", "write_bps", "read_iops", "write_iops", "network_in", "network_out"))


@app.command()
def place(
    name: options.Name = None,
    *,
    source: options.Source = None,
    batch: options.Batch = None,
    job: options.Job = "backup",
    cpus: options.Cpus = 1.0,
    cpuset: options.Cpuset = None,
    memory: options.Memory = DEFAULTS["memory"],
    disk: options.Disk = DEFAULTS["disk"],
    read_bps: options.ReadBps = DEFAULTS["read_bps"],
    write_bps: options.WriteBps = DEFAULTS["write_bps"],
    read_iops: options.ReadIops = None,
    write_iops: options.WriteIops = None,
    network_in: options.NetworkIn = None,
    network_out: options.NetworkOut = None,
    not_before: options.NotBefore = None,
    deadline: options.Deadline = None,
    duration: options.Duration = DURATION,
    host: options.Host = None,
    zone: options.Zone = None,
    device_class: options.DeviceClass = None,
    pool: options.Pool = None,
    label: options.Label = None,
    apart: options.Apart = False,
    strategy: options.Packing = Strategy.SPREAD,
    override: options.Overrides = None,
    why: options.Why = None,
    dry_run: options.DryRun = False,
    wait: options.Wait = False,
    as_json: options.AsJson = False,
    config: ConfigOption = None,
) -> None:
    """Launch a container where capacity is left and no alert says no.

    Exit codes: 0 launched (with --wait: and done), 1 failed, 2 bad input, 3 refused by every host.
    """
    how = _How(strategy=strategy, dry_run=dry_run, wait=wait, as_json=as_json)
    settings = load_config(find_config(config))
    if batch is not None:
        raise typer.Exit(_place_batch(settings, batch, how, alone=name is None and source is None and not override))
    sizes = (f"{cpus:g}", memory, disk, read_bps, write_bps, read_iops, write_iops, network_in, network_out)
    wishes = Wishes(
        host=host, zone=zone, device_class=device_class, pool=pool, labels=_labels(label), apart=apart, cpuset=cpuset
    )
    wanted = _wanted(name, source, job, sizes=sizes, wishes=wishes, window=(not_before, deadline, duration))
    raise typer.Exit(_place_one(settings, wanted, how, override or (), why))


@dataclass(frozen=True, slots=True, kw_only=True)
class _How:
    """What is to be done with a decision, and how it is shown."""

    strategy: Strategy
    dry_run: bool
    wait: bool
    as_json: bool


def _place_batch(settings: Config, batch: Path, how: _How, *, alone: bool) -> int:
    if not alone:
        raise ConfigError("request.batch", "--batch takes no NAME, --source or --override", "leave them out")
    wanted = read_batch(batch, datetime.now().astimezone())
    return place_batch(settings, wanted, strategy=how.strategy, dry_run=how.dry_run, as_json=how.as_json)


def _wanted(
    name: str | None,
    source: str | None,
    job: str,
    *,
    sizes: Sequence[str | int | None],
    wishes: Wishes,
    window: tuple[str | None, str | None, str],
) -> Wanted:
    if name is None or source is None:
        raise ConfigError("request.name", "NAME or --source is missing", "give both, or --batch FILE")
    given = {key: value for key, value in zip(_SIZES, sizes, strict=True) if value is not None}
    not_before, deadline, duration = window
    now = datetime.now().astimezone()
    return Wanted(
        name=name,
        source=source,
        job=job,
        amounts=parse_amounts(given, _option),
        wishes=wishes,
        window=parse_window(not_before=not_before, deadline=deadline, duration=duration, now=now),
    )


def _place_one(settings: Config, wanted: Wanted, how: _How, override: Sequence[str], why: str | None) -> int:
    with open_scheduler(settings.fleet(), settings.host.name, strategy=how.strategy) as scheduler:
        scheduler.require_free(wanted.name)
        request = replace(scheduler.wanted(wanted), override=_override(override, why, who=scheduler.operator))
        act = _place_json if how.as_json else _place
        return act(scheduler, request, dry_run=how.dry_run, wait=how.wait)


def _override(codes: Sequence[str], why: str | None, *, who: str) -> Override | None:
    """An operator's word against the gate; it stands in the record for good."""
    if not codes and why is None:
        return None
    wrong = next((code for code in codes if code not in OVERRIDABLE), None)
    if wrong is not None:
        known = ", ".join(sorted(OVERRIDABLE))
        raise ConfigError("request.override", f"--override {wrong}: nobody can override that", f"known: {known}")
    if not codes or not why or not why.strip():
        raise ConfigError("request.why", "--override and --why go together", "give a code, and why it is not to count")
    return Override(codes=tuple(sorted(set(codes))), who=who, why=why)


def _labels(texts: Iterable[str] | None) -> dict[str, str]:
    labels = dict(text.partition("=")[::2] for text in texts or ())
    wrong = next((key for key, value in labels.items() if not key or not value), None)
    if wrong is not None:
        raise ConfigError("request.label", f"--label {wrong}: no KEY=VALUE", "write for example --label rack=r12")
    return labels


def _option(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def _place(scheduler: Scheduler, request: Request, *, dry_run: bool, wait: bool) -> int:
    if dry_run:
        decision = scheduler.decide(request)
        _show(decision)
        return 0 if decision.accepted else REFUSED
    placement = scheduler.place(request, decided=_show)
    if placement.decision.start_at is not None:
        start = start_text(placement.decision.start_at)
        typer.echo(f"vdbmon: {request.name} was not launched: it is to start at {start}; place it then", err=True)
    if placement.launched is None:
        return REFUSED
    launched, host = placement.launched, placement.decision.host
    typer.echo(f"launched on {host}: container {launched.container_id[:12]}, volume {launched.volume}")
    if host is not None and not scheduler.parts(host).volumes.sized:
        size = format_bytes(request.amounts[ResourceClass.DISK])
        typer.echo(f"volume {launched.volume} is the engine's own and has no size: nothing holds it to {size}")
    if launched.limits is None:
        typer.echo("it ended before its limits could be read back")
    else:
        shown = launched.limits.text(BlockDevices(Path("/proc")).name)
        typer.echo(f"limits {launched.limits.told.sentence}: {shown}")
    return _report(scheduler.await_end(request.request_id)) if wait else 0


def _place_json(scheduler: Scheduler, request: Request, *, dry_run: bool, wait: bool) -> int:
    """Print one document whatever happens after the decision; an error before it is a line on stderr as ever."""
    decisions: list[Decision] = []
    code = 0
    try:
        placement = (
            Placement(decision=scheduler.decide(request))
            if dry_run
            else scheduler.place(request, decided=decisions.append)
        )
        if placement.launched is not None and wait:
            ended = scheduler.await_end(request.request_id)
            placement = Placement(decision=placement.decision, launched=placement.launched, ended=ended)
            code = int(ended.state is not LaunchState.DONE)
    except VdbmonError as error:
        if not decisions:
            raise
        placement, code = Placement(decision=decisions[0], error=f"{error.code}: {error}"), error.exit_code
    typer.echo(placement_json(placement))
    return code if placement.decision.accepted and (dry_run or placement.launched or code) else REFUSED


def _show(decision: Decision) -> None:
    taken = [
        reason.sentence
        for verdict in decision.verdicts
        for reason in verdict.reasons
        if reason.code == Code.NAME_TAKEN and not decision.accepted
    ]
    if taken:
        typer.echo(f"vdbmon: {taken[0]}; choose another name", err=True)
    else:
        Console().print(decision_table(decision))


def _report(record: LaunchRecord) -> int:
    outcome = record.outcome or {}
    result = outcome.get("record")
    if record.state is not LaunchState.DONE:
        typer.echo(f"vdbmon: {record.name} failed: {outcome.get('message')}", err=True)
        return 1
    if result:
        sha256 = result["files"][0]["sha256"]
        typer.echo(
            f"done in {result['seconds']:.1f} s: {format_bytes(result['bytes_raw'])} read, "
            f"{format_bytes(result['bytes_stored'])} stored, sha256 {sha256[:16]}, to LSN {result['to_lsn']}"
        )
    else:
        typer.echo("done")
    return 0
