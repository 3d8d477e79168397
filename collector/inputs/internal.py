"""What the agent costs and how its inputs and outputs fare (telegraf's `internal` input)."""

from __future__ import annotations

from collector.metrics import Unit, counter, gauge, info

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
OUTPUT_WRITTEN = counter("vdbmon_output_written_total", "Samples that the far end accepted.", "output")
OUTPUT_DROPPED = counter("vdbmon_output_dropped_total", "Samples given up, the oldest first.", "output")
OUTPUT_QUEUED = gauge("vdbmon_output_queued", "Samples that wait to be written.", "output")
CPU_SECONDS = counter("process_cpu_seconds_total", "CPU time of the agent.", unit=Unit.SECONDS)
RESIDENT = gauge("process_resident_memory_bytes", "Resident memory of the agent.", unit=Unit.BYTES)
OPEN_FDS = gauge("process_open_fds", "Open descriptors of the agent.")
START_TIME = gauge("process_start_time_seconds", "When the agent started.", unit=Unit.TIMESTAMP)
