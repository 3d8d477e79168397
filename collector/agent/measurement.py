"""What measures, with the two projections of what it measured."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from collector.agent.build import build_inputs, tags_of_inputs
from collector.agent.config import AgentConfig
from collector.container_labels import container_labels
from collector.inputs.internal import ConfigLoads, OutputState
from collector.oom import OomKills
from collector.projections.point import Point
from collector.projections.prometheus import Exposition, TextFormat
from collector.projections.telegraf import TelegrafProjection
from collector.quantities import Seconds

logger = logging.getLogger(__name__)

_NANOSECONDS = 10**9


class Measurement:
    """The inputs of one configuration; `start` follows events and fills what is read in the background.

    Args:
        outputs: tells how the outputs fare.
        oom_kills: counts that outlive the inputs.
        loaded: tells how the last reading of the configuration went.
    """

    def __init__(
        self,
        config: AgentConfig,
        outputs: Callable[[], Mapping[str, OutputState]] = dict,
        oom_kills: OomKills | None = None,
        loaded: ConfigLoads | None = None,
    ) -> None:
        tags_of = tags_of_inputs(config.inputs, config.global_tags)
        self._inputs = build_inputs(config.agent, config.inputs, outputs, oom_kills=oom_kills, loaded=loaded)
        self._label_include = config.inputs.docker.docker_label_include
        self._exposition = Exposition(config.host, tags_of)
        self._projection = TelegrafProjection(config.host, tags_of)
        self._duplicates_told = False

    @property
    def age(self) -> Seconds | None:
        """Seconds since the last collection began that has ended; None before that."""
        return self._inputs.collector.age

    def start(self) -> None:
        """Begin to follow events."""
        self._inputs.events.start()

    def collect(self) -> None:
        """Make a collection, if the last one is not young enough."""
        self._inputs.collector.collect()

    def scrape(self, text_format: TextFormat) -> bytes:
        """A collection as Prometheus or OpenMetrics text."""
        samples = self._inputs.collector.collect().samples
        labels = container_labels(self._inputs.index.containers, self._label_include)
        text = self._exposition.render(samples, labels, text_format)
        if self._exposition.duplicates and not self._duplicates_told:
            logger.warning("/metrics: %d values left out: their series have others", self._exposition.duplicates)
        self._duplicates_told = bool(self._exposition.duplicates)
        return text

    def points(self) -> list[Point]:
        """A collection as telegraf's points. For one thread at a time."""
        collection = self._inputs.collector.collect()
        return self._projection.project(
            collection.samples, int(collection.taken_at * _NANOSECONDS), collection.gathered
        )

    def close(self) -> None:
        """End the inputs and their children; a collection under way is waited for."""
        self._inputs.close()
