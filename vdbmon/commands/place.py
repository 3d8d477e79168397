"""`vdbmon place`: launch a backup container where capacity is left and no alert says no; else say why not, per host."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

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
from orchestrator.scoring import Strategy
from orchestrator.sizes import CPUS, DEFAULTS, parse_amounts
from orchestrator.snapshot import Override, Request, Wishes
from orchestrator.windows import parse_window
from vdbmon.batches import REFUSED, place_batch
from vdbmon.config import find_config, load_config
from vdbmon.options import ConfigOption
from vdbmon.tables import decision_table, start_text

app = typer.Typer(add_completion=False)


@app.command()
def place(
    name: Annotated[str | None, typer.Argument(help="Name of the container.", show_default=False)] = None,
    *,
    source: Annotated[
        str | None, typer.Option(help="The database, as the configuration names it.", show_default=False)
    ] = None,
    batch: Annotated[
        Path | None, typer.Option(help="TOML or JSON lines: many containers, planned together.", dir_okay=False)
    ] = None,
    job: Annotated[str, typer.Option(help="What to do with it.")] = "backup",
    cpus: Annotated[float, typer.Option(help="CPU limit in cores.")] = 1.0,
    memory: Annotated[str, typer.Option(help="Memory limit.")] = DEFAULTS["memory"],
    disk: Annotated[str, typer.Option(help="Hard size of the volume.")] = DEFAULTS["disk"],
    read_bps: Annotated[str, typer.Option(help="Disk reads per second.")] = DEFAULTS["read_bps"],
    write_bps: Annotated[str, typer.Option(help="Disk writes per second.")] = DEFAULTS["write_bps"],
    read_iops: Annotated[int | None, typer.Option(help="Read operations per second; counted, not limited.")] = None,
    write_iops: Annotated[int | None, typer.Option(help="Write operations per second; counted, not limited.")] = None,
    network_in: Annotated[str | None, typer.Option(help="Received per second; counted, not limited.")] = None,
    network_out: Annotated[str | None, typer.Option(help="Sent per second; counted, not limited.")] = None,
    not_before: Annotated[str | None, typer.Option(help="Earliest start: 02:00, or ISO 8601.")] = None,
    deadline: Annotated[str | None, typer.Option(help="Latest end: 06:00, or ISO 8601.")] = None,
    duration: Annotated[str, typer.Option(help="How long it is expected to run, if it has a window.")] = DURATION,
    host: Annotated[str | None, typer.Option(help="Only on this host.")] = None,
    zone: Annotated[str | None, typer.Option(help="Only in this zone.")] = None,
    device_class: Annotated[str | None, typer.Option(help="Only on disks of this class.")] = None,
    pool: Annotated[str | None, typer.Option(help="Only where this address pool is.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="Only on hosts with this KEY=VALUE.")] = None,
    apart: Annotated[bool, typer.Option("--apart", help="Not beside another job of the source.")] = False,
    strategy: Annotated[Strategy, typer.Option(help="Keep jobs apart, or hosts free.")] = Strategy.SPREAD,
    override: Annotated[
        list[str] | None, typer.Option(help="A code of the gate that is not to count, as alert.firing; needs --why.")
    ] = None,
    why: Annotated[str | None, typer.Option(help="Why it is not to count, for the record.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Decide, and launch nothing.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the job ends; exit with 1 if it failed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    config: ConfigOption = None,
) -> None:
    """Launch a container where capacity is left and no alert says no.

    Exit codes: 0 launched (with --wait: and done), 1 failed, 2 bad input, 3 refused by every host.
    """
    settings = load_config(find_config(config))
    sizes = {
        CPUS: f"{cpus:g}",
        "memory": memory,
        "disk": disk,
        "read_bps": read_bps,
        "write_bps": write_bps,
        "read_iops": read_iops,
        "write_iops": write_iops,
        "network_in": network_in,
        "network_out": network_out,
    }
    now = datetime.now().astimezone()
    if batch is not None:
        if name is not None or source is not None or override:
            raise ConfigError("request.batch", "--batch takes no NAME, --source or --override", "leave them out")
        code = place_batch(settings, read_batch(batch, now), strategy=strategy, dry_run=dry_run, as_json=as_json)
        raise typer.Exit(code)
    if name is None or source is None:
        raise ConfigError("request.name", "NAME or --source is missing", "give both, or --batch FILE")
    wanted = Wanted(
        name=name,
        source=source,
        job=job,
        amounts=parse_amounts({key: value for key, value in sizes.items() if value is not None}, _option),
        wishes=Wishes(
            host=host, zone=zone, device_class=device_class, pool=pool, labels=_labels(label or ()), apart=apart
        ),
        window=parse_window(not_before=not_before, deadline=deadline, duration=duration, now=now),
    )
    with open_scheduler(settings.fleet(), settings.host.name, strategy=strategy) as scheduler:
        scheduler.require_free(name)
        request = replace(scheduler.wanted(wanted), override=_override(override or [], why, who=scheduler.operator))
        if as_json:
            code = _place_json(scheduler, request, dry_run=dry_run, wait=wait)
        else:
            code = _place(scheduler, request, dry_run=dry_run, wait=wait)
    raise typer.Exit(code)


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


def _labels(texts: Iterable[str]) -> dict[str, str]:
    labels = dict(text.partition("=")[::2] for text in texts)
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
    if launched.limits is None:
        typer.echo("it ended before its limits could be read back")
    else:
        typer.echo(f"limits read back: {launched.limits.text(BlockDevices(Path('/proc')).name)}")
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
        typer.echo(
            f"done in {result['seconds']:.1f} s: {format_bytes(result['bytes_raw'])} read, "
            f"{format_bytes(result['bytes_stored'])} stored, sha256 {result['sha256'][:16]}, to LSN {result['to_lsn']}"
        )
    else:
        typer.echo("done")
    return 0
