"""Which of the hosts that can take a container should: a score from what each has left, its use included.

What is left after the placement is a share per dimension, 0..1. `headroom` is the smallest of them. The rest that is
left in the other dimensions can't be given away once that one is gone: it is stranded. A mean over the dimensions,
weighted by what the request takes of what remains in the fleet, less the headroom, tells how much; only the change that
the placement makes counts, so that a host isn't blamed for what it is.

- `spread`: most headroom, less what the placement strands. Jobs keep out of each other's way.
- `pack`: least left (the weighted mean), less what it strands. Whole hosts stay free for what is large.

Equal scores go to the first name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from orchestrator.decision.resources import Amounts, ResourceClass
from orchestrator.decision.snapshot import HostState

Weights = Mapping[ResourceClass, float]


class Strategy(StrEnum):
    """What a good host is."""

    SPREAD = "spread"
    PACK = "pack"


class Score(NamedTuple):
    """A host that fits.

    Attributes:
        value: higher is better; compared within one decision only.
        headroom: share that stays free in the tightest dimension, 0..1.
        left: weighted mean of the shares that stay free, 0..1.
        stranded: how much more (above zero) or less of what is left can't be given away afterwards.
    """

    value: float
    headroom: float
    left: float
    stranded: float


def weigh(hosts: Iterable[HostState], needed: Amounts) -> Weights:
    """Demand over what remains, per dimension that is asked for; the weights add up to 1."""
    remains = dict.fromkeys((key for key, amount in needed.items() if amount > 0), 0)
    for host in hosts:
        free = host.free
        for key in remains:
            remains[key] += max(free.get(key, 0), 0)
    raw = {key: needed[key] / remaining for key, remaining in remains.items() if remaining > 0}
    total = sum(raw.values())
    return {key: value / total for key, value in raw.items()}


def score(host: HostState, needed: Amounts, weights: Weights, strategy: Strategy) -> Score:
    """The score of a host that has room for what is needed.

    What isn't asked for stays as it is: the tightest dimension afterwards is the one before, or one that was asked for.
    """
    free, sellable = host.free, host.sellable
    headroom = host.tightest
    left = taken = 0.0
    for key, weight in weights.items():
        size = sellable[key]
        after = (free[key] - needed[key]) / size
        headroom = min(after, headroom)
        left += weight * after
        taken += weight * needed[key] / size
    stranded = host.tightest - headroom - taken
    value = (headroom if strategy is Strategy.SPREAD else -left) - stranded
    return Score(value, headroom, left, stranded)
