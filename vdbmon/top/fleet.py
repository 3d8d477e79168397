"""What is known of every agent: its last two readings, what it was last asked, and how its figures went lately."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from collector.inputs import host as host_metrics
from vdbmon.top.agents import Agent
from vdbmon.top.measure import Reading, measure, seconds_between
from vdbmon.top.rows import Figures, HostRow

HISTORY = 60  # values of a sparkline that are kept

Key = tuple[str, str | None]
"""A row: the agent's URL, and the container's name or None for the host itself."""


@dataclass(frozen=True, slots=True)
class Trend:
    """The last values of a row, oldest first; None where there was none.

    Attributes:
        cpu: share of the limit; where nothing limits, cores.
        disk: bytes read and written per second.
        network: bytes received and sent per second.
    """

    cpu: tuple[float | None, ...] = ()
    disk: tuple[float | None, ...] = ()
    network: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class HostView:
    """One agent as it is shown.

    Attributes:
        name: as it is configured, else as the agent calls its host, else the URL's address.
        row: None as long as there was no answer, and while there is a problem.
        problem: why there is no answer; empty where there is one.
        age: seconds since the last answer; None before the first.
        trends: by container, None for the host itself.
    """

    name: str
    url: str
    row: HostRow | None
    problem: str = ""
    age: float | None = None
    trends: Mapping[str | None, Trend] = field(default_factory=dict)


class Fleet:
    """Takes what the agents answer, in any order; `views` is what there is to be shown. Times are local, monotonic."""

    def __init__(self, agents: Iterable[Agent]) -> None:
        self._watches = {agent.url: _Watch(agent) for agent in agents}

    def answered(self, url: str, reading: Reading) -> None:
        """A reading has come."""
        self._watches[url].take(reading)

    def failed(self, url: str, problem: str) -> None:
        """No reading could be had."""
        self._watches[url].problem = problem

    def views(self, now: float) -> tuple[HostView, ...]:
        """All agents, in the order in which they were given."""
        return tuple(watch.view(now) for watch in self._watches.values())

    @property
    def has_rates(self) -> bool:
        """Whether every agent that answers has done so often enough for rates."""
        return all(watch.problem or watch.rated for watch in self._watches.values())


class _Watch:
    """What is known of one agent."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.problem = ""
        self.rated = False
        self._last: Reading | None = None
        self._row: HostRow | None = None
        self._answered: float | None = None
        self._history: dict[str | None, _History] = {}

    def take(self, reading: Reading) -> None:
        self.problem, self._answered = "", reading.received
        before, self._last = self._last, reading
        if before is not None and _same_collection(reading, before):
            self._last = before  # the agent gave it out twice
            return
        self.rated = seconds_between(reading, before) is not None
        self._row = measure(reading, before)
        figures: dict[str | None, Figures] = {None: self._row.figures}
        figures.update((row.name, row.figures) for row in self._row.containers)
        self._history = {key: self._history.get(key) or _History() for key in figures}
        for key, history in self._history.items():
            history.add(figures[key])

    def view(self, now: float) -> HostView:
        name = self.agent.name or (self._row.name if self._row else "") or self.agent.address
        return HostView(
            name=name,
            url=self.agent.url,
            row=None if self.problem else self._row,
            problem=self.problem,
            age=None if self._answered is None else max(now - self._answered, 0.0),
            trends={key: history.trend() for key, history in self._history.items()},
        )


class _History:
    """Values of one row."""

    def __init__(self) -> None:
        self._cpu: deque[float | None] = deque(maxlen=HISTORY)
        self._disk: deque[float | None] = deque(maxlen=HISTORY)
        self._network: deque[float | None] = deque(maxlen=HISTORY)

    def add(self, figures: Figures) -> None:
        self._cpu.append(figures.cpu.used if figures.cpu.limit is None else figures.cpu.share)
        self._disk.append(_both(figures.read.used, figures.write.used))
        self._network.append(_both(figures.received.used, figures.sent.used))

    def trend(self) -> Trend:
        return Trend(tuple(self._cpu), tuple(self._disk), tuple(self._network))


def _both(one: float | None, other: float | None) -> float | None:
    return None if one is None and other is None else (one or 0.0) + (other or 0.0)


def _same_collection(reading: Reading, before: Reading) -> bool:
    clock = reading.exposition.value(host_metrics.TIME)
    return clock is not None and clock == before.exposition.value(host_metrics.TIME)
