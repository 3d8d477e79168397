"""The push outputs of the agent: which kinds there are, and what they share."""

from __future__ import annotations

import contextlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collector.errors import ConfigError
from collector.inputs.internal import OutputState
from collector.outputs.push import Pusher
from collector.outputs.settings import OutputSettings
from collector.outputs.sink import Sink
from collector.projections.point import Point
from collector.quantities import Seconds
from collector.settings import AgentSettings

# Sinks by their section, `[[outputs.KIND]]`. Only what is configured is imported: influxdb-client takes 15 MiB and a
# quarter of a second.
SINKS: Mapping[str, str] = {
    "influxdb_v2": "collector.outputs.influxdb_v2:InfluxV2Output",
}


@dataclass(frozen=True, slots=True)
class Output:
    """One configured far end and what delivers to it."""

    sink: Sink
    pusher: Pusher


class Outputs:
    """All push outputs.

    Raises:
        ConfigError: a sink refuses its settings, or two outputs have one name.
    """

    def __init__(self, agent: AgentSettings, settings: OutputSettings) -> None:
        self._outputs: list[Output] = []
        with contextlib.ExitStack() as on_error:
            on_error.callback(self._close_sinks)
            for kind in SINKS:
                for section in getattr(settings, kind):
                    self._outputs.append(_open(kind, section, agent))
            _refuse_doubles([output.pusher.name for output in self._outputs])
            on_error.pop_all()

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._outputs)

    def start(self) -> None:
        """Begin to deliver."""
        for output in self._outputs:
            output.pusher.start()

    def put(self, points: Sequence[Point]) -> None:
        """Hand one collection to every output."""
        for output in self._outputs:
            output.pusher.put(list(output.sink.encode(points)))

    def states(self) -> dict[str, OutputState]:
        """How every output fares, by name."""
        stats = {output.pusher.name: output.pusher.stats() for output in self._outputs}
        return {name: OutputState(now.up, now.written, now.dropped, now.queued) for name, now in stats.items()}

    def close(self, deadline: Seconds) -> None:
        """Deliver what waits, for at most so many seconds per output, and close the connections."""
        for output in self._outputs:
            output.pusher.close(deadline)
        self._close_sinks()

    def _close_sinks(self) -> None:
        for output in self._outputs:
            output.sink.close()


def _open(kind: str, section: Any, agent: AgentSettings) -> Output:
    make: Callable[[Any], Sink] = pkgutil.resolve_name(SINKS[kind])
    sink = make(section)
    pusher = Pusher(
        section.alias or sink.name,
        sink.write,
        batch_size=agent.metric_batch_size,
        buffer_limit=agent.metric_buffer_limit,
    )
    return Output(sink, pusher)


def _refuse_doubles(names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ConfigError("config.double", f"two outputs are called {name!r}", "give one of them an alias")
