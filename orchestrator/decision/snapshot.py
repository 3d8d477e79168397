"""What a decision is made from: frozen data, gathered once, with the age of what was measured.

Nothing here reads a clock or a socket; `orchestrator.survey.fleet` fills it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from types import MappingProxyType

from orchestrator.decision.addresses import PoolUse
from orchestrator.decision.resources import Amounts, InventoryRows, ResourceClass, no_amounts
from orchestrator.settings import Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class GateAlert:
    """An alert with `gate: place`, as Prometheus has it.

    Attributes:
        host: its `host` label; None without one.
        fleet: it carries `scope: fleet`.
        firing: else pending.
    """

    name: str
    host: str | None
    fleet: bool
    firing: bool
    summary: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateGroup:
    """A rule group that holds gate rules or the Watchdog.

    Attributes:
        evaluated_at: Prometheus's clock, seconds; None before the first evaluation.
        interval: between two evaluations, seconds.
        failing: names of its gate rules whose last evaluation failed.
    """

    name: str
    evaluated_at: float | None
    interval: float
    failing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReading:
    """What Prometheus said. All times are its own clock, so that two clocks that disagree cost nothing."""

    now: float
    started_at: float
    groups: tuple[GateGroup, ...]
    gate_rules: int
    watchdog_firing: bool
    alerts: tuple[GateAlert, ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """Something did not answer; the sentence says what was asked, and what came instead."""

    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """What the agent of a host reports.

    Attributes:
        up: Prometheus's last scrape of it was good.
        age: of the oldest collection that `used` is built on, seconds; None if it has none.
        used: per class; a class that is absent is unknown.
        containers: what each running container may take, by its name: its limit where it has one, else its use.
    """

    up: bool
    age: float | None
    used: Amounts = field(default_factory=no_amounts)
    containers: Mapping[str, Amounts] = field(default_factory=lambda: MappingProxyType({}))


NO_TELEMETRY = Telemetry(up=False, age=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineState:
    """An engine that answered the scheduler's own probe.

    Attributes:
        fingerprint: the engine's id.
        containers: names of all its containers, stopped ones too.
        data_root: its folder on its host, where its volumes lie; None where it didn't say.
    """

    fingerprint: str
    containers: frozenset[str] = frozenset()
    data_root: PurePosixPath | None = None


@dataclass(frozen=True, slots=True)
class Cordon:
    """An operator's word that nothing is to be placed.

    Attributes:
        host: None for the whole fleet (a freeze).
        until: seconds since the epoch; None until it is taken back.
        since: seconds since the epoch.
    """

    host: str | None
    who: str
    why: str
    until: float | None
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedJob:
    """A live job of the ledger.

    Attributes:
        pool: that its address is of; None without one.
        reads_backups: that lie on its host.
        window: when it is expected to run (start, end; seconds since the epoch); None for now and without an end.
    """

    request_id: str
    name: str
    source: str
    job: str
    amounts: Amounts
    pool: str | None = None
    reads_backups: bool = False
    window: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostState:
    """One host.

    Attributes:
        inventory: what it offers.
        allocated: what the ledger has given away.
        generation: of the host's ledger row; an allocation fails if it moved.
        engine: its answer to the probe.
        known_fingerprint: the engine that its live launches run on; None while it has none.
        telemetry: None where nobody could be asked (the gate says so then).
        makes_volumes: volumes whose writes are limited can be made there.
        reaches: the kinds of sources that a job there can read.
        jobs: the ledger's live jobs there.
        foreign: what containers may take that nobody placed through vdbmon.
        free: what is left of every class of the inventory, by allocation alone where use is not known; below zero
            where the host is overdrawn.
        sellable: what could be allocated there if it were empty.
        tightest: the smallest share that is free of any class, 0..1; below zero where the host is overdrawn.
    """

    name: str
    inventory: InventoryRows
    allocated: Amounts = field(default_factory=no_amounts)
    generation: int = 0
    engine: EngineState | Unknown
    known_fingerprint: str | None = None
    telemetry: Telemetry | None
    makes_volumes: bool = True
    reaches: frozenset[Reach] = frozenset(Reach)
    zone: str | None = None
    device_class: str | None = None
    pools: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    jobs: tuple[PlacedJob, ...] = ()
    foreign: Amounts = field(init=False, repr=False, compare=False)
    free: Amounts = field(init=False, repr=False, compare=False)
    sellable: Amounts = field(init=False, repr=False, compare=False)
    tightest: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        used = self.telemetry.used if self.telemetry else {}
        foreign = self._foreign()
        free = {
            key: row.free(self.allocated.get(key, 0) + foreign.get(key, 0), used.get(key))
            for key, row in self.inventory.items()
        }
        sellable = {key: row.sellable for key, row in self.inventory.items()}
        shares = (free[key] / size for key, size in sellable.items() if size > 0)
        object.__setattr__(self, "foreign", foreign)
        object.__setattr__(self, "free", free)
        object.__setattr__(self, "sellable", sellable)
        object.__setattr__(self, "tightest", min(shares, default=0.0))

    def _foreign(self) -> Amounts:
        containers = self.telemetry.containers if self.telemetry else {}
        own = {job.name for job in self.jobs}
        total: dict[ResourceClass, int] = {}
        for name, amounts in containers.items():
            if name not in own:
                for key, amount in amounts.items():
                    total[key] = total.get(key, 0) + amount
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The fleet at one moment.

    Attributes:
        taken_at: seconds since the epoch, the scheduler's clock.
        names: hosts by the names of the ledger's live launches.
        cordons: what operators closed; those that are over may be among them.
        readers: live jobs that read a source, by its name.
        source_generations: by source; an allocation fails if it moved.
        pools: how full the address pools are, by name.
    """

    taken_at: float
    hosts: tuple[HostState, ...]
    gate: GateReading | Unknown
    names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    cordons: tuple[Cordon, ...] = ()
    readers: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    source_generations: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    pools: Mapping[str, PoolUse] = field(default_factory=lambda: MappingProxyType({}))

    def host(self, name: str) -> HostState:
        """The host of that name."""
        return next(host for host in self.hosts if host.name == name)
