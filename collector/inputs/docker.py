"""The Docker daemon: which endpoints answer, which containers it has, how its processes fare.

Sources: Docker Engine API (`collector.docker_probes`), the daemon's own files (`collector.docker_files`), /proc
(`collector.docker_processes`). All of it is read in the background: a gathering never waits for the daemon or its disk.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

import docker

from collector.background import Background
from collector.clock import Clock
from collector.docker_files import ContainerState, Status
from collector.docker_probes import ENDPOINTS, Probe, ProbeState, Verdict, hang_pattern, verdict_of
from collector.docker_processes import Descriptors
from collector.metrics import Sample, Unit, counter, gauge, info

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
HANG_PATTERN = gauge(
    "vdbmon_docker_hang_pattern",
    "1 if containers or info hangs while ping, and images or volumes, answer: the daemon waits for a container.",
)

STATES = gauge(
    "engine_daemon_container_states_containers", "Containers by the state that the daemon wrote down.", "state"
)
STATES_LAST_SUCCESS = gauge(
    "vdbmon_docker_files_last_success_timestamp_seconds",
    "When the daemon's files were last read.",
    unit=Unit.TIMESTAMP,
)
_C = ("name", "image")
RESTARTS = counter("vdbmon_container_restarts_total", "Restarts by the daemon's restart policy.", *_C)
HEALTH = gauge(
    "container_health_state", "1 healthy, 0 unhealthy, -1 without a health check or with one that has not ended.", *_C
)
HEALTH_INFO = info("vdbmon_container_health_info", "Status of the health check, in Docker's words.", *_C, "status")
HEALTH_STREAK = gauge("vdbmon_container_health_failing_streak", "Health checks failed in a row.", *_C)
OOM_KILLED = gauge("vdbmon_container_oom_killed", "1 if its last run had a process killed for want of memory.", *_C)
EXIT_CODE = gauge("vdbmon_container_exit_code", "Exit code of a container that ended within the last hour.", *_C)
FINISHED = gauge(
    "vdbmon_container_finished_timestamp_seconds",
    "When a container ended that did so within the last hour.",
    *_C,
    unit=Unit.TIMESTAMP,
)

IMAGES = gauge("vdbmon_docker_images", "Images, as the daemon counts them.")
GOROUTINES = gauge("vdbmon_docker_goroutines", "Goroutines of the daemon; calls that hang add to them.")
EVENT_LISTENERS = gauge("vdbmon_docker_event_listeners", "Clients that follow the daemon's events.")

OPEN_FDS = gauge("vdbmon_docker_process_open_fds", "Open descriptors of dockerd and containerd.", "process")
MAX_FDS = gauge("vdbmon_docker_process_max_fds", "Descriptors that the process may open.", "process")

# Ended containers: for how long, and of how many, exit codes are told. The youngest count.
ENDED_FOR = 3600.0
ENDED_AT_MOST = 100

FILES_EVERY = 5.0
PROCESSES_EVERY = 10.0

# What the answer to `info` says besides; gone while it isn't answered.
_INFO_FIGURES = {"Images": IMAGES, "NGoroutines": GOROUTINES, "NEventsListener": EVENT_LISTENERS}
_HEALTH_VALUES = {"healthy": 1, "unhealthy": 0}


class DockerInput:
    """Says what was found in the background; never waits for it.

    Args:
        deadline: seconds; it should be the timeout of the client that `connect` makes.
        scan_files: all containers of the daemon; may raise OSError.
        descriptors: of the daemon's processes, by name; may raise OSError.
    """

    name = "docker"

    def __init__(
        self,
        connect: Callable[[], docker.APIClient],
        deadline: float,
        scan_files: Callable[[], Iterable[ContainerState]],
        descriptors: Callable[[], Mapping[str, Descriptors]],
        clock: Clock,
        *,
        monotonic: Clock = time.monotonic,
    ) -> None:
        self._probes = [Probe(endpoint, connect, clock, monotonic) for endpoint in ENDPOINTS]
        self._deadline = deadline
        self._files = Background("docker-files", FILES_EVERY, scan_files, clock, monotonic=monotonic)
        self._processes = Background("docker-processes", PROCESSES_EVERY, descriptors, clock, monotonic=monotonic)
        self._clock = clock
        self._monotonic = monotonic

    def gather(self) -> list[Sample]:
        """State of every endpoint that has been asked once, and what the files said last."""
        now = self._monotonic()
        for probe in self._probes:
            probe.start_if_due(now)
        self._files.start_if_due()
        self._processes.start_if_due()
        states = {probe.endpoint.name: probe.state for probe in self._probes}
        samples = list(probe_samples(states, now, self._deadline))
        if self._files.result is not None and self._files.last_success is not None:
            samples.append(STATES_LAST_SUCCESS.sample(self._files.last_success))
            samples.extend(container_samples(self._files.result, self._clock()))
        for name, descriptors in (self._processes.result or {}).items():
            samples.append(OPEN_FDS.sample(descriptors.open, name))
            if descriptors.limit is not None:
                samples.append(MAX_FDS.sample(descriptors.limit, name))
        return samples


def probe_samples(states: Mapping[str, ProbeState], now: float, deadline: float) -> Iterator[Sample]:
    """Verdict on every endpoint that has one, and on the pattern they make."""
    verdicts: dict[str, Verdict] = {}
    for name, state in states.items():
        verdict = verdict_of(state, now, deadline)
        if verdict is None:
            continue
        verdicts[name] = verdict
        yield PROBE_SUCCESS.sample(float(verdict.ok), name)
        yield PROBE_DURATION.sample(verdict.duration, name)
        if state.last_success is not None:
            yield PROBE_LAST_SUCCESS.sample(state.last_success, name)
        if verdict.ok:
            for figure, value in state.figures.items():
                yield _INFO_FIGURES[figure].sample(value)
    pattern = hang_pattern(verdicts)
    if pattern is not None:
        yield HANG_PATTERN.sample(float(pattern))


def container_samples(states: Iterable[ContainerState], now: float) -> Iterator[Sample]:
    """Counts by state, and series of the containers that run or ended a short while ago; `now` in Unix seconds."""
    containers = {state.name: state for state in states}.values()
    counts = Counter(container.status for container in containers)
    for status in Status:
        yield STATES.sample(counts[status], status)
    ended: list[tuple[float, ContainerState]] = []
    for container in containers:
        if container.status is not Status.STOPPED:
            labels = (container.name, container.image)
            yield Sample(HEALTH, labels, _HEALTH_VALUES.get(container.health, -1))
            if container.health not in ("", "none"):
                yield Sample(HEALTH_INFO, (*labels, container.health), 1)
                yield Sample(HEALTH_STREAK, labels, container.failing_streak)
            yield from _history(container)
        elif container.finished_at is not None and now - container.finished_at <= ENDED_FOR:
            ended.append((container.finished_at, container))
    for finished_at, container in sorted(ended, key=lambda pair: pair[0], reverse=True)[:ENDED_AT_MOST]:
        labels = (container.name, container.image)
        yield Sample(EXIT_CODE, labels, container.exit_code)
        yield Sample(FINISHED, labels, finished_at)
        yield from _history(container)


def _history(container: ContainerState) -> Iterator[Sample]:
    labels = (container.name, container.image)
    yield Sample(RESTARTS, labels, container.restarts)
    yield Sample(OOM_KILLED, labels, float(container.oom_killed))
