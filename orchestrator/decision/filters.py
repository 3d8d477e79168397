"""What speaks against a host, one small pure function per ground: each returns its reasons, or nothing.

A `Case` is what all hosts of one decision share, worked out once; the filters are called for every host, so they do no
work that doesn't depend on the host.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from alerts.thresholds import TELEMETRY_STALE_AFTER
from orchestrator.decision.cordons import cordon_reasons
from orchestrator.decision.gate import gate_reasons
from orchestrator.decision.reasons import NONE, Closures, Code, Reason, Reasons, capacity_reason
from orchestrator.decision.request import NO_WISHES, Request
from orchestrator.decision.resources import ResourceClass
from orchestrator.decision.snapshot import GateReading, HostState, Snapshot, Unknown
from orchestrator.decision.windows import best_start
from orchestrator.settings import Reach

Filter = Callable[[HostState, "Case"], Reasons]

_NO = "none"
_NO_TELEMETRY = (Reason(code=Code.TELEMETRY_MISSING, text="Prometheus has no metrics of this host's agent"),)
_NO_VOLUMES = (
    Reason(
        code=Code.VOLUME_HOST_UNSUPPORTED,
        text="the disk under its engine's volumes is not known, so writes can't be limited; tell it in [hosts.disks]",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is to be placed, and what all hosts share.

    Attributes:
        common: reasons that hold against every host.
        gate: what alerts close.
        cordons: what operators closed.
        now: seconds since the epoch.
        needed: what is asked for, per class, all above zero.
        measured: classes that are asked for and whose use must be known.
        blind: Prometheus didn't answer; it has been said.
        elsewhere: against every host but that of a local source.
        beside: against the host of a source whose backups are to be elsewhere.
        overridden: codes that don't count, on an operator's word.
        filters: those that can find anything, in the order of FILTERS.
    """

    request: Request
    now: float
    common: Reasons
    gate: Closures
    cordons: Closures
    needed: tuple[tuple[ResourceClass, int], ...]
    measured: frozenset[ResourceClass]
    blind: bool
    elsewhere: Reasons
    beside: Reasons
    overridden: frozenset[str]
    filters: tuple[Filter, ...]


def open_case(snapshot: Snapshot, request: Request) -> Case:
    """Work out what holds for every host."""
    cordons = cordon_reasons(snapshot.cordons, now=snapshot.taken_at)
    gate = gate_reasons(snapshot.gate, frozenset(host.name for host in snapshot.hosts))
    source = request.source
    idle = _idle(request, cordons, gate)
    needed = tuple((key, amount) for key, amount in request.amounts.items() if amount > 0)
    return Case(
        request=request,
        now=snapshot.taken_at,
        common=(
            *_placed_already(snapshot, request),
            *_read_enough(snapshot, request),
            *_pool_full(snapshot, request),
            *cordons.fleet,
            *gate.fleet,
        ),
        gate=gate,
        cordons=cordons,
        needed=needed,
        measured=frozenset(key for key, _ in needed if key.measured),
        blind=not isinstance(snapshot.gate, GateReading),
        elsewhere=(
            Reason(
                code=Code.SOURCE_NOT_LOCAL,
                text=f"the data directory of source {source.name} is on {source.host}, not here",
            ),
        ),
        beside=(
            Reason(
                code=Code.SOURCE_SAME_HOST,
                text=f"source {source.name} itself is on it: what is lost with it must not be its backup",
            ),
        ),
        overridden=request.overridden,
        filters=tuple(check for check in FILTERS if check not in idle),
    )


def common_filter(_host: HostState, case: Case) -> Reasons:
    """What holds against every host: name taken, source read by enough jobs, pool full, freeze, fleet alerts."""
    return case.common


def name_filter(host: HostState, case: Case) -> Reasons:
    """A container that nobody placed has the name already."""
    if isinstance(host.engine, Unknown) or case.request.name not in host.engine.containers:
        return NONE
    return (Reason(code=Code.NAME_TAKEN, text=f"{host.name} has a container {case.request.name} already"),)


def reach_filter(host: HostState, case: Case) -> Reasons:
    """The source can be read from there."""
    source = case.request.source
    if not case.request.reads_source:
        return NONE
    if source.reach not in host.reaches:
        kinds = ", ".join(sorted(host.reaches)) or "nothing"
        text = f"source {source.name} has reach {source.reach}; only {kinds} can be placed here so far"
        return (Reason(code=Code.SOURCE_REACH_UNSUPPORTED, text=text),)
    if source.reach is Reach.LOCAL:
        return NONE if source.host == host.name else case.elsewhere
    return case.beside if source.host == host.name else NONE


def inputs_filter(host: HostState, case: Case) -> Reasons:
    """The backups that it reads lie there."""
    there = case.request.inputs.host
    if there in {None, host.name}:
        return NONE
    return (Reason(code=Code.BACKUP_NOT_LOCAL, text=f"the backups that it builds on are on {there}, not here"),)


def volume_filter(host: HostState, _case: Case) -> Reasons:
    """Volumes whose writes are limited can be made there."""
    return NONE if host.makes_volumes else _NO_VOLUMES


def wishes_filter(host: HostState, case: Case) -> Reasons:
    """Host, zone, device class, address pool and labels are those that were asked for."""
    wishes = case.request.wishes
    found = []
    if wishes.host not in {None, host.name}:
        found.append(Reason(code=Code.HOST_NAME, text=f"host {wishes.host} is asked for"))
    if wishes.zone not in {None, host.zone}:
        found.append(Reason(code=Code.HOST_ZONE, text=f"zone {wishes.zone} is asked for, it has {host.zone or _NO}"))
    if wishes.device_class not in {None, host.device_class}:
        text = f"device class {wishes.device_class} is asked for, it has {host.device_class or _NO}"
        found.append(Reason(code=Code.HOST_DEVICE_CLASS, text=text))
    if wishes.pool is not None and wishes.pool not in host.pools:
        has = ", ".join(sorted(host.pools)) or _NO
        found.append(Reason(code=Code.HOST_POOL, text=f"address pool {wishes.pool} is asked for, it has {has}"))
    for key, value in wishes.labels.items():
        own = host.labels.get(key)
        if own != value:
            text = f"label {key}={value} is asked for, it has {_NO if own is None else f'{key}={own}'}"
            found.append(Reason(code=Code.HOST_LABEL, text=text))
    return tuple(found) or NONE


def affinity_filter(host: HostState, case: Case) -> Reasons:
    """No other job of the same source is there, if that was asked for."""
    same = [job.name for job in host.jobs if job.source == case.request.source.name]
    if not same:
        return NONE
    text = f"{', '.join(sorted(same))} of source {case.request.source.name} is there, and --apart was asked for"
    return (Reason(code=Code.AFFINITY_SAME_SOURCE, text=text),)


def window_filter(host: HostState, case: Case) -> Reasons:
    """There is a start in the window at which reads and network of the jobs there don't exceed what it offers."""
    window = case.request.window
    if window is None or best_start(window, case.request.amounts, host, case.now) is not None:
        return NONE
    text = "no start in its window keeps reads and network of the jobs there within what the host offers"
    return (Reason(code=Code.WINDOW_NO_START, text=text),)


def cordon_filter(host: HostState, case: Case) -> Reasons:
    """No operator has closed it."""
    return case.cordons.hosts.get(host.name, NONE)


def alert_filter(host: HostState, case: Case) -> Reasons:
    """No alert closes it."""
    return case.gate.hosts.get(host.name, NONE)


def engine_filter(host: HostState, _case: Case) -> Reasons:
    """Its engine answers, and is the one that is known."""
    if isinstance(host.engine, Unknown):
        return (Reason(code=Code.ENGINE_UNREACHABLE, text=host.engine.sentence),)
    if host.known_fingerprint is None or host.known_fingerprint == host.engine.fingerprint:
        return NONE
    text = f"engine {host.engine.fingerprint} is not {host.known_fingerprint}, which runs this host's jobs"
    return (Reason(code=Code.ENGINE_UNKNOWN, text=text),)


def telemetry_filter(host: HostState, case: Case) -> Reasons:
    """Its metrics are there and fresh, and tell the use of every class that is asked for."""
    telemetry = host.telemetry
    if case.blind:
        return NONE  # it follows from that, and the gate has said so
    if telemetry is None or not telemetry.up or telemetry.age is None:
        return _NO_TELEMETRY
    found = NONE
    if telemetry.age > TELEMETRY_STALE_AFTER:
        text = f"its metrics are {telemetry.age:.0f} s old, {TELEMETRY_STALE_AFTER} s is the limit"
        found = (Reason(code=Code.TELEMETRY_STALE, text=text),)
    if telemetry.used.keys() >= case.measured:
        return found
    for key, _ in case.needed:
        if key in case.measured and key not in telemetry.used and key in host.inventory:
            text = f"{key.label}: its use is not known"
            found = (*found, Reason(code=Code.TELEMETRY_MISSING, text=text, dimension=key))
    return found


def capacity_filter(host: HostState, case: Case) -> Reasons:
    """There is room in every dimension."""
    free = host.free
    short = [(key, amount) for key, amount in case.needed if amount > free.get(key, -1)]
    return tuple([_shortage(host, key, amount) for key, amount in short]) if short else NONE


FILTERS: tuple[Filter, ...] = (
    common_filter,
    name_filter,
    reach_filter,
    inputs_filter,
    volume_filter,
    wishes_filter,
    affinity_filter,
    window_filter,
    cordon_filter,
    alert_filter,
    engine_filter,
    telemetry_filter,
)
"""All grounds but room. `capacity_filter` comes last and apart: a plan counts room for itself."""

CLOSING: tuple[Filter, ...] = (common_filter, cordon_filter, alert_filter, engine_filter, telemetry_filter)
"""Those that hold whatever is asked for."""


def _idle(request: Request, cordons: Closures, gate: Closures) -> set[Filter]:
    """Filters that no host can fail: with a thousand hosts it pays not to ask."""
    idle: dict[Filter, bool] = {
        inputs_filter: request.inputs.host is None,
        wishes_filter: request.wishes is NO_WISHES,
        affinity_filter: not request.wishes.apart,
        window_filter: request.window is None,
        cordon_filter: not cordons.hosts,
        alert_filter: not gate.hosts,
    }
    return {check for check, is_idle in idle.items() if is_idle}


def _placed_already(snapshot: Snapshot, request: Request) -> Reasons:
    holder = snapshot.names.get(request.name)
    if holder is None:
        return NONE
    return (Reason(code=Code.NAME_TAKEN, text=f"{request.name} is placed already, on {holder}"),)


def _shortage(host: HostState, key: ResourceClass, amount: int) -> Reason:
    if key in host.free:
        return capacity_reason(key, needed=amount, free=host.free[key])
    text = f"{key.label}: not counted on this host; give it in its inventory"
    return Reason(code=Code.INVENTORY_MISSING, text=text, dimension=key)


def _read_enough(snapshot: Snapshot, request: Request) -> Reasons:
    source, reading = request.source, snapshot.readers.get(request.source.name, 0)
    if source.readers is None or reading < source.readers or not request.reads_source:
        return NONE
    text = f"source {source.name} is read by {reading} jobs, {source.readers} at once is the limit"
    return (Reason(code=Code.SOURCE_READERS, text=text),)


def _pool_full(snapshot: Snapshot, request: Request) -> Reasons:
    use = snapshot.pools.get(request.wishes.pool or "")
    return NONE if use is None or use.free else (Reason(code=Code.POOL_FULL, text=use.full_text),)
