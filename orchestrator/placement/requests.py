"""From what somebody asks for to a checked request and its intent. Pure: settings, catalogue, clock are passed in."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collector.errors import ConfigError, VdbmonError
from orchestrator.backup.entries import Backup
from orchestrator.backup.inputs import NO_OPTIONS, JobInputs, JobOptions, resolve
from orchestrator.backup.sizing import usual_sizes
from orchestrator.decision.request import NO_WISHES, Request, Window, Wishes
from orchestrator.decision.resources import Amounts, inventory_rows
from orchestrator.decision.sizes import parse_amounts
from orchestrator.launch.spec import LaunchSpec
from orchestrator.ledger import LaunchRecord, LaunchState
from orchestrator.placement.jobs import check_request
from orchestrator.settings import FleetSettings, SourceSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A container that is asked for, as `Scheduler.wanted` takes it."""

    name: str
    source: str
    job: str
    amounts: Amounts
    wishes: Wishes = NO_WISHES
    window: Window | None = None
    options: JobOptions = NO_OPTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How large it is to be.

    Attributes:
        given: what somebody said, by `orchestrator.decision.sizes.KEYS`.
        usual: what is left open comes from earlier runs, not from the defaults.
        named: gives the name that an error uses for a key.
    """

    given: Mapping[str, str | float]
    usual: bool = False
    named: Callable[[str], str] = str


def request_of(
    wanted: Wanted, fleet: FleetSettings, *, jobs: Collection[str], backups: Sequence[Backup], now: float
) -> Request:
    """A checked request with an id of its own; `backups` are all of its source.

    Raises:
        ConfigError: an unknown source, job, host or pool, no hosts, or what `check_request` finds.
        VdbmonError: as `resolve`; `backup.elsewhere`, it wishes for another host than that of its backups.
    """
    source = source_called(wanted.source, fleet)
    if wanted.job not in jobs:
        raise ConfigError("request.job", f"no job {wanted.job!r}", f"known: {', '.join(sorted(jobs))}")
    if wanted.wishes.host is not None:
        require_host(wanted.wishes.host, fleet)
    pools = [pool.name for pool in fleet.pools]
    if wanted.wishes.pool is not None and wanted.wishes.pool not in pools:
        known = ", ".join(sorted(pools)) or "none; describe them in [[pools]]"
        raise ConfigError("request.pool", f"no pool {wanted.wishes.pool!r}", f"known: {known}")
    if not fleet.hosts:
        raise ConfigError("config.invalid", "no hosts to place on", "describe them in [[hosts]]")
    inputs = resolve(wanted.job, source.name, wanted.options, backups, now=now)
    _refuse_elsewhere(wanted.wishes, inputs)
    request = Request(
        name=wanted.name,
        request_id=uuid.uuid4().hex,
        source=source,
        job=wanted.job,
        amounts=wanted.amounts,
        wishes=wanted.wishes,
        window=wanted.window,
        inputs=inputs,
    )
    check_request(request)
    return request


def amounts_of(
    sizes: Sizes,
    job: str,
    options: JobOptions,
    fleet: FleetSettings,
    *,
    source: str,
    backups: Sequence[Backup],
    now: float,
) -> Amounts:
    """How much of each class a request asks for; `backups` are all of its source.

    Raises:
        ConfigError: as `parse_amounts`.
        VdbmonError: as `resolve`.
    """
    if not sizes.usual:
        return parse_amounts(sizes.given, sizes.named)
    inputs = resolve(job, source, options, backups, now=now)
    counted = {key for host in fleet.hosts for key in inventory_rows(host.inventory)}
    return parse_amounts({**usual_sizes(job, inputs, backups, counted=counted), **sizes.given}, sizes.named)


def intent_of(request: Request, host: str, spec: LaunchSpec, *, at: float) -> LaunchRecord:
    """What the ledger is told before anything is done."""
    return LaunchRecord(
        request_id=request.request_id,
        name=request.name,
        host=host,
        source=request.source.name,
        job=request.job,
        state=LaunchState.INTENT,
        spec=spec.document(),
        spec_hash=spec.digest(),
        volume=spec.volume,
        created_at=at,
        updated_at=at,
        window_start=at if request.window else None,
        window_end=at + request.window.duration if request.window else None,
    )


def source_called(name: str, fleet: FleetSettings) -> SourceSettings:
    """The source of that name.

    Raises:
        ConfigError: `request.source`.
    """
    found = {item.name: item for item in fleet.sources}.get(name)
    if found is None:
        raise ConfigError("request.source", f"no source {name!r}", f"known: {_names(fleet.sources)}")
    return found


def require_host(name: str, fleet: FleetSettings) -> None:
    """Refuse a name that is no host's.

    Raises:
        ConfigError: `request.host`.
    """
    if name not in {host.name for host in fleet.hosts}:
        raise ConfigError("request.host", f"no host {name!r}", f"known: {_names(fleet.hosts)}")


def _refuse_elsewhere(wishes: Wishes, inputs: JobInputs) -> None:
    """A job has to run where the backups are that it reads."""
    if wishes.host is not None and inputs.host not in {None, wishes.host}:
        text = f"host {wishes.host} is asked for, and what the job builds on is on {inputs.host}"
        raise VdbmonError("backup.elsewhere", text, "leave --host out")


def _names(items: Any) -> str:
    return ", ".join(sorted(item.name for item in items)) or "none"
