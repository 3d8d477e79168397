"""The agent as it runs: scrapes answered, outputs fed, events followed."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from types import TracebackType
from typing import Self

from collector.agent.build import build_inputs
from collector.agent.outputs import Outputs
from collector.container_labels import container_labels
from collector.outputs.prometheus import PrometheusServer
from collector.outputs.settings import OutputSettings
from collector.outputs.web_config import WebConfig
from collector.projections.line_protocol import encode
from collector.projections.prometheus import Exposition, TextFormat
from collector.projections.telegraf import TelegrafProjection
from collector.settings import AgentSettings, InputSettings

BETWEEN_READINGS = 1.0  # seconds
CLOSE_DEADLINE = 5.0  # seconds that an output may take to write what is queued when the agent ends
_NANOSECONDS = 10**9


class AgentService:
    """Runs while its `with` block does.

    Raises:
        VdbmonError: code `agent.port_held`, something else listens on `[agent] listen`.
        ConfigError: an output's token file or the web configuration file can't be used.
    """

    def __init__(self, host: str, agent: AgentSettings, inputs: InputSettings, outputs: OutputSettings) -> None:
        self._agent = agent
        self._outputs = Outputs(agent, outputs)
        self._inputs = build_inputs(agent, inputs, self._outputs.states)
        self._label_include = inputs.docker.docker_label_include
        self._exposition = Exposition(host)
        self._projection = TelegrafProjection(host)
        web_config = WebConfig(agent.web_config_file) if agent.web_config_file else None
        self._scheme = "https" if web_config and web_config.protection.tls else "http"
        self._server = PrometheusServer(agent.listen, self._scrape, web_config=web_config)
        self._stop = threading.Event()
        self._push_thread = threading.Thread(target=self._push, name="push", daemon=True)

    @property
    def url(self) -> str:
        """Where the metrics are."""
        return f"{self._scheme}://{self._agent.listen.rpartition(':')[0] or 'localhost'}:{self._server.port}/metrics"

    def __enter__(self) -> Self:
        """Start to follow events, to answer scrapes and to feed the outputs."""
        self._inputs.events.start()
        self._server.start()
        if self._outputs:
            self._outputs.start()
            self._push_thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop answering and collecting, deliver what is queued, end the children."""
        self._stop.set()
        self._server.close()
        self._outputs.close(CLOSE_DEADLINE)
        self._inputs.close()

    def _scrape(self, text_format: TextFormat) -> bytes:
        samples = self._inputs.collector.collect().samples
        labels = container_labels(self._inputs.index.containers, self._label_include)
        return self._exposition.render(samples, labels, text_format)

    def _push(self) -> None:
        interval = self._agent.interval
        # At whole multiples of the interval, as telegraf's round_interval: series of all hosts then line up.
        while not self._stop.wait(interval - time.time() % interval):
            collection = self._inputs.collector.collect()
            timestamp_ns = int(collection.taken_at * _NANOSECONDS)
            self._outputs.put(self._projection.project(collection.samples, timestamp_ns))


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
