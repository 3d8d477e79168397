"""The agent as it runs: scrapes answered, outputs fed, events followed."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from collector.agent.build import build_inputs
from collector.container_labels import container_labels
from collector.inputs.internal import OutputState
from collector.outputs.prometheus import PrometheusServer
from collector.outputs.push import Pusher
from collector.outputs.settings import OutputSettings
from collector.projections.line_protocol import encode
from collector.projections.prometheus import Exposition
from collector.projections.telegraf import TelegrafProjection
from collector.settings import AgentSettings, InputSettings

if TYPE_CHECKING:
    from collector.outputs.influxdb_v2 import InfluxV2Output

BETWEEN_READINGS = 1.0  # seconds
CLOSE_DEADLINE = 5.0  # seconds that an output may take to write what is queued when the agent ends
_NANOSECONDS = 10**9


class AgentService:
    """Runs while its `with` block does.

    Raises:
        VdbmonError: code `agent.port_held`, something else listens on `[agent] listen`.
        ConfigError: an output's token file can't be used.
    """

    def __init__(self, host: str, agent: AgentSettings, inputs: InputSettings, outputs: OutputSettings) -> None:
        self._agent = agent
        self._sinks = _open_sinks(outputs)
        self._pushers = [
            Pusher(
                f"influxdb_v2:{sink.url}",
                sink.write,
                batch_size=agent.metric_batch_size,
                buffer_limit=agent.metric_buffer_limit,
            )
            for sink in self._sinks
        ]
        self._inputs = build_inputs(agent, inputs, self._output_states)
        self._label_include = inputs.docker.docker_label_include
        self._exposition = Exposition(host)
        self._projection = TelegrafProjection(host)
        self._server = PrometheusServer(agent.listen, self._scrape)
        self._stop = threading.Event()
        self._push_thread = threading.Thread(target=self._push, name="push", daemon=True)

    @property
    def url(self) -> str:
        """Where the metrics are."""
        return f"http://{self._agent.listen.rpartition(':')[0] or 'localhost'}:{self._server.port}/metrics"

    def __enter__(self) -> Self:
        """Start to follow events, to answer scrapes and to feed the outputs."""
        self._inputs.events.start()
        self._server.start()
        if self._pushers:
            for pusher in self._pushers:
                pusher.start()
            self._push_thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop answering and collecting, deliver what is queued, end the children."""
        self._stop.set()
        self._server.close()
        for pusher in self._pushers:
            pusher.close(CLOSE_DEADLINE)
        for sink in self._sinks:
            sink.close()
        self._inputs.close()

    def _scrape(self) -> bytes:
        samples = self._inputs.collector.collect().samples
        return self._exposition.render(samples, container_labels(self._inputs.index.containers, self._label_include))

    def _push(self) -> None:
        interval = self._agent.interval
        # At whole multiples of the interval, as telegraf's round_interval: series of all hosts then line up.
        while not self._stop.wait(interval - time.time() % interval):
            lines = self._collect_lines()
            for pusher in self._pushers:
                pusher.put(lines)

    def _collect_lines(self) -> list[bytes]:
        collection = self._inputs.collector.collect()
        return list(encode(self._projection.project(collection.samples, int(collection.taken_at * _NANOSECONDS))))

    def _output_states(self) -> Mapping[str, OutputState]:
        stats = {pusher.name: pusher.stats() for pusher in self._pushers}
        return {name: OutputState(now.up, now.written, now.dropped, now.queued) for name, now in stats.items()}


def _open_sinks(outputs: OutputSettings) -> list[InfluxV2Output]:
    if not outputs.influxdb_v2:
        return []
    # Only here: the client takes 15 MiB and a quarter of a second that an agent without this output can do without.
    from collector.outputs.influxdb_v2 import InfluxV2Output  # noqa: PLC0415

    return [InfluxV2Output(settings) for settings in outputs.influxdb_v2]


def collect_once(host: str, agent: AgentSettings, inputs: InputSettings) -> list[str]:
    """One collection as line protocol, for people to look at: the second of two, for what is computed from both."""
    parts = build_inputs(replace(agent, min_age=0.0), inputs, dict)
    projection = TelegrafProjection(host)
    parts.events.start()
    try:
        first = parts.collector.collect()
        projection.project(first.samples, int(first.taken_at * _NANOSECONDS))
        time.sleep(BETWEEN_READINGS)
        second = parts.collector.collect()
        points = projection.project(second.samples, int(second.taken_at * _NANOSECONDS))
    finally:
        parts.close()
    return sorted(line.decode() for line in encode(points))
