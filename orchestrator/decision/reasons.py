"""Why a host is refused: a code for programs, a sentence for people, and for capacity the figures.

Codes are never renamed and never used again with another meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from orchestrator.decision.resources import ResourceClass


class Code(StrEnum):
    """All codes but `capacity.<class>`, which `capacity_reason` makes."""

    ALERT_FIRING = "alert.firing"
    ALERT_SCOPE_UNKNOWN = "alert.scope_unknown"
    PROMETHEUS_UNREACHABLE = "prometheus.unreachable"
    PROMETHEUS_WARMING_UP = "prometheus.warming_up"
    RULES_MISSING = "rules.missing"
    RULES_STALE = "rules.stale"
    RULES_FAILING = "rules.failing"
    WATCHDOG_SILENT = "watchdog.silent"
    TELEMETRY_MISSING = "telemetry.missing"
    TELEMETRY_STALE = "telemetry.stale"
    ENGINE_UNREACHABLE = "engine.unreachable"
    ENGINE_UNKNOWN = "engine.unknown"
    SOURCE_NOT_LOCAL = "source.not_local"
    SOURCE_SAME_HOST = "source.same_host"
    SOURCE_REACH_UNSUPPORTED = "source.reach_unsupported"
    VOLUME_HOST_UNSUPPORTED = "volume.host_unsupported"
    SOURCE_READERS = "source.readers"
    BACKUP_NOT_LOCAL = "backup.not_local"
    HOST_CORDONED = "host.cordoned"
    FLEET_FROZEN = "fleet.frozen"
    HOST_NAME = "host.name"
    HOST_ZONE = "host.zone"
    HOST_DEVICE_CLASS = "host.device_class"
    HOST_POOL = "host.pool"
    POOL_FULL = "pool.full"
    HOST_LABEL = "host.label"
    AFFINITY_SAME_SOURCE = "affinity.same_source"
    WINDOW_NO_START = "window.no_start"
    INVENTORY_MISSING = "inventory.missing"
    NAME_TAKEN = "name.taken"
    LESS_HEADROOM = "score.less_headroom"
    """Not a refusal: the host would do, another has more room (`spread`)."""
    MORE_HEADROOM = "score.more_headroom"
    """Not a refusal: the host would do, another is fuller (`pack`)."""
    STRANDS_MORE = "score.strands_more"
    """Not a refusal: the host would do, on another one less room is left that nothing fits into."""
    SAME_SCORE = "score.same"
    """Not a refusal: the host would do as well as the chosen one, whose name comes first."""


OVERRIDABLE = frozenset(
    {
        Code.ALERT_FIRING,
        Code.ALERT_SCOPE_UNKNOWN,
        Code.PROMETHEUS_UNREACHABLE,
        Code.PROMETHEUS_WARMING_UP,
        Code.RULES_MISSING,
        Code.RULES_STALE,
        Code.RULES_FAILING,
        Code.WATCHDOG_SILENT,
        Code.TELEMETRY_MISSING,
        Code.TELEMETRY_STALE,
        Code.HOST_CORDONED,
        Code.FLEET_FROZEN,
    }
)
"""What an operator may know better than the gate. Room, names, engines and sources nobody can argue with."""


class Reason(NamedTuple):
    """One reason against a host; a named tuple, because a fleet that is full makes thousands of them per decision.

    Attributes:
        text: the sentence; empty for a shortage, whose figures say it all.
        dimension: the resource class that runs out (`capacity.*`), is not known (`telemetry.missing`) or not counted
            (`inventory.missing`).
        free: below zero where the host is overdrawn already.
    """

    code: str
    text: str = ""
    dimension: ResourceClass | None = None
    needed: int | None = None
    free: int | None = None

    @property
    def sentence(self) -> str:
        """For people. A shortage is worded only when it is read."""
        if self.text or self.dimension is None or self.needed is None or self.free is None:
            return self.text
        needed, free, short = map(self.dimension.amount_text, (self.needed, self.free, self.needed - self.free))
        return f"{self.dimension.label}: {needed} needed, {free} free, {short} short"

    @property
    def unit(self) -> str | None:
        """Of needed, free and shortfall; None where there are none."""
        return None if self.dimension is None or self.needed is None else self.dimension.unit

    @property
    def shortfall(self) -> int | None:
        """How much more would have to be free."""
        return None if self.needed is None or self.free is None else self.needed - self.free


Reasons = tuple[Reason, ...]

NONE: Reasons = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Closures:
    """What closes hosts, whatever is asked for: `fleet` each of them, `hosts` some."""

    fleet: Reasons
    hosts: Mapping[str, Reasons]

    def against(self, host: str) -> Reasons:
        """All of it."""
        return self.fleet + self.hosts.get(host, NONE)


def capacity_reason(dimension: ResourceClass, *, needed: int, free: int) -> Reason:
    """`capacity.<dimension>`: what is needed is more than what is free."""
    return Reason(code=_CAPACITY[dimension], dimension=dimension, needed=needed, free=free)


_CAPACITY = {dimension: f"capacity.{dimension}" for dimension in ResourceClass}
