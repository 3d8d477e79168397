"""What the tasks found, for metrics and API to read: the newest of each kind, as long as it is fresh."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from collector.metrics import Sample
from collector.quantities import Seconds
from orchestrator.capacity.figures import HostCapacity
from orchestrator.capacity.forecast import History
from orchestrator.decision.addresses import PoolUse
from orchestrator.ledger import LaunchState

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetCapacity:
    """The fleet as the last survey found it.

    Attributes:
        taken_at: seconds since the epoch.
        engines: whether each host's engine answered.
        pools: how full each address pool is.
    """

    taken_at: float
    hosts: tuple[HostCapacity, ...]
    engines: Mapping[str, bool]
    pools: Mapping[str, PoolUse]


@dataclass(frozen=True, slots=True)
class Group:
    """How many there are of a kind, and since when the oldest is so; seconds since the epoch."""

    count: int
    oldest: float


LaunchGroups = Mapping[tuple[str, LaunchState], Group]
"""By host and state."""

LeakGroups = Mapping[tuple[str, str], Group]
"""By host and kind."""


class Latest(Generic[Found]):
    """One kind of finding; written by its task, read by any thread.

    Args:
        max_age: after which it says nothing any more.
    """

    def __init__(self, max_age: Seconds, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._max_age = max_age
        self._monotonic = monotonic
        self._found: tuple[float, Found] | None = None

    def put(self, found: Found) -> None:
        """This is how it is now."""
        self._found = (self._monotonic(), found)

    def get(self) -> Found | None:
        """The newest; None where it is too old, or there is none."""
        kept = self._found
        return kept[1] if kept is not None and self._monotonic() - kept[0] <= self._max_age else None


RECONCILED = ("finished", "undone", "removals", "settled", "removed")
"""What reconcile does, in the words of its `Reconciliation`."""


@dataclass(slots=True)
class Counts:
    """What only grows, since this serve got the lease.

    Attributes:
        entries: of the record, by kind.
        decisions: by outcome.
        refusals: refused requests by code.
        reconciled: by action, one of RECONCILED.
        pruned: entries of the record.
    """

    entries: Counter[str] = field(default_factory=Counter)
    decisions: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    reconciled: Counter[str] = field(default_factory=Counter)
    pruned: int = 0


class Findings:
    """All of one time of holding the lease: a task of an earlier one that wakes up late can't write here.

    Args:
        stale_after: age from which a finding of the beat is left out.
        leaks_stale_after: the same for leaks, which are looked for less often.
        history_stale_after: the same for the growth of the last weeks.
    """

    def __init__(self, *, stale_after: Seconds, leaks_stale_after: Seconds, history_stale_after: Seconds) -> None:
        self.capacity: Latest[FleetCapacity] = Latest(stale_after)
        self.launches: Latest[LaunchGroups] = Latest(stale_after)
        self.leaks: Latest[LeakGroups] = Latest(leaks_stale_after)
        self.history: Latest[History] = Latest(history_stale_after)
        self.counts = Counts()
        self._stale_after = stale_after
        self._samples: dict[str, Latest[Sequence[Sample]]] = {}

    def tell(self, task: str, samples: Sequence[Sample], *, max_age: Seconds | None = None) -> None:
        """Have these in `/metrics` until the task tells others, or is not heard of for `max_age`, else a few beats."""
        self._samples.setdefault(task, Latest(max_age or self._stale_after)).put(samples)

    def told(self) -> Iterator[Sample]:
        """What tasks have told."""
        for latest in list(self._samples.values()):
            yield from latest.get() or ()
