"""Commands whose output is metrics: any script, or an external plugin of telegraf, can feed the agent.

Words and meaning are those of telegraf's inputs.exec: `commands`, `timeout`, `data_format` (`influx` or `prometheus`),
`name_prefix`, `interval`. What commands print is the one thing that inputs emit undeclared; `collector.foreign` says
within which bounds.

Each command runs in the background, one at a time, without a shell, in a process group that is killed as a whole at its
deadline. A run that fails, or ends with another status than 0, has no samples; the last line of its standard error goes
to the log.
"""

from __future__ import annotations

import logging
import math
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from collector.background import Background
from collector.clock import Clock
from collector.command import CommandError, run_command
from collector.errors import ConfigError
from collector.exposition_text import complete_text_lines, parse_counter_types, parse_line
from collector.filters import Passes, compile_selector
from collector.foreign import ForeignMetrics, ForeignValue, values_of_point
from collector.influx_lines import parse_line as parse_influx_line
from collector.metrics import Kind, Sample, Unit, gauge
from collector.settings import DataFormat, ExecSettings

log = logging.getLogger(__name__)

UP = gauge("vdbmon_exec_up", "1 if the command's last run ended well and in time.", "command")
DURATION = gauge("vdbmon_exec_duration_seconds", "Time of the last run.", "command", unit=Unit.SECONDS)
LAST_SUCCESS = gauge(
    "vdbmon_exec_last_success_timestamp_seconds", "End of the last good run.", "command", unit=Unit.TIMESTAMP
)
REFUSED = gauge(
    "vdbmon_exec_values_refused", "Lines and values of the last run that were not taken.", "command", "reason"
)
CLASHES = gauge("vdbmon_exec_clashes", "Values of all commands for a series that another value has.")

MAX_OUTPUT = 1 << 20  # bytes
MAX_LINE = 64 * 1024  # characters
MAX_VALUES = 1000  # of one command
_GRACE = 5.0  # seconds beyond the deadline after which a run counts as stuck in the kernel


@dataclass(frozen=True, slots=True)
class Command:
    """One command of the settings; `name` is what labels its series, `timeout` and `interval` are in seconds.

    `tags` are added to what it prints, and `passes` says which of its values there are; None for all.
    """

    name: str
    arguments: tuple[str, ...]
    data_format: DataFormat
    timeout: float
    interval: float
    name_prefix: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    passes: Passes | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """How a run ended, and what it printed."""

    ok: bool
    values: tuple[ForeignValue, ...] = ()
    refused: Mapping[str, int] = field(default_factory=dict)


def commands_of(settings: Iterable[ExecSettings]) -> list[Command]:
    """The commands of all `[[inputs.exec]]`; of several with one name the second is called `name:2`.

    Raises:
        ConfigError: a command is empty, or has quotes that don't close.
    """
    commands: list[Command] = []
    names: Counter[str] = Counter()
    for section in settings:
        for given in section.commands:
            arguments = _split(given)
            name = section.alias or Path(arguments[0]).name
            names[name] += 1
            commands.append(
                Command(
                    name=name if names[name] == 1 else f"{name}:{names[name]}",
                    arguments=arguments,
                    data_format=section.data_format,
                    timeout=section.timeout,
                    interval=section.interval,
                    name_prefix=section.name_prefix,
                    tags=section.tags,
                    passes=compile_selector(section),
                )
            )
    return commands


def _split(command: str | tuple[str, ...]) -> tuple[str, ...]:
    try:
        arguments = tuple(shlex.split(command)) if isinstance(command, str) else command
    except ValueError as error:
        raise ConfigError("config.exec", f"inputs.exec: {command!r}: {error}", "close the quotes") from error
    if not arguments or not arguments[0]:
        raise ConfigError("config.exec", f"inputs.exec: {command!r} names no program", "write program and arguments")
    return arguments


def parse_output(text: str, data_format: DataFormat, prefix: str = "") -> tuple[list[ForeignValue], Counter[str]]:
    """The values of a command's output, and why others were left out."""
    lines, _ = complete_text_lines(text + "\n")
    parse = _influx_values if data_format is DataFormat.INFLUX else _prometheus_values
    refused = Counter({"malformed": sum(len(line) > MAX_LINE for line in lines)})
    values: list[ForeignValue] = []
    for value in parse([line for line in lines if len(line) <= MAX_LINE], prefix, refused):
        if not math.isfinite(value.value):
            refused["not_finite"] += 1
        elif len(values) == MAX_VALUES:
            refused["too_many"] += 1
        else:
            values.append(value)
    return values, +refused


def _prometheus_values(lines: list[str], prefix: str, refused: Counter[str]) -> Iterator[ForeignValue]:
    counters = set(parse_counter_types(lines))
    for line in lines:
        if not line.startswith("#"):
            row = parse_line(line)
            if row is None:
                refused["malformed"] += 1
            else:
                kind = Kind.COUNTER if row.name in counters else Kind.GAUGE
                yield ForeignValue(prefix + row.name, row.labels, row.value, kind)


def _influx_values(lines: list[str], prefix: str, refused: Counter[str]) -> Iterator[ForeignValue]:
    for line in lines:
        if not line.startswith("#"):
            point = parse_influx_line(line)
            if point is None:
                refused["malformed"] += 1
            else:
                values, others = values_of_point(point, prefix)
                refused["not_a_number"] += others
                yield from values


def run_of(output: bytes, command: Command, foreign: ForeignMetrics) -> Run:
    """A run that ended well, out of what the command wrote."""
    values, refused = parse_output(output.decode(errors="replace"), command.data_format, command.name_prefix)
    allowed = []
    for value in values:
        reason = foreign.refusal(value)
        if reason is not None:
            refused[reason] += 1
        elif _passes(command, value):
            allowed.append(replace(value, labels={**command.tags, **value.labels}))
    return Run(ok=True, values=tuple(allowed), refused=refused)


def _passes(command: Command, value: ForeignValue) -> bool:
    names = (value.name, value.measurement or "prometheus")
    fields = (value.name, value.field or value.name)
    return command.passes is None or command.passes(names, tuple(value.labels.items()), fields)


class _Runner:
    """Runs one command in the background."""

    def __init__(self, command: Command, foreign: ForeignMetrics, clock: Clock) -> None:
        self.command = command
        self._foreign = foreign
        self._clock = clock
        self._runs = Background(f"exec-{command.name}", command.interval, self._run, clock)
        self._last_success: float | None = None
        self._said = ""

    def values(self) -> Sequence[ForeignValue]:
        """What the last run printed; nothing of a command that failed, or hangs beyond its deadline."""
        self._runs.start_if_due()
        run = self._runs.result
        return () if run is None or self._stuck else run.values

    def samples(self) -> Iterator[Sample]:
        """How the command fares."""
        name, run = self.command.name, self._runs.result
        if run is not None or self._stuck:
            yield UP.sample(float(run is not None and run.ok and not self._stuck), name)
        if run is not None:
            yield DURATION.sample(max(self._runs.duration or 0.0, self._runs.running_for), name)
            for reason, count in run.refused.items():
                yield REFUSED.sample(count, name, reason)
        if self._last_success is not None:
            yield LAST_SUCCESS.sample(self._last_success, name)

    @property
    def _stuck(self) -> bool:
        return self._runs.running_for > self.command.timeout + _GRACE

    def _run(self) -> Run:
        try:
            result = run_command(self.command.arguments, timeout=self.command.timeout, max_output=MAX_OUTPUT)
        except CommandError as error:
            return self._failed(str(error))
        if result.status:
            return self._failed(f"exit status {result.status}: {result.message or 'no message'}")
        self._said = ""
        self._last_success = self._clock()
        return run_of(result.output, self.command, self._foreign)

    def _failed(self, message: str) -> Run:
        if message != self._said:  # once, not at every run
            log.warning("exec %s: %s", self.command.name, message)
        self._said = message
        return Run(ok=False)


class ExecInput:
    """Runs the commands of the settings and passes on what they print."""

    name = "exec"

    def __init__(self, commands: Iterable[Command], foreign: ForeignMetrics, clock: Clock) -> None:
        self._foreign = foreign
        self._runners = [_Runner(command, foreign, clock) for command in commands]

    def gather(self) -> list[Sample]:
        """What the last run of each command printed, and how it went."""
        values = [value for runner in self._runners for value in runner.values()]
        samples, clashes = self._foreign.samples(values)
        for runner in self._runners:
            samples.extend(runner.samples())
        if self._runners:
            samples.append(CLASHES.sample(clashes))
        return samples
