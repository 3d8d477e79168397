"""The push outputs of the agent: which kinds there are, and what they share."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import pkgutil
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from collector.clock import Clock
from collector.errors import ConfigError
from collector.filters import PointFilter, compile_filter
from collector.inputs.internal import OutputState
from collector.outputs.push import Flush, Pusher
from collector.outputs.settings import OutputSettings, PushSettings
from collector.outputs.sink import RefusesValues, Sink
from collector.outputs.spool import Spool
from collector.projections.point import Point
from collector.quantities import Bytes, Seconds
from collector.settings import AgentSettings

logger = logging.getLogger(__name__)

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
_NAME_CHARACTERS = 60
_DIGEST_CHARACTERS = 8
HANDOVER_DEADLINE = 1.0  # seconds for an output that ends at a reload: what it can't write stays in the spool

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
class _Plan:
    """What an output is to be, the agent's defaults filled in. Of equal plans one output is as good as another.

    Attributes:
        secrets: which versions of the secrets' files it has.
    """

    kind: str
    section: PushSettings
    directory: Path
    disk_limit: Bytes
    record_limit: int | None
    flush: Flush
    secrets: tuple[tuple[int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Output:
    """One configured far end and what delivers to it."""

    plan: _Plan
    sink: Sink
    pusher: Pusher
    choose: PointFilter | None

    def put(self, points: Sequence[Point]) -> None:
        """Spool those that pass the filter, as the far end wants them."""
        chosen = points if self.choose is None else self.choose(points)
        self.pusher.put(list(self.sink.encode(chosen)))

    def close(self, deadline: Seconds) -> None:
        """Deliver what waits, for at most so many seconds, and close the connections."""
        self.pusher.close(deadline)
        self.sink.close()


class Outputs:
    """All push outputs.

    Raises:
        ConfigError: a sink refuses its settings, or two outputs have one name.
        VdbmonError: code `output.spool_held`, another agent uses the same folder.
    """

    def __init__(self, agent: AgentSettings, settings: OutputSettings, clock: Clock = time.time) -> None:
        self._clock = clock
        self._outputs: list[Output] = []
        self._take_over(agent, settings)

    def reload(self, agent: AgentSettings, settings: OutputSettings) -> None:
        """Run on with other settings; `put` must not be called meanwhile.

        An output that is set as before runs on. One that is gone, or set otherwise, writes what it can at once and
        leaves the rest in its spool, which the next output of that name takes over.

        Raises:
            ConfigError, VdbmonError: as when it is made; nothing has changed then.
        """
        for output in self._take_over(agent, settings):
            output.pusher.start()

    def _take_over(self, agent: AgentSettings, settings: OutputSettings) -> list[Output]:
        """Close what isn't wanted any more and open what is new; gives the new ones."""
        ended, kept, sinks = list(self._outputs), [], []
        with contextlib.ExitStack() as undo:
            for plan in _plans(agent, settings):
                same = next((output for output in ended if output.plan == plan), None)
                if same is not None:
                    ended.remove(same)
                    kept.append(same)
                else:
                    sinks.append((plan, undo.enter_context(contextlib.closing(_sink(plan)))))
            _refuse_doubles([output.pusher.name for output in kept], [_name(plan, sink) for plan, sink in sinks])
            held = {_folder(output.plan, output.sink) for output in ended}
            spools: dict[Path, Spool] = {}
            for plan, sink in sinks:
                folder = _folder(plan, sink)
                if folder not in held:
                    spools[folder] = undo.enter_context(contextlib.closing(self._spool(plan, folder)))
            undo.pop_all()
        self._outputs = kept
        for output in ended:
            output.close(HANDOVER_DEADLINE)
        opened = []
        for plan, sink in sinks:
            folder = _folder(plan, sink)
            spool = spools.get(folder) or self._spool(plan, folder)
            pusher = Pusher(_name(plan, sink), sink.write, spool, plan.flush)
            opened.append(Output(plan, sink, pusher, compile_filter(plan.section)))
        self._outputs = [*kept, *opened]
        _report_strangers(agent.buffer_directory, self._outputs)
        return opened

    def _spool(self, plan: _Plan, folder: Path) -> Spool:
        return Spool(folder, limit=plan.disk_limit, record_limit=plan.record_limit, clock=self._clock)

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
            output.put(points)

    def states(self) -> dict[str, OutputState]:
        """How every output fares, by name."""
        now = self._clock()
        return {output.pusher.name: _state(output, now) for output in self._outputs}

    def close(self, deadline: Seconds) -> None:
        """Deliver what waits, for at most so many seconds per output, and close the connections."""
        for output in self._outputs:
            output.close(deadline)


def _plans(agent: AgentSettings, settings: OutputSettings) -> Iterator[_Plan]:
    for kind in SINKS:
        for section in getattr(settings, kind):
            yield _Plan(
                kind=kind,
                section=section,
                directory=agent.buffer_directory,
                disk_limit=section.buffer_disk_limit or agent.buffer_disk_limit,
                record_limit=section.metric_buffer_limit or agent.metric_buffer_limit,
                flush=Flush(
                    batch_size=section.metric_batch_size or agent.metric_batch_size,
                    interval=section.flush_interval or agent.flush_interval,
                    jitter=agent.flush_jitter if section.flush_jitter is None else section.flush_jitter,
                ),
                secrets=tuple(_version(path) for path in _secret_files(section)),
            )


def _secret_files(section: PushSettings) -> Iterator[Path]:
    """Tokens, passwords, keys and certificates: all that a section names as a path."""
    named = (getattr(section, item.name) for item in fields(section))
    return (path for path in named if isinstance(path, Path))


def _version(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None  # whoever needs it says so
    return found.st_ino, found.st_mtime_ns


def _sink(plan: _Plan) -> Sink:
    make: Callable[[PushSettings], Sink] = pkgutil.resolve_name(SINKS[plan.kind])
    return make(plan.section)


def _name(plan: _Plan, sink: Sink) -> str:
    return plan.section.alias or sink.name


def _folder(plan: _Plan, sink: Sink) -> Path:
    return plan.directory / spool_folder(_name(plan, sink))


def _refuse_doubles(*names: Iterable[str]) -> None:
    for name, count in Counter(itertools.chain(*names)).items():
        if count > 1:
            raise ConfigError("config.double", f"two outputs are called {name!r}", "give one of them an alias")


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
