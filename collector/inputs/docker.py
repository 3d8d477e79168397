"""Whether the Docker daemon answers, endpoint by endpoint.

Source: Docker Engine API. A hung daemon often answers some endpoints and not others (`containers` and `info` hang while
`images` and `volumes` answer), so each has its own probe, deadline and one call in flight. `stats` is never called.
"""

from __future__ import annotations

from collector.metrics import Unit, gauge

PROBE_SUCCESS = gauge("vdbmon_docker_probe_success", "1 if the endpoint answered within its deadline.", "endpoint")
PROBE_DURATION = gauge(
    "vdbmon_docker_probe_duration_seconds",
    "Time of the last finished call, or of the one under way if that is longer.",
    "endpoint",
    unit=Unit.SECONDS,
)
PROBE_LAST_SUCCESS = gauge(
    "vdbmon_docker_probe_last_success_timestamp_seconds",
    "When the endpoint last answered.",
    "endpoint",
    unit=Unit.TIMESTAMP,
)
