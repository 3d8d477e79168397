"""`vdbmon place`: launch a backup container where capacity is left and no alert says no; else say why not, per host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import typer

from collector.errors import ConfigError
from orchestrator.backup.inputs import JobOptions
from orchestrator.backup.job_names import JobName
from orchestrator.decision.reasons import OVERRIDABLE
from orchestrator.decision.request import Override, Wishes
from orchestrator.decision.resources import no_amounts
from orchestrator.decision.scoring import Strategy
from orchestrator.decision.sizes import CPUS
from orchestrator.decision.windows import parse_window
from orchestrator.placement.batch_file import DURATION, read_batch
from orchestrator.placement.requests import Sizes, Wanted
from orchestrator.placement.scheduler import open_scheduler
from vdbmon import place_options as options
from vdbmon.batches import place_batch
from vdbmon.config import Config, find_config, load_config
from vdbmon.options import ConfigOption
from vdbmon.placing import place_and_tell

AUTO = "auto"

_SIZES = (CPUS, *("memory", "disk", "read_bps", "write_bps", "read_iops", "write_iops", "network_in", "network_out"))
_WISHES = ("host", "zone", "device_class", "pool", "apart", "cpuset")

_WITH_BATCH = frozenset({"--batch", "--strategy", "--dry-run", "--json", "--config"})

app = typer.Typer(add_completion=False)


@app.command(epilog="Exit codes: 0 launched (with --wait: and done), 1 failed, 2 bad input, 3 refused by every host.")
def place(
    ctx: typer.Context,
    name: options.Name = None,
    *,
    source: options.Source = None,
    batch: options.Batch = None,
    job: options.Job = JobName.BACKUP.value,
    backup: options.Backup = None,
    incremental: options.Incremental = False,
    until: options.Until = None,
    table: options.Table = None,
    keep_up: options.Serve = False,
    size: options.Size = None,
    cpus: options.Cpus = None,
    cpuset: options.Cpuset = None,
    memory: options.Memory = None,
    disk: options.Disk = None,
    read_bps: options.ReadBps = None,
    write_bps: options.WriteBps = None,
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
    """Launch a container where capacity is left and no alert says no."""
    job_options = JobOptions(backup=backup, incremental=incremental, until=until, table=table, serve=keep_up)
    limits = (cpus, memory, disk, read_bps, write_bps, read_iops, write_iops, network_in, network_out)
    there = (host, zone, device_class, pool, apart, cpuset)
    how = _How(strategy=strategy, dry_run=dry_run, wait=wait, as_json=as_json, override=override or (), why=why)
    settings = load_config(find_config(config))
    if batch is not None:
        raise typer.Exit(_place_batch(settings, batch, how, ctx))
    wanted = _wanted(name, source, job, wishes=_wishes(there, label), window=(not_before, deadline, duration))
    raise typer.Exit(_place_one(settings, replace(wanted, options=job_options), how, _sizes(size, limits)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _How:
    """How to decide, what is to be done with the decision, and how it is shown."""

    strategy: Strategy
    override: Sequence[str]
    why: str | None
    dry_run: bool
    wait: bool
    as_json: bool


def _place_batch(settings: Config, batch: Path, how: _How, ctx: typer.Context) -> int:
    for option in _given(ctx):
        if option not in _WITH_BATCH:
            raise ConfigError("request.batch", f"--batch takes no {option}", "leave it out, or write it into the file")
    wanted = read_batch(batch, datetime.now().astimezone())
    return place_batch(settings, wanted, strategy=how.strategy, dry_run=how.dry_run, as_json=how.as_json)


def _given(ctx: typer.Context) -> Iterator[str]:
    """The options and arguments of the command line, as it spells them."""
    for parameter in ctx.command.params:
        origin = ctx.get_parameter_source(parameter.name or "")
        if origin is not None and origin.name == "COMMANDLINE":
            yield parameter.opts[0] if parameter.param_type_name == "option" else (parameter.name or "").upper()


def _wanted(
    name: str | None,
    source: str | None,
    job: str,
    *,
    wishes: Wishes,
    window: tuple[str | None, str | None, str],
) -> Wanted:
    if name is None or source is None:
        missing = " and ".join(what for what, value in (("NAME", name), ("--source", source)) if value is None)
        raise ConfigError("request.name", f"{missing} missing", "give both, or --batch FILE")
    not_before, deadline, duration = window
    now = datetime.now().astimezone()
    return Wanted(
        name=name,
        source=source,
        job=job,
        amounts=no_amounts(),
        wishes=wishes,
        window=parse_window(not_before=not_before, deadline=deadline, duration=duration, now=now),
    )


def _sizes(size: str | None, limits: Sequence[str | float | None]) -> Sizes:
    if size not in {None, AUTO}:
        raise ConfigError("request.size", f"--size {size!r} is no size", f"give {AUTO}, or --cpus, --memory and so on")
    told = (f"{value:g}" if isinstance(value, float) else value for value in limits)
    given = {key: value for key, value in zip(_SIZES, told, strict=True) if value is not None}
    return Sizes(given=given, usual=size == AUTO, named=_option)


def _wishes(there: Sequence[Any], label: Iterable[str] | None) -> Wishes:
    return Wishes(labels=_labels(label), **dict(zip(_WISHES, there, strict=True)))


def _place_one(settings: Config, wanted: Wanted, how: _How, sizes: Sizes) -> int:
    with open_scheduler(settings.fleet(), settings.host.name, strategy=how.strategy) as scheduler:
        scheduler.require_free(wanted.name)
        amounts = scheduler.amounts(sizes, wanted.job, wanted.options, source=wanted.source)
        request = scheduler.wanted(replace(wanted, amounts=amounts))
        request = replace(request, override=_override(how.override, how.why, who=scheduler.operator))
        return place_and_tell(scheduler, request, dry_run=how.dry_run, wait=how.wait, as_json=how.as_json)


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
