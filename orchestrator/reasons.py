"""Why a host is refused: a code for programs, a sentence for people, and for capacity the figures.

Codes are never renamed and never used again with another meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from orchestrator.resources import ResourceClass


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
    SOURCE_REACH_UNSUPPORTED = "source.reach_unsupported"
    VOLUME_HOST_UNSUPPORTED = "volume.host_unsupported"
    NAME_TAKEN = "name.taken"
    LESS_HEADROOM = "score.less_headroom"
    """Not a refusal: the host would do, another has more room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One reason against a host.

    Attributes:
        dimension: the resource class that runs out (`capacity.*`) or isn't known (`telemetry.missing`).
        unit: of needed, free and shortfall.
        free: below zero where the host is overdrawn already.
    """

    code: str
    sentence: str
    dimension: ResourceClass | None = None
    unit: str | None = None
    needed: int | None = None
    free: int | None = None
    shortfall: int | None = None


def capacity_reason(dimension: ResourceClass, *, needed: int, free: int) -> Reason:
    """`capacity.<dimension>`: what is needed is more than what is free."""
    shortfall = needed - free
    return Reason(
        code=f"capacity.{dimension}",
        sentence=(
            f"{dimension.label}: {dimension.amount_text(needed)} needed, {dimension.amount_text(free)} free, "
            f"{dimension.amount_text(shortfall)} short"
        ),
        dimension=dimension,
        unit=dimension.unit,
        needed=needed,
        free=free,
        shortfall=shortfall,
    )
