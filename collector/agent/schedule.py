"""When the push outputs get a collection: telegraf's interval, round_interval, collection_offset, collection_jitter."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from collector.quantities import Seconds
from collector.settings import AgentSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The moments of collections; times are Unix seconds.

    Attributes:
        interval: from one to the next.
        anchor: they are whole intervals away from it; 0 for multiples of the interval, so that hosts line up.
        offset: added to each.
        jitter: up to so much is added to each by chance.
    """

    interval: Seconds
    anchor: float = 0.0
    offset: Seconds = 0.0
    jitter: Seconds = 0.0
    chance: Callable[[], float] = random.random

    def after(self, last: float | None, now: float) -> tuple[float, Seconds]:
        """The tick that comes next, and how long to wait from now on; `last` is the tick before, None for none.

        A wait that ends a little early, as where a clock is slewed, does not bring the same tick again. A clock that
        was set back begins anew.
        """
        start = self.anchor + self.offset
        tick = start + (math.floor((now - start) / self.interval) + 1) * self.interval
        if last is not None and abs(tick - last) < self.interval / 2:
            tick = last + self.interval
        return tick, tick - now + self.chance() * self.jitter


def schedule_of(agent: AgentSettings, now: float) -> Schedule:
    """The schedule of the settings; one that isn't rounded begins now."""
    return Schedule(
        interval=agent.interval,
        anchor=0.0 if agent.round_interval else now,
        offset=agent.collection_offset,
        jitter=agent.collection_jitter,
    )
