"""What a decision is made from: frozen data, gathered once, with the age of what was measured.

Nothing here reads a clock or a socket; `orchestrator.survey` fills it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from orchestrator.resources import Amounts, InventoryRows, no_amounts
from orchestrator.settings import SourceSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One container that somebody wants.

    Attributes:
        name: of the container.
        request_id: the identity of this attempt; names can come again, ids can't.
        amounts: what it needs, per class.
    """

    name: str
    request_id: str
    source: SourceSettings
    job: str
    amounts: Amounts


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
    """

    up: bool
    age: float | None
    used: Amounts = field(default_factory=no_amounts)


NO_TELEMETRY = Telemetry(up=False, age=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineState:
    """An engine that answered the scheduler's own probe.

    Attributes:
        fingerprint: the engine's id.
        containers: names of all its containers, stopped ones too.
    """

    fingerprint: str
    containers: frozenset[str] = frozenset()


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
        makes_volumes: sized volumes can be made there.
    """

    name: str
    inventory: InventoryRows
    allocated: Amounts = field(default_factory=no_amounts)
    generation: int = 0
    engine: EngineState | Unknown
    known_fingerprint: str | None = None
    telemetry: Telemetry | None
    makes_volumes: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The fleet at one moment.

    Attributes:
        taken_at: seconds since the epoch, the scheduler's clock.
        names: hosts by the names of the ledger's live launches.
    """

    taken_at: float
    hosts: tuple[HostState, ...]
    gate: GateReading | Unknown
    names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
