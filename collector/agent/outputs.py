"""The push outputs of the agent: which kinds there are, and what they share."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import pkgutil
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from collector.errors import ConfigError
from collector.inputs.internal import OutputState
from collector.outputs.push import Flush, Pusher
from collector.outputs.settings import OutputSettings, PushSettings
from collector.outputs.sink import RefusesValues, Sink
from collector.outputs.spool import Spool
from collector.projections.point import Point
from collector.quantities import Seconds
from collector.settings import AgentSettings

logger = logging.getLogger(__name__)

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
_NAME_CHARACTERS = 60
_DIGEST_CHARACTERS = 8

# Sinks by their section, `[[outputs.KIND]]`. Only what is configured is imported: influxdb-client takes 15 MiB and a
# quarter of a second.
SINKS: Mapping[str, str] = {
    "influxdb_v2": "collector.outputs.influxdb_v2:InfluxV2Output",
    "influxdb": "collector.outputs.influxdb:InfluxOutput",
    "file": "collector.outputs.file:FileOutput",
    "graphite": "collector.outputs.graphite:GraphiteOutput",
    "opentsdb": "collector.outputs.opentsdb:OpenTsdbOutput",
    "zabbix": "collector.outputs.zabbix:ZabbixOutput",
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
        VdbmonError: code `output.spool_held`, another agent uses the same folder.
    """

    def __init__(self, agent: AgentSettings, settings: OutputSettings, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._outputs: list[Output] = []
        with contextlib.ExitStack() as on_error:
            on_error.callback(self.close, 0.0)
            for kind in SINKS:
                for section in getattr(settings, kind):
                    self._outputs.append(self._open(kind, section, agent))
            on_error.pop_all()
        _report_strangers(agent.buffer_directory, self._outputs)

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
        now = self._clock()
        return {output.pusher.name: _state(output, now) for output in self._outputs}

    def close(self, deadline: Seconds) -> None:
        """Deliver what waits, for at most so many seconds per output, and close the connections."""
        for output in self._outputs:
            output.pusher.close(deadline)
            output.sink.close()

    def _open(self, kind: str, section: PushSettings, agent: AgentSettings) -> Output:
        make: Callable[[PushSettings], Sink] = pkgutil.resolve_name(SINKS[kind])
        sink = make(section)
        name = section.alias or sink.name
        if any(output.pusher.name == name for output in self._outputs):
            sink.close()
            raise ConfigError("config.double", f"two outputs are called {name!r}", "give one of them an alias")
        spool = Spool(
            agent.buffer_directory / spool_folder(name),
            limit=section.buffer_disk_limit or agent.buffer_disk_limit,
            record_limit=section.metric_buffer_limit or agent.metric_buffer_limit,
            clock=self._clock,
        )
        flush = Flush(
            batch_size=section.metric_batch_size or agent.metric_batch_size,
            interval=section.flush_interval or agent.flush_interval,
            jitter=section.flush_jitter or agent.flush_jitter or 0.0,
        )
        return Output(sink, Pusher(name, sink.write, spool, flush))


def spool_folder(name: str) -> str:
    """An output's folder: its name as far as a file system takes it, and a digest that tells any two apart."""
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    return f"{_UNFIT.sub('-', name)[:_NAME_CHARACTERS].strip('-.')}-{digest}"


def _report_strangers(directory: Path, outputs: Sequence[Output]) -> None:
    """Say which folders belong to no output, as after a change of an address: nothing delivers what waits there."""
    ours = {spool_folder(output.pusher.name) for output in outputs}
    with contextlib.suppress(OSError):
        for folder in sorted(directory.iterdir()):
            if folder.name not in ours and any(folder.glob("*.seg")):
                logger.warning("spool %s belongs to no output; delete it if nobody misses what waits there", folder)


def _state(output: Output, now: float) -> OutputState:
    stats = output.pusher.stats()
    waiting = stats.waiting
    return OutputState(
        up=stats.up,
        written=stats.written,
        dropped={str(cause): count for cause, count in waiting.dropped.items()},
        queued=waiting.records,
        queued_bytes=waiting.size,
        queued_age=max(now - waiting.oldest, 0.0) if waiting.oldest is not None else 0.0,
        batches=stats.batches,
        errors=stats.errors,
        write_seconds=stats.write_seconds,
        last_write=stats.last_write,
        rejected_values=output.sink.rejected if isinstance(output.sink, RefusesValues) else None,
    )
