"""The agent as it runs: scrapes answered, outputs fed, events followed."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from types import TracebackType
from typing import Self

from collector.agent.build import build_inputs
from collector.outputs.prometheus import PrometheusServer
from collector.projections.line_protocol import encode
from collector.projections.prometheus import Exposition
from collector.projections.telegraf import TelegrafProjection
from collector.settings import AgentSettings, InputSettings, OutputSettings

BETWEEN_READINGS = 1.0  # seconds


class AgentService:
    """Runs while its `with` block does.

    Raises:
        VdbmonError: code `agent.port_held`, something else listens on `[agent] listen`.
    """

    def __init__(self, host: str, agent: AgentSettings, inputs: InputSettings, outputs: OutputSettings) -> None:
        self._agent = agent
        self._outputs = outputs
        self._inputs = build_inputs(agent, inputs, dict)
        self._exposition = Exposition(host)
        self._server = PrometheusServer(agent.listen, self._scrape)
        self._stop = threading.Event()

    @property
    def url(self) -> str:
        """Where the metrics are."""
        return f"http://{self._agent.listen.rpartition(':')[0] or 'localhost'}:{self._server.port}/metrics"

    def __enter__(self) -> Self:
        """Start to follow events and to answer scrapes."""
        self._inputs.events.start()
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop answering, then end the children."""
        self._stop.set()
        self._server.close()
        self._inputs.close()

    def _scrape(self) -> bytes:
        return self._exposition.render(self._inputs.collector.collect().samples)


def collect_once(host: str, agent: AgentSettings, inputs: InputSettings) -> list[str]:
    """One collection as line protocol, for people to look at: the second of two, for what is computed from both."""
    parts = build_inputs(replace(agent, min_age=0.0), inputs, dict)
    projection = TelegrafProjection(host)
    try:
        for wait in (BETWEEN_READINGS, 0.0):
            collection = parts.collector.collect()
            points = projection.project(collection.samples, int(collection.taken_at * 1e9))
            time.sleep(wait)
    finally:
        parts.close()
    return sorted(line.decode() for line in encode(points))
