"""What `top` shows of hosts and containers: frozen figures, each with its limit where there is one.

Units: cores, bytes, bytes per second; shares are 0..1. None is what isn't known: a rate before the second reading, or
after a counter began anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Use:
    """How much is used, and how much may be; `limit` is None where nothing limits."""

    used: float | None = None
    limit: float | None = None

    @property
    def share(self) -> float | None:
        """Used of the limit."""
        return None if self.used is None or not self.limit else self.used / self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The columns that hosts and containers have in common.

    Attributes:
        cpu: cores; a container's limit is its quota, a host's the number of its CPUs.
        memory: bytes; a container's working set, what a host has not available.
        read: bytes per second of the block device nearest its limit; without limits of the busiest.
        write: likewise.
        received: bytes per second; of a host its busiest interface, of a container all of its own.
        sent: likewise.
        throttled: share of CFS periods in which the CPU quota ran out; None for hosts.
    """

    cpu: Use = Use()
    memory: Use = Use()
    read: Use = Use()
    write: Use = Use()
    received: Use = Use()
    sent: Use = Use()
    throttled: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Processes inside a container that are of one kind; `cpu` in cores."""

    name: str
    processes: int
    cpu: float | None


@dataclass(frozen=True, slots=True)
class ContainerRow:
    """A running container."""

    name: str
    image: str
    figures: Figures
    groups: tuple[Group, ...] = ()


@dataclass(frozen=True, slots=True)
class HostRow:
    """A host as its agent tells it; `warnings` are sentences of a few words, the gravest first."""

    name: str
    figures: Figures
    containers: tuple[ContainerRow, ...] = ()
    warnings: tuple[str, ...] = ()


def nearest_limit(uses: Iterable[Use]) -> Use:
    """Of several devices the one that is nearest its limit; where none is limited and used, the busiest."""
    return max(uses, key=lambda use: (use.share or 0.0, use.used or 0.0), default=Use())
