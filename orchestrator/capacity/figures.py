"""What every host has, gave away, uses and has left; how many more fit; how many machines the fleet saves. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from orchestrator.decision.filters import CLOSING, capacity_filter, open_case
from orchestrator.decision.packing import Item, pack
from orchestrator.decision.planning import with_job
from orchestrator.decision.reasons import Reasons
from orchestrator.decision.request import Request
from orchestrator.decision.resources import Amounts, ResourceClass
from orchestrator.decision.snapshot import HostState, Snapshot
from orchestrator.settings import Reach, SourceSettings

_NOBODY = SourceSettings(name="", reach=Reach.STREAM, address="", credentials_file=Path())


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """One resource class of a host or of the fleet, in the class's unit.

    Attributes:
        reserved: stays free for the host itself.
        sellable: what may be allocated: total - reserved, stretched by the ratio.
        allocated: given away by the ledger.
        others: what containers may take that nobody placed through vdbmon.
        used: what is really gone; None where it isn't known, and for slots.
        free: what is left; of a host below zero where it is overdrawn, of the fleet without overdrawn hosts.
    """

    total: int
    reserved: int
    sellable: int
    allocated: int
    others: int
    used: int | None
    free: int


Dimensions = Mapping[ResourceClass, Dimension]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCapacity:
    """One host.

    Attributes:
        age: of `used`, seconds; None without telemetry.
        closed: why nothing is placed there now, whatever is left.
    """

    host: str
    age: float | None
    closed: Reasons
    dimensions: Dimensions


@dataclass(frozen=True, slots=True, kw_only=True)
class Fits:
    """How many containers of one size fit on a host.

    Attributes:
        closed: why none does although there may be room.
        first: the classes that run out first.
    """

    host: str
    count: int
    closed: Reasons
    first: tuple[ResourceClass, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """How many containers of one size fit into the fleet.

    Attributes:
        first: the classes that run out first, and on how many open hosts.
    """

    needed: Amounts
    hosts: tuple[Fits, ...]
    total: int
    first: Mapping[ResourceClass, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Consolidation:
    """Machines against one instance per machine.

    Attributes:
        instances: running containers by host, placed by vdbmon or not; hosts without any are left out.
        hosts: of the fleet.
        fewest: hosts that could hold all of them by what they may take; None where some wouldn't fit anywhere.
    """

    instances: Mapping[str, int]
    hosts: int
    fewest: int | None

    @property
    def total(self) -> int:
        """Instances of the fleet, and so machines that it would take with one on each."""
        return sum(self.instances.values())

    @property
    def saved(self) -> int:
        """Machines saved against one instance per machine; idle hosts count as kept."""
        return self.total - self.hosts


def capacity(snapshot: Snapshot) -> tuple[HostCapacity, ...]:
    """All hosts, ordered by name."""
    case = open_case(snapshot, _request({}))
    return tuple(
        HostCapacity(
            host=host.name,
            age=host.telemetry.age if host.telemetry else None,
            closed=tuple(reason for check in CLOSING for reason in check(host, case)),
            dimensions={key: _dimension(host, key) for key in host.inventory},
        )
        for host in sorted(snapshot.hosts, key=attrgetter("name"))
    )


def fleet_dimensions(hosts: Iterable[HostCapacity]) -> Dimensions:
    """The sums; `used` of the hosts that it is known of."""
    found: dict[ResourceClass, Dimension] = {}
    for host in hosts:
        for key, one in host.dimensions.items():
            found[key] = _add(found[key], one) if key in found else _positive(one)
    return {key: found[key] for key in ResourceClass if key in found}


def what_if(snapshot: Snapshot, needed: Amounts) -> WhatIf:
    """How many containers fit that need so much each, and what runs out first."""
    request = _request(needed)
    case = open_case(snapshot, request)
    fits = []
    for host in sorted(snapshot.hosts, key=attrgetter("name")):
        closed = tuple(reason for check in CLOSING for reason in check(host, case))
        count, after = 0, host
        while not closed and not (short := capacity_filter(after, case)):
            count, after = count + 1, with_job(after, request, snapshot.taken_at)
        first = () if closed else tuple(reason.dimension for reason in short if reason.dimension is not None)
        fits.append(Fits(host=host.name, count=count, closed=closed, first=first))
    return WhatIf(
        needed=needed,
        hosts=tuple(fits),
        total=sum(fit.count for fit in fits),
        first=dict(Counter(key for fit in fits for key in fit.first).most_common()),
    )


def consolidation(snapshot: Snapshot) -> Consolidation:
    """What running several instances on one machine saves."""
    running = {host.name: _instances(host) for host in snapshot.hosts}
    return Consolidation(
        instances={name: len(instances) for name, instances in sorted(running.items()) if instances},
        hosts=len(snapshot.hosts),
        fewest=_fewest(snapshot.hosts, [amounts for instances in running.values() for amounts in instances]),
    )


def _instances(host: HostState) -> list[Amounts]:
    """What each running container there may take: what it was given, else its limits or its use."""
    containers = host.telemetry.containers if host.telemetry else {}
    own = {job.name for job in host.jobs}
    return [job.amounts for job in host.jobs] + [taken for name, taken in containers.items() if name not in own]


def _fewest(hosts: Sequence[HostState], instances: Sequence[Amounts]) -> int | None:
    everywhere = frozenset(range(len(hosts)))
    items = [Item(needs=tuple(amounts.get(key, 0) for key in ResourceClass), bins=everywhere) for amounts in instances]
    free = [tuple(host.sellable.get(key, 0) for key in ResourceClass) for host in hosts]
    order = sorted(everywhere, key=lambda index: (-sum(free[index]), hosts[index].name))
    bins = pack(items, free, order).bin_of
    return None if None in bins else len(set(bins))


def _dimension(host: HostState, key: ResourceClass) -> Dimension:
    row = host.inventory[key]
    return Dimension(
        total=row.total,
        reserved=row.reserved,
        sellable=row.sellable,
        allocated=host.allocated.get(key, 0),
        others=host.foreign.get(key, 0),
        used=host.telemetry.used.get(key) if host.telemetry else None,
        free=host.free[key],
    )


def _positive(one: Dimension) -> Dimension:
    return _add(Dimension(total=0, reserved=0, sellable=0, allocated=0, others=0, used=None, free=0), one)


def _add(total: Dimension, one: Dimension) -> Dimension:
    used = total.used if one.used is None else (total.used or 0) + one.used
    return Dimension(
        total=total.total + one.total,
        reserved=total.reserved + one.reserved,
        sellable=total.sellable + one.sellable,
        allocated=total.allocated + one.allocated,
        others=total.others + one.others,
        used=used,
        free=total.free + max(one.free, 0),
    )


def _request(amounts: Amounts) -> Request:
    """A request of nobody: of any source, for any host."""
    return Request(name="", request_id="", source=_NOBODY, job="", amounts=amounts)
