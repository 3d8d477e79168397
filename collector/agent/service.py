"""The agent as it runs: scrapes answered, outputs fed, the configuration replaced while it does."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Self

from collector.agent.config import AgentConfig
from collector.agent.measurement import Measurement
from collector.agent.outputs import Outputs
from collector.agent.schedule import schedule_of
from collector.errors import VdbmonError
from collector.inputs.internal import ConfigLoads
from collector.oom import OomKills
from collector.outputs.prometheus import SECTION, PrometheusServer
from collector.projections.line_protocol import encode
from collector.projections.prometheus import TextFormat
from collector.quantities import Seconds
from collector.settings import AgentSettings
from collector.web.server import parse_listen
from collector.web.web_config import WebConfig

logger = logging.getLogger(__name__)

BETWEEN_READINGS = 1.0  # seconds
CLOSE_DEADLINE = 5.0  # seconds that an output may take to write what is queued when the agent ends


class AgentService:
    """Runs while its `with` block does.

    Raises:
        VdbmonError: code `agent.port_held`, something else listens on `[agent] listen`.
        ConfigError: an output's token file or the web configuration file can't be used.
    """

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        self._oom_kills = OomKills()
        self.loaded = ConfigLoads(time.time())
        self._outputs = Outputs(config.agent, config.outputs)
        self._measurement = self._measure(config)
        self._web_config = _web_config(config.agent)
        self._server = PrometheusServer(config.agent.listen, self._scrape, web_config=self._web_config)
        self._pushing = _Pushing(config.agent, self._push)

    @property
    def url(self) -> str:
        """Where the metrics are."""
        host = self._config.agent.listen.rpartition(":")[0] or "localhost"
        scheme = "https" if self._web_config and self._web_config.protection.tls else "http"
        return f"{scheme}://{host}:{self._server.port}/metrics"

    def __enter__(self) -> Self:
        """Start to follow events, to answer scrapes and to feed the outputs."""
        self._measurement.start()
        self._server.start()
        self._outputs.start()
        self._pushing.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop answering and collecting, deliver what is queued, end the children."""
        self._pushing.stop()
        self._server.close()
        self._outputs.close(CLOSE_DEADLINE)
        self._measurement.close()

    def reload(self, config: AgentConfig) -> None:
        """Run on with another configuration: all that is new is built first, then it takes the old one's place.

        What is configured as before runs on untouched: outputs with what waits in them, inputs, the port.

        Raises:
            VdbmonError: the new configuration can't be run; the old one runs on.
        """
        self._pushing.stop()
        try:
            self._replace(config)
        finally:
            self._pushing = _Pushing(self._config.agent, self._push)
            self._pushing.start()

    def collects(self, within: Seconds) -> bool:
        """Whether a collection was made in the last seconds; makes one if none was. Hangs if collecting does."""
        measurement = self._measurement
        if measurement.age is None or measurement.age > within:
            measurement.collect()
        return measurement.age is not None and measurement.age <= within

    def _replace(self, config: AgentConfig) -> None:
        with contextlib.ExitStack() as undo:
            web_config = _web_config(config.agent)
            server = self._listen(config.agent.listen, web_config)
            if server is not None:
                undo.callback(server.close)
            measurement = None if self._config.measures_as(config) else self._measure(config)
            if measurement is not None:
                undo.callback(measurement.close)
            self._outputs.reload(config.agent, config.outputs)
            undo.pop_all()
        self._web_config = web_config
        if server is None:
            self._server.protect(web_config)
        else:
            server.start()
            self._server, server = server, self._server
            server.close()
        if measurement is not None:
            measurement.start()
            measurement.collect()  # what is read in the background is there when the first scrape asks
            self._measurement, measurement = measurement, self._measurement
            measurement.close()
        self._config = config

    def _measure(self, config: AgentConfig) -> Measurement:
        return Measurement(config, self._outputs.states, self._oom_kills, self.loaded)

    def _listen(self, listen: str, web_config: WebConfig | None) -> PrometheusServer | None:
        """A server at the new address, not yet started; None where the address stays."""
        current = self._config.agent.listen
        if listen == current:
            return None
        if parse_listen(listen, SECTION)[1] == self._server.port:
            raise VdbmonError(
                "agent.port_held",
                f"[agent] listen = {listen!r}: the running agent holds this port as {current!r}",
                "choose another port, or restart the agent",
            )
        return PrometheusServer(listen, self._scrape, web_config=web_config)

    def _scrape(self, text_format: TextFormat) -> bytes:
        return self._measurement.scrape(text_format)

    def _push(self) -> None:
        if self._outputs:
            self._outputs.put(self._measurement.points())


def _web_config(agent: AgentSettings) -> WebConfig | None:
    return WebConfig(agent.web_config_file) if agent.web_config_file else None


class _Pushing:
    """A thread that pushes at the ticks of the schedule."""

    def __init__(self, agent: AgentSettings, push: Callable[[], None]) -> None:
        self._schedule = schedule_of(agent, time.time())
        self._push = push
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="push", daemon=True)

    def start(self) -> None:
        """Begin with the next tick."""
        self._thread.start()

    def stop(self) -> None:
        """End; a push under way is waited for."""
        self._stop.set()
        self._thread.join(CLOSE_DEADLINE)

    def _run(self) -> None:
        tick, wait = self._schedule.after(None, time.time())
        while not self._stop.wait(wait):
            try:
                self._push()
            except Exception as error:  # the thread must live on
                logger.error("push failed: %r", error, exc_info=logger.isEnabledFor(logging.DEBUG))  # noqa: TRY400
            tick, wait = self._schedule.after(tick, time.time())


def collect_once(config: AgentConfig) -> list[str]:
    """One collection as line protocol, for people to look at: the second of two, for what is computed from both."""
    measurement = Measurement(replace(config, agent=replace(config.agent, min_age=0.0)))
    measurement.start()
    try:
        measurement.points()
        time.sleep(BETWEEN_READINGS)
        points = measurement.points()
    finally:
        measurement.close()
    return sorted(line.decode() for line in encode(points))
