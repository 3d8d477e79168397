"""Probes of the Docker Engine API: one per endpoint, each with its own thread, deadline and one call in flight.

A hung daemon often answers some endpoints and not others. `stats` is never called.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import docker

from collector.clock import Clock


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One API call that is probed. `every` is in seconds; dear calls are rarer.

    Attributes:
        figures: keys of the answer whose numbers are kept.
    """

    name: str
    every: float
    call: Callable[[docker.APIClient], Any]
    figures: tuple[str, ...] = ()


# `containers` takes the lock of every container, `info` asks containerd, `images` walks the storage: what hangs says
# what is stuck. The first three page, within a minute also with scrapes 15 s apart: a call begins with a gathering and
# the next one judges it, so their times lie just below those of usual scrapes.
ENDPOINTS = (
    Endpoint("ping", 9, lambda client: client.ping()),
    Endpoint("containers", 14, lambda client: client.containers(limit=1)),
    Endpoint("info", 14, lambda client: client.info(), ("Images", "NGoroutines", "NEventsListener")),
    Endpoint("volumes", 60, lambda client: client.volumes()),
    Endpoint("networks", 60, lambda client: client.networks()),
    Endpoint("images", 60, lambda client: client.images()),
)
# Seconds between calls of an endpoint that failed, so that a daemon's return is seen as soon as its fall.
RETRY_EVERY = 5.0
_NEED_CONTAINER_LOCKS = ("containers", "info")
_NEED_NO_LOCKS = ("images", "volumes")


@dataclass(frozen=True, slots=True)
class ProbeState:
    """What is known of an endpoint; None where nothing happened yet.

    Attributes:
        started: of the last call, monotonic seconds, as `finished`.
        last_success: Unix seconds.
        figures: numbers of the last answer, as far as the endpoint keeps them.
    """

    started: float | None = None
    finished: float | None = None
    ok: bool = False
    last_success: float | None = None
    figures: Mapping[str, int] = field(default_factory=dict)

    @property
    def in_flight(self) -> bool:
        """A call was sent and has neither been answered nor given up."""
        return self.started is not None and (self.finished is None or self.finished < self.started)


class Probe:
    """Calls one endpoint in a thread of its own, one call in flight. The socket's deadline ends a call that hangs."""

    def __init__(
        self, endpoint: Endpoint, connect: Callable[[], docker.APIClient], clock: Clock, monotonic: Clock
    ) -> None:
        self.endpoint = endpoint
        self.state = ProbeState()
        self._connect = connect
        self._clock = clock
        self._monotonic = monotonic
        self._client: docker.APIClient | None = None

    def start_if_due(self, now: float) -> None:
        """Send the next call when its time has come and the last one is over; `now` in monotonic seconds."""
        state = self.state
        every = self.endpoint.every if state.ok else min(self.endpoint.every, RETRY_EVERY)
        if state.in_flight or (state.started is not None and now - state.started < every):
            return
        self.state = replace(state, started=now)
        try:
            threading.Thread(target=self.run, name=f"docker-{self.endpoint.name}", daemon=True).start()
        except RuntimeError:  # no thread is to be had now: the call was never made
            self.state = state

    def run(self) -> None:
        """Make one call and record how it ended."""
        started = self.state.started
        try:
            # Connecting asks for the API version, so it hangs like any call and belongs into the thread.
            self._client = self._client or self._connect()
            answer = self.endpoint.call(self._client)
        except Exception:  # noqa: BLE001 - whatever it is, that was no answer; what answers need not be Docker
            self._client = None
            self.state = ProbeState(started, self._monotonic(), ok=False, last_success=self.state.last_success)
        else:
            said = answer if isinstance(answer, dict) else {}
            figures = {key: said[key] for key in self.endpoint.figures if isinstance(said.get(key), int)}
            self.state = ProbeState(started, self._monotonic(), True, self._clock(), figures)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an endpoint answers, how many seconds its last finished call took, or the one under way if longer."""

    ok: bool
    duration: float


def verdict_of(state: ProbeState, now: float, deadline: float) -> Verdict | None:
    """What a probe's state says at `now`; None while its first call is neither answered nor late."""
    if state.started is None or (state.in_flight and state.finished is None and now - state.started < deadline):
        return None
    if state.finished is not None and not state.in_flight:
        return Verdict(state.ok, max(state.finished - state.started, 0.0))
    waiting = now - state.started
    return Verdict(state.ok and waiting < deadline, max(waiting, 0.0))


def hang_pattern(verdicts: Mapping[str, Verdict]) -> bool | None:
    """Whether the daemon hangs on a container: what needs its lock hangs, what needs no lock answers.

    A daemon that stops altogether fails `ping` first: `images` and `volumes` are asked once a minute and have not
    noticed. None while an endpoint that it takes has not been heard of.
    """
    locked = [verdicts[name].ok for name in _NEED_CONTAINER_LOCKS if name in verdicts]
    lock_free = [verdicts[name].ok for name in _NEED_NO_LOCKS if name in verdicts]
    if not locked or not lock_free or "ping" not in verdicts:
        return None
    return verdicts["ping"].ok and any(lock_free) and not all(locked)
