"""Whether the Docker daemon answers, endpoint by endpoint.

Source: Docker Engine API. A hung daemon often answers some endpoints and not others (`containers` and `info` hang while
`images` and `volumes` answer), so each has its own probe, deadline and one call in flight. `stats` is never called.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import docker.errors
import requests

from collector.metrics import Sample, Unit, gauge

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

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One API call that is probed. `every` is in seconds; dear calls are rarer."""

    name: str
    every: float
    call: Callable[[docker.APIClient], Any]


# `containers` takes the lock of every container, `info` and `images` walk the storage: what hangs says what is stuck.
ENDPOINTS = (
    Endpoint("ping", 5, lambda client: client.ping()),
    Endpoint("containers", 10, lambda client: client.containers(limit=1)),
    Endpoint("info", 30, lambda client: client.info()),
    Endpoint("volumes", 60, lambda client: client.volumes()),
    Endpoint("networks", 60, lambda client: client.networks()),
    Endpoint("images", 60, lambda client: client.images()),
)

RETRY_EVERY = 5.0
"""Seconds between calls of an endpoint that failed, so that a daemon's return is seen as soon as its fall."""


@dataclass(frozen=True, slots=True)
class ProbeState:
    """What is known of an endpoint. Times are Unix seconds; None where nothing happened yet."""

    started: float | None = None
    finished: float | None = None
    ok: bool = False
    last_success: float | None = None

    @property
    def in_flight(self) -> bool:
        """A call was sent and has neither been answered nor given up."""
        return self.started is not None and (self.finished is None or self.finished < self.started)


class Probe:
    """Calls one endpoint in a thread of its own, one call in flight. The socket's deadline ends a call that hangs."""

    def __init__(self, endpoint: Endpoint, connect: Callable[[], docker.APIClient], clock: Clock) -> None:
        self.endpoint = endpoint
        self.state = ProbeState()
        self._connect = connect
        self._clock = clock
        self._client: docker.APIClient | None = None

    def start_if_due(self, now: float) -> None:
        """Send the next call when its time has come and the last one is over."""
        state = self.state
        every = self.endpoint.every if state.ok else min(self.endpoint.every, RETRY_EVERY)
        if state.in_flight or (state.started is not None and now - state.started < every):
            return
        self.state = replace(state, started=now)
        threading.Thread(target=self.run, name=f"docker-{self.endpoint.name}", daemon=True).start()

    def run(self) -> None:
        """Make one call and record how it ended."""
        started = self.state.started
        try:
            # Connecting asks for the API version, so it hangs like any call and belongs into the thread.
            self._client = self._client or self._connect()
            self.endpoint.call(self._client)
        except (docker.errors.DockerException, requests.RequestException, OSError):
            self._client = None
            self.state = ProbeState(started, self._clock(), ok=False, last_success=self.state.last_success)
        else:
            now = self._clock()
            self.state = ProbeState(started, now, ok=True, last_success=now)


class DockerInput:
    """Says what the probes found; never waits for the daemon itself.

    `deadline` in seconds; it should be the timeout of the client that `connect` makes.
    """

    name = "docker"

    def __init__(self, connect: Callable[[], docker.APIClient], deadline: float, clock: Clock) -> None:
        self._probes = [Probe(endpoint, connect, clock) for endpoint in ENDPOINTS]
        self._deadline = deadline
        self._clock = clock

    def gather(self) -> list[Sample]:
        """State of every endpoint that has been asked once."""
        now = self._clock()
        for probe in self._probes:
            probe.start_if_due(now)
        states = {probe.endpoint.name: probe.state for probe in self._probes}
        return list(_samples(states, now, self._deadline))


def _samples(states: Mapping[str, ProbeState], now: float, deadline: float) -> Iterator[Sample]:
    for name, state in states.items():
        if state.started is None or (state.in_flight and state.finished is None and now - state.started < deadline):
            continue  # never answered, and not yet late
        waiting = now - state.started if state.in_flight else 0.0
        ok = state.ok and waiting < deadline
        yield PROBE_SUCCESS.sample(float(ok), name)
        if not state.in_flight and state.finished is not None:
            yield PROBE_DURATION.sample(max(state.finished - state.started, 0.0), name)
        else:
            yield PROBE_DURATION.sample(max(waiting, 0.0), name)
        if state.last_success is not None:
            yield PROBE_LAST_SUCCESS.sample(state.last_success, name)
