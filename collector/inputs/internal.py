"""What the agent costs and how its inputs and outputs fare (telegraf's `internal` input)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import psutil

from collector.kernelfile import SkippedLines
from collector.metrics import Sample, Unit, counter, gauge, info
from collector.procfs import count_descriptors

BUILD_INFO = info("vdbmon_build_info", "Version of the agent.", "version")
INPUT_UP = gauge("vdbmon_input_up", "1 if the input's last gathering ended in time without an error.", "input")
INPUT_DURATION = gauge(
    "vdbmon_input_duration_seconds",
    "Time of the last finished gathering, or of the one under way if that is longer.",
    "input",
    unit=Unit.SECONDS,
)
INPUT_LAST_SUCCESS = gauge(
    "vdbmon_input_last_success_timestamp_seconds",
    "When the input last ended well.",
    "input",
    unit=Unit.TIMESTAMP,
)
INPUT_SAMPLES = gauge("vdbmon_input_samples", "Samples of the last gathering.", "input")
INPUT_ERRORS = counter("vdbmon_input_errors_total", "Gatherings that failed or overran.", "input")
PARSE_ERRORS = counter("vdbmon_parse_errors_total", "Lines of kernel files that were not understood.", "input")
OUTPUT_UP = gauge("vdbmon_output_up", "1 if the output's last write was accepted.", "output")
OUTPUT_WRITTEN = counter("vdbmon_output_written_total", "Points that the far end accepted.", "output")
OUTPUT_DROPPED = counter(
    "vdbmon_output_dropped_total",
    "Points given up: overflow (the oldest, where the spool is full), disk (it takes nothing), corrupt (damaged on "
    "disk), rejected (the far end calls them bad).",
    "output",
    "cause",
)
OUTPUT_REJECTED_VALUES = counter(
    "vdbmon_output_rejected_values_total",
    "Values of accepted writes that the far end refused one by one, as Zabbix does where it has no item.",
    "output",
)
OUTPUT_QUEUED = gauge("vdbmon_output_queued", "Points that wait to be written.", "output")
OUTPUT_QUEUED_BYTES = gauge(
    "vdbmon_output_queued_bytes", "Size of the points that wait to be written.", "output", unit=Unit.BYTES
)
OUTPUT_QUEUED_AGE = gauge(
    "vdbmon_output_queued_age_seconds", "How long the oldest point has waited.", "output", unit=Unit.SECONDS
)
OUTPUT_BATCHES = counter("vdbmon_output_batches_total", "Writes that the far end accepted.", "output")
OUTPUT_ERRORS = counter("vdbmon_output_errors_total", "Writes that it did not.", "output")
OUTPUT_WRITE_SECONDS = counter(
    "vdbmon_output_write_seconds_total", "Time spent in writes, accepted or not.", "output", unit=Unit.SECONDS
)
OUTPUT_LAST_WRITE = gauge(
    "vdbmon_output_last_write_seconds", "Time that the last write took.", "output", unit=Unit.SECONDS
)
CONFIG_LOADED = gauge(
    "vdbmon_config_last_reload_successful",
    "1 if the configuration in use is that of the file as it was last read; 0 if that was bad and the old one runs on.",
)
CONFIG_LOADED_AT = gauge(
    "vdbmon_config_last_reload_success_timestamp_seconds",
    "When a good configuration was last read.",
    unit=Unit.TIMESTAMP,
)
CPU_SECONDS = counter("process_cpu_seconds_total", "CPU time of the agent.", unit=Unit.SECONDS)
RESIDENT = gauge("process_resident_memory_bytes", "Resident memory of the agent.", unit=Unit.BYTES)
OPEN_FDS = gauge("process_open_fds", "Open descriptors of the agent.")
START_TIME = gauge("process_start_time_seconds", "When the agent started.", unit=Unit.TIMESTAMP)


@dataclass(frozen=True, slots=True)
class InputState:
    """How an input fares. Times are Unix seconds; `duration` in seconds."""

    name: str
    up: bool
    duration: float
    last_success: float | None
    samples: int
    errors: int


@dataclass(frozen=True, slots=True)
class OutputState:
    """How an output fares. `written`, `dropped` (by cause) and `queued` count points; times are in seconds.

    Attributes:
        rejected_values: refused one by one in accepted writes; None where the far end takes all of a write or nothing.
    """

    up: bool
    written: int
    dropped: Mapping[str, int]
    queued: int
    queued_bytes: int
    queued_age: float
    batches: int
    errors: int
    write_seconds: float
    last_write: float
    rejected_values: int | None


@dataclass(slots=True)
class ConfigLoads:
    """How the last reading of the configuration went; `succeeded_at` is when one last went well, Unix seconds."""

    succeeded_at: float
    successful: bool = True


class InternalInput:
    """The agent about itself; it is gathered after all other inputs."""

    name = "internal"

    def __init__(
        self,
        version: str,
        inputs: Callable[[], Iterable[InputState]],
        outputs: Callable[[], Mapping[str, OutputState]],
        skipped: Mapping[str, SkippedLines],
        loaded: ConfigLoads,
    ) -> None:
        self._version = version
        self._inputs = inputs
        self._outputs = outputs
        self._skipped = skipped
        self._loaded = loaded
        self._process = psutil.Process()

    def gather(self) -> list[Sample]:
        """Cost of the process, state of every input and output."""
        return [
            BUILD_INFO.sample(1, self._version),
            CONFIG_LOADED.sample(float(self._loaded.successful)),
            CONFIG_LOADED_AT.sample(self._loaded.succeeded_at),
            *self._cost(),
            *self._input_states(),
            *self._output_states(),
        ]

    def _cost(self) -> Iterator[Sample]:
        with self._process.oneshot():
            times = self._process.cpu_times()
            yield CPU_SECONDS.sample(times.user + times.system)
            yield RESIDENT.sample(self._process.memory_info().rss)
            yield START_TIME.sample(self._process.create_time())
        # psutil lists the folder; with a thousand kept files that is most of what this input costs.
        descriptors = count_descriptors("/proc/self")
        if descriptors is not None:
            yield OPEN_FDS.sample(descriptors)

    def _input_states(self) -> Iterator[Sample]:
        for state in self._inputs():
            yield INPUT_UP.sample(float(state.up), state.name)
            yield INPUT_DURATION.sample(state.duration, state.name)
            yield INPUT_SAMPLES.sample(state.samples, state.name)
            yield INPUT_ERRORS.sample(state.errors, state.name)
            if state.last_success is not None:
                yield INPUT_LAST_SUCCESS.sample(state.last_success, state.name)
        for name, skipped in self._skipped.items():
            yield PARSE_ERRORS.sample(skipped.count, name)

    def _output_states(self) -> Iterator[Sample]:
        for name, stats in self._outputs().items():
            yield OUTPUT_UP.sample(float(stats.up), name)
            yield OUTPUT_WRITTEN.sample(stats.written, name)
            for cause, dropped in stats.dropped.items():
                yield OUTPUT_DROPPED.sample(dropped, name, cause)
            yield OUTPUT_QUEUED.sample(stats.queued, name)
            yield OUTPUT_QUEUED_BYTES.sample(stats.queued_bytes, name)
            yield OUTPUT_QUEUED_AGE.sample(stats.queued_age, name)
            yield OUTPUT_BATCHES.sample(stats.batches, name)
            yield OUTPUT_ERRORS.sample(stats.errors, name)
            yield OUTPUT_WRITE_SECONDS.sample(stats.write_seconds, name)
            yield OUTPUT_LAST_WRITE.sample(stats.last_write, name)
            if stats.rejected_values is not None:
                yield OUTPUT_REJECTED_VALUES.sample(stats.rejected_values, name)
