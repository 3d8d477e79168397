import threading
from typing import Any

import docker.errors
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.docker_api import connect
from collector.docker_files import ContainerState, Status
from collector.docker_probes import ENDPOINTS, Endpoint, Probe, ProbeState, Verdict, hang_pattern
from collector.docker_processes import Descriptors
from collector.inputs import docker as declared
from collector.inputs.docker import (
    ENDED_AT_MOST,
    ENDED_FOR,
    PROBE_DURATION,
    PROBE_LAST_SUCCESS,
    PROBE_SUCCESS,
    DockerInput,
    container_samples,
    probe_samples,
)
from tests.support.false_engine import VERSION, false_engine
from tests.support.limits import no_more_threads

DEADLINE = 5.0


def values(state: ProbeState, now: float) -> dict[str, float]:
    return {sample.metric.name: sample.value for sample in probe_samples({"ping": state}, now, DEADLINE)}


def test_an_endpoint_that_was_never_asked_says_nothing() -> None:
    assert values(ProbeState(), 100.0) == {}


def test_a_first_call_under_way_says_nothing_until_it_is_late() -> None:
    state = ProbeState(started=100.0)
    assert values(state, 104.0) == {}
    assert values(state, 106.0) == {PROBE_SUCCESS.name: 0.0, PROBE_DURATION.name: 6.0}


def test_a_call_under_way_keeps_the_last_verdict_until_it_is_late() -> None:
    state = ProbeState(started=110.0, finished=None, ok=True, last_success=105.0)
    assert values(state, 112.0).get(PROBE_SUCCESS.name, 1.0) == 1.0
    assert values(state, 116.0)[PROBE_SUCCESS.name] == 0.0
    assert values(state, 116.0)[PROBE_LAST_SUCCESS.name] == 105.0


def test_a_clock_that_is_set_back_gives_no_negative_time() -> None:
    assert values(ProbeState(started=100.0, finished=90.0, ok=True, last_success=90.0), 90.0)[PROBE_DURATION.name] == 0


def test_one_call_in_flight_at_a_time() -> None:
    release, calls = threading.Event(), []

    def connect() -> docker.APIClient:
        calls.append(1)
        release.wait(10)
        raise docker.errors.DockerException("refused")

    probe = Probe(Endpoint("ping", 1, lambda client: client.ping()), connect, lambda: 200.0, lambda: 200.0)
    for now in (100.0, 110.0, 120.0):
        probe.start_if_due(now)
    release.set()
    assert len(calls) == 1


@pytest.mark.parametrize("error", [docker.errors.DockerException("down"), ConnectionRefusedError("down")])
def test_a_daemon_that_refuses_is_a_failed_probe_and_no_exception(error: Exception) -> None:
    def connect() -> docker.APIClient:
        raise error

    probe = Probe(Endpoint("ping", 1, lambda client: client.ping()), connect, lambda: 101.0, lambda: 101.0)
    probe.state = ProbeState(started=100.0)
    probe.run()
    assert not probe.state.ok
    assert not probe.state.in_flight


@pytest.mark.parametrize("version", [None, [], "1.41", {}, {"ApiVersion": 7}, {"ApiVersion": "new"}])
def test_what_answers_and_is_no_docker_is_a_failed_probe_too(version: object) -> None:
    with false_engine(version=version) as engine:
        probe = Probe(ENDPOINTS[0], lambda: connect(engine.address, 5), lambda: 101.0, lambda: 101.0)
        probe.state = ProbeState(started=100.0)
        probe.run()
    assert engine.asked == ["version"]
    assert not probe.state.ok
    assert not probe.state.in_flight


@pytest.mark.parametrize("answer", [None, [1], "text", {"Images": "many", "NGoroutines": 5}])
def test_of_an_answer_of_another_shape_only_what_is_a_number_counts(answer: object) -> None:
    with false_engine(version=VERSION, info=answer) as engine:
        info = next(endpoint for endpoint in ENDPOINTS if endpoint.name == "info")
        probe = Probe(info, lambda: connect(engine.address, 5), lambda: 101.0, lambda: 101.0)
        probe.state = ProbeState(started=100.0)
        probe.run()
    assert probe.state.figures == ({"NGoroutines": 5} if isinstance(answer, dict) else {})


def test_a_call_that_can_get_no_thread_is_made_at_the_next_gathering() -> None:
    called = threading.Event()

    def refuse() -> docker.APIClient:
        called.set()
        raise docker.errors.DockerException("down")

    probe = Probe(Endpoint("ping", 1, lambda client: client.ping()), refuse, lambda: 200.0, lambda: 200.0)
    with no_more_threads():
        probe.start_if_due(100.0)
    assert (probe.state, called.is_set()) == (ProbeState(), False)
    probe.start_if_due(100.0)
    assert called.wait(10)


@pytest.mark.parametrize(("ok", "asked_again"), [(True, False), (False, True)])
def test_an_endpoint_that_failed_is_asked_again_soon(ok: bool, asked_again: bool) -> None:  # noqa: FBT001 - pytest gives them
    called = threading.Event()

    def connect() -> docker.APIClient:
        called.set()
        raise docker.errors.DockerException("down")

    probe = Probe(Endpoint("images", 60, lambda client: client.images()), connect, lambda: 107.0, lambda: 107.0)
    probe.state = ProbeState(started=100.0, finished=101.0, ok=ok)
    probe.start_if_due(106.0)
    assert called.wait(0.5) == asked_again


def test_gathering_never_waits_for_the_daemon() -> None:
    release = threading.Event()

    def hang() -> docker.APIClient:
        release.wait(10)
        raise docker.errors.DockerException("hung")

    def hang_too() -> tuple[ContainerState, ...]:
        release.wait(10)
        return ()

    source = DockerInput(hang, DEADLINE, hang_too, dict, lambda: 100.0)
    assert source.gather() == []
    release.set()


def test_an_endpoint_that_answered_before_is_never_silent_while_the_next_call_is_under_way() -> None:
    release = threading.Event()

    def hang() -> docker.APIClient:
        release.wait(10)
        raise docker.errors.DockerException("hung")

    probe = Probe(Endpoint("ping", 1, lambda client: client.ping()), hang, lambda: 200.0, lambda: 200.0)
    probe.state = ProbeState(started=100.0, finished=101.0, ok=False)
    probe.start_if_due(110.0)
    assert values(probe.state, 111.0)[PROBE_SUCCESS.name] == 0.0
    release.set()


def test_a_clock_that_is_set_back_delays_no_probe() -> None:
    wall = 1_000_000.0
    probe = Probe(Endpoint("ping", 5, lambda _: None), lambda: docker.errors, lambda: wall, lambda: 10.0)  # type: ignore[arg-type, return-value]
    probe.state = ProbeState(started=10.0)
    probe.run()
    wall = 0.0
    probe.start_if_due(15.0)
    assert probe.state.started == 15.0


def verdicts(**ok: bool) -> dict[str, Verdict]:
    return {name: Verdict(answers, 0.1) for name, answers in ok.items()}


@pytest.mark.parametrize(
    ("answers", "pattern"),
    [
        ({"ping": True, "containers": False, "info": True, "images": True, "volumes": True}, True),
        ({"ping": True, "containers": True, "info": False, "volumes": True, "images": False}, True),
        ({"ping": True, "containers": False, "volumes": False, "images": False}, False),
        ({"ping": True, "containers": True, "info": True, "volumes": False}, False),
        ({"ping": False, "containers": False, "volumes": True}, False),
        ({"ping": True, "containers": True, "networks": False, "volumes": True}, False),
        ({"ping": True, "containers": False}, None),
        ({"containers": False, "volumes": True}, None),
        ({}, None),
    ],
)
def test_the_hang_pattern(answers: dict[str, bool], *, pattern: bool | None) -> None:
    assert hang_pattern(verdicts(**answers)) is pattern


@given(st.dictionaries(st.sampled_from([endpoint.name for endpoint in ENDPOINTS]), st.booleans()))
def test_a_daemon_that_answers_everything_or_nothing_never_shows_the_pattern(answers: dict[str, bool]) -> None:
    assert not hang_pattern(verdicts(**dict.fromkeys(answers, True)))
    assert not hang_pattern(verdicts(**dict.fromkeys(answers, False)))


def container(
    name: str, status: Status = Status.STOPPED, finished_at: float | None = None, **more: Any
) -> ContainerState:
    defaults = {"restarts": 0, "exit_code": 0, "oom_killed": False, "health": ""}
    return ContainerState(name=name, image="i:1", status=status, finished_at=finished_at, **{**defaults, **more})


def by_name(samples: Any) -> dict[tuple[str, ...], float]:
    return {(sample.metric.name, *sample.labels): sample.value for sample in samples}


def test_running_containers_tell_their_health_and_ended_ones_their_end() -> None:
    now = 10_000.0
    seen = by_name(
        container_samples(
            [
                container("up", Status.RUNNING, health="unhealthy", restarts=3),
                container("starting", Status.PAUSED, health="starting"),
                container("failed", finished_at=now - 60, exit_code=137, oom_killed=True),
                container("old", finished_at=now - ENDED_FOR - 1, exit_code=1),
                container("never-started"),
            ],
            now,
        )
    )
    counts = {status: seen[declared.STATES.name, status] for status in Status}
    assert counts == {Status.RUNNING: 1, Status.PAUSED: 1, Status.STOPPED: 3}
    assert seen[declared.HEALTH.name, "up", "i:1"] == 0
    assert seen[declared.HEALTH.name, "starting", "i:1"] == -1
    assert seen[declared.RESTARTS.name, "up", "i:1"] == 3
    assert seen[declared.EXIT_CODE.name, "failed", "i:1"] == 137
    assert seen[declared.OOM_KILLED.name, "failed", "i:1"] == 1
    assert {key[1] for key in seen if key[0] == declared.EXIT_CODE.name} == {"failed"}


def test_the_number_of_ended_containers_is_bounded_and_the_youngest_stay() -> None:
    ended = [container(f"c{number}", finished_at=float(number)) for number in range(1000)]
    seen = by_name(container_samples(ended, 1000.0))
    names = {key[1] for key in seen if key[0] == declared.FINISHED.name}
    assert names == {f"c{number}" for number in range(1000 - ENDED_AT_MOST, 1000)}
    assert seen[declared.STATES.name, "stopped"] == 1000


def test_a_health_check_is_told_of_in_dockers_words() -> None:
    states = [
        container("well", Status.RUNNING, health="healthy"),
        container("sick", Status.RUNNING, health="unhealthy", failing_streak=4),
        container("unchecked", Status.RUNNING),
        container("unchecked-by-name", Status.RUNNING, health="none"),
    ]
    seen = by_name(container_samples(states, 1000.0))
    assert {key[1:]: value for key, value in seen.items() if key[0] == declared.HEALTH_STREAK.name} == {
        ("well", "i:1"): 0,
        ("sick", "i:1"): 4,
    }
    assert {key[1:] for key in seen if key[0] == declared.HEALTH_INFO.name} == {
        ("well", "i:1", "healthy"),
        ("sick", "i:1", "unhealthy"),
    }


class Engine:
    """Stands for the client: what `info` answers."""

    def info(self) -> dict[str, Any]:
        return {"Images": 12, "NGoroutines": 80, "NEventsListener": "many", "Name": "engine"}


def test_figures_of_the_engine_are_told_while_it_answers() -> None:
    (endpoint,) = [endpoint for endpoint in ENDPOINTS if endpoint.name == "info"]
    probe = Probe(endpoint, Engine, lambda: 100.5, lambda: 100.5)  # type: ignore[arg-type]
    probe.state = ProbeState(started=100.0)
    probe.run()
    samples = {sample.metric: sample.value for sample in probe_samples({"info": probe.state}, 101.0, DEADLINE)}
    assert (samples[declared.IMAGES], samples[declared.GOROUTINES]) == (12, 80)
    assert declared.EVENT_LISTENERS not in samples
    hanging = ProbeState(started=130.0, finished=100.5, ok=True, last_success=100.5, figures=probe.state.figures)
    late = {sample.metric for sample in probe_samples({"info": hanging}, 140.0, DEADLINE)}
    assert not late & {declared.IMAGES, declared.GOROUTINES}


def test_what_was_read_in_the_background_is_told_with_its_time() -> None:
    source = DockerInput(
        lambda: docker.APIClient(base_url="unix:///nonexistent"),
        DEADLINE,
        lambda: (container("up", Status.RUNNING),),
        lambda: {"dockerd": Descriptors(open=12, limit=100), "containerd": Descriptors(open=5, limit=None)},
        lambda: 100.0,
    )
    source._files.run()
    source._processes.run()
    seen = by_name(source.gather())
    assert seen[declared.STATES_LAST_SUCCESS.name,] == 100.0
    assert seen[declared.STATES.name, "running"] == 1
    assert seen[declared.OPEN_FDS.name, "dockerd"] == 12
    assert seen[declared.MAX_FDS.name, "dockerd"] == 100
    assert (declared.MAX_FDS.name, "containerd") not in seen
