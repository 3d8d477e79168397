"""Plans: which hosts take a whole set of containers, and where the jobs of a host that is to be emptied could go.

A plan is made on a snapshot and changes nothing. What it gives away counts twice, as allocation and as the use that
follows (less by the ratio of a stretched class): a plan is never more generous than the placements after it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from orchestrator.backup.inputs import NO_INPUTS, JobInputs
from orchestrator.decision.decide import Decision, decide
from orchestrator.decision.filters import open_case
from orchestrator.decision.packing import Item, Vector, pack
from orchestrator.decision.request import NO_WISHES, Request, Wishes
from orchestrator.decision.resources import ResourceClass
from orchestrator.decision.scoring import Strategy, score, weigh
from orchestrator.decision.snapshot import Cordon, EngineState, HostState, PlacedJob, Snapshot
from orchestrator.decision.windows import best_start
from orchestrator.settings import SourceSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A container and its host.

    Attributes:
        start_at: seconds since the epoch; None for now.
    """

    request: Request
    host: str
    start_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What goes where.

    Attributes:
        assignments: in the order of the requests.
        refused: a decision for each of the others, made on the fleet as it would be with all assignments done.
        hosts: the fleet as it would be then.
    """

    taken_at: float
    strategy: Strategy
    assignments: tuple[Assignment, ...]
    refused: tuple[Decision, ...]
    hosts: tuple[HostState, ...]


def plan_batch(snapshot: Snapshot, requests: Sequence[Request], strategy: Strategy) -> Plan:
    """Place a set at once; their names must differ.

    `spread` looks for the best host of one request after the other, the largest first; where that leaves some without a
    host, and for `pack`, hosts are filled one after the other with what fills them best.
    """
    fleet = replace(snapshot, hosts=tuple(sorted(snapshot.hosts, key=attrgetter("name"))))
    everywhere = {request.request_id: _allowed(fleet, request) for request in requests}
    possible = [request for request in requests if everywhere[request.request_id]]
    allowed = {request.request_id: everywhere[request.request_id] for request in _within_shared(fleet, possible)}
    plans = (_packed, _spread) if strategy is Strategy.PACK else (_spread, _packed)
    best: Mapping[str, str] = {}
    for plan in plans:
        found = plan(fleet, [request for request in requests if request.request_id in allowed], allowed)
        if len(found) > len(best):
            best = found
        if len(best) == len(requests):
            break
    return _completed(fleet, requests, best, strategy)


def plan_drain(
    snapshot: Snapshot, name: str, sources: Mapping[str, SourceSettings], strategy: Strategy = Strategy.SPREAD
) -> Plan:
    """Where the jobs of a host could go; one that reads what is on that host alone can't, and the plan says so.

    A job with an address takes another one of its pool: its own rests when it is given back.

    Args:
        snapshot: of the fleet.
        name: of the host.
        sources: by name, as the settings have them.
        strategy: for the hosts that take them.
    """
    drained = next(host for host in snapshot.hosts if host.name == name)
    jobs = [job for job in drained.jobs if job.source in sources]
    moving = {job.name for job in jobs}
    requests = [
        Request(
            name=job.name,
            request_id=job.request_id,
            source=sources[job.source],
            job=job.job,
            amounts=job.amounts,
            wishes=NO_WISHES if job.pool is None else Wishes(pool=job.pool),
            inputs=JobInputs(host=name) if job.reads_backups else NO_INPUTS,
        )
        for job in jobs
    ]
    without = replace(
        snapshot,
        names={job: host for job, host in snapshot.names.items() if job not in moving},
        readers=Counter(snapshot.readers)
        - Counter(request.source.name for request in requests if request.reads_source),
        cordons=(*snapshot.cordons, Cordon(name, "this plan", "it is to be drained", None, snapshot.taken_at)),
        hosts=tuple(_without(host, moving) if host is drained else host for host in snapshot.hosts),
    )
    return plan_batch(without, requests, strategy)


def with_job(host: HostState, request: Request, begin: float) -> HostState:
    """The host as it would be with this container: its amounts count as given away and as used."""
    window = request.window
    job = PlacedJob(
        request_id=request.request_id,
        name=request.name,
        source=request.source.name,
        job=request.job,
        amounts=request.amounts,
        pool=request.wishes.pool,
        reads_backups=request.inputs.host is not None,
        window=None if window is None else (begin, begin + window.duration),
    )
    telemetry = host.telemetry
    if telemetry is not None:
        used = dict(telemetry.used)
        for key in used.keys() & request.amounts.keys() & host.inventory.keys():
            used[key] += math.ceil(request.amounts[key] / host.inventory[key].ratio)
        telemetry = replace(telemetry, used=used)
    allocated = dict(host.allocated)
    for key, amount in request.amounts.items():
        allocated[key] = allocated.get(key, 0) + amount
    return replace(host, allocated=allocated, telemetry=telemetry, jobs=(*host.jobs, job))


_Allowed = Mapping[str, frozenset[str]]


def _allowed(fleet: Snapshot, request: Request) -> frozenset[str]:
    """Hosts that nothing but room speaks against."""
    case = open_case(fleet, request)
    return frozenset(host.name for host in fleet.hosts if not any(check(host, case) for check in case.filters))


def _within_shared(fleet: Snapshot, requests: Sequence[Request]) -> list[Request]:
    """Those for which sources have readers left and pools addresses, first come first served."""
    reading = Counter(fleet.readers)
    free = {name: use.free for name, use in fleet.pools.items()}
    served = []
    for request in requests:
        source, pool = request.source, request.wishes.pool
        if source.readers is not None and request.reads_source and reading[source.name] >= source.readers:
            continue
        if pool in free:
            if not free[pool]:
                continue
            free[pool] -= 1
        reading[source.name] += request.reads_source
        served.append(request)
    return served


def _spread(fleet: Snapshot, requests: Sequence[Request], allowed: _Allowed) -> Mapping[str, str]:
    """The best host for one after the other, the largest first."""
    hosts = {host.name: host for host in fleet.hosts}
    found: dict[str, str] = {}
    for request in sorted(requests, key=_largest_first(fleet.hosts)):
        needed = request.amounts
        fitting = [hosts[name] for name in sorted(allowed[request.request_id]) if _takes(hosts[name], request)]
        if not fitting:
            continue
        weights = weigh(fitting, needed)
        best = max(fitting, key=lambda host: score(host, needed, weights, Strategy.SPREAD).value)
        hosts[best.name] = with_job(best, request, fleet.taken_at)
        found[request.request_id] = best.name
    return found


def _packed(fleet: Snapshot, requests: Sequence[Request], allowed: _Allowed) -> Mapping[str, str]:
    """Host after host is filled: those that run jobs first, then the large ones."""
    hosts = fleet.hosts
    classes = sorted({key for request in requests for key, amount in request.amounts.items() if amount > 0})
    number = {host.name: index for index, host in enumerate(hosts)}
    lonely = {request.source.name for request in requests if request.wishes.apart}
    items = [
        Item(
            needs=tuple(request.amounts.get(key, 0) for key in classes),
            bins=frozenset(
                number[name] for name in allowed[request.request_id] if _takes(hosts[number[name]], request)
            ),
            group=request.source.name if request.source.name in lonely else None,
            apart=request.wishes.apart,
        )
        for request in requests
    ]
    free: list[Vector] = [tuple(_room(host, key) for key in classes) for host in hosts]
    largest = {key: max((host.sellable.get(key, 0) for host in hosts), default=0) or 1 for key in classes}
    size = [sum(host.sellable.get(key, 0) / largest[key] for key in classes) for host in hosts]
    order = sorted(range(len(hosts)), key=lambda index: (not hosts[index].jobs, -size[index], index))
    bins = pack(items, free, order).bin_of
    return {
        request.request_id: hosts[target].name
        for request, target in zip(requests, bins, strict=True)
        if target is not None
    }


def _completed(fleet: Snapshot, requests: Sequence[Request], chosen: Mapping[str, str], strategy: Strategy) -> Plan:
    """Start times, and a last look at what has no host: it gets one after all, or every reason against each."""
    after = fleet
    assigned: dict[str, Assignment] = {}
    for request in requests:
        if request.request_id in chosen:
            after = _assign(after, request, chosen[request.request_id], assigned)
    refused = []
    for request in requests:
        if request.request_id not in assigned:
            decision = decide(after, request, strategy)
            if decision.host is None:
                refused.append(decision)
            else:
                after = _assign(after, request, decision.host, assigned)
    return Plan(
        taken_at=fleet.taken_at,
        strategy=strategy,
        assignments=tuple(assigned[item.request_id] for item in requests if item.request_id in assigned),
        refused=tuple(refused),
        hosts=after.hosts,
    )


def _assign(after: Snapshot, request: Request, name: str, assigned: dict[str, Assignment]) -> Snapshot:
    """The fleet with that container; unchanged where no start is left in its window."""
    host = next(host for host in after.hosts if host.name == name)
    start = None
    if request.window is not None:
        best = best_start(request.window, request.amounts, host, after.taken_at)
        if best is None:
            return after
        start = best.at if best.at > after.taken_at else None
    assigned[request.request_id] = Assignment(request=request, host=name, start_at=start)
    source, pool = request.source.name, after.pools.get(request.wishes.pool or "")
    return replace(
        after,
        hosts=tuple(with_job(item, request, start or after.taken_at) if item is host else item for item in after.hosts),
        names={**after.names, request.name: name},
        readers={**after.readers, source: after.readers.get(source, 0) + request.reads_source},
        pools=after.pools if pool is None else {**after.pools, pool.pool.name: replace(pool, planned=pool.planned + 1)},
    )


def _without(host: HostState, names: set[str]) -> HostState:
    """The host as if these jobs were no longer there; what they held stays given away."""
    engine = host.engine
    if isinstance(engine, EngineState):
        engine = replace(engine, containers=engine.containers - names)
    return replace(host, engine=engine, jobs=tuple(job for job in host.jobs if job.name not in names))


def _takes(host: HostState, request: Request) -> bool:
    """There is room, and no job of the same source where that matters."""
    free = host.free
    if any(amount > free.get(key, -1) for key, amount in request.amounts.items() if amount > 0):
        return False
    return not (request.wishes.apart and any(job.source == request.source.name for job in host.jobs))


def _room(host: HostState, key: ResourceClass) -> int:
    row = host.inventory.get(key)
    if row is None:
        return 0
    used = host.telemetry.used.get(key) if host.telemetry else None
    return row.room(host.allocated.get(key, 0) + host.foreign.get(key, 0), used)


def _largest_first(hosts: Sequence[HostState]) -> Callable[[Request], tuple[float, str]]:
    total: dict[ResourceClass, int] = {}
    for host in hosts:
        for key, size in host.sellable.items():
            total[key] = total.get(key, 0) + size
    return lambda request: (
        -max((amount / total[key] for key, amount in request.amounts.items() if total.get(key)), default=0.0),
        request.name,
    )
