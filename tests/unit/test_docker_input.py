import threading

import docker.errors
import pytest

from collector.inputs.docker import (
    PROBE_DURATION,
    PROBE_LAST_SUCCESS,
    PROBE_SUCCESS,
    DockerInput,
    Endpoint,
    Probe,
    ProbeState,
)
from collector.inputs.docker import _samples as samples_of

DEADLINE = 5.0


def values(state: ProbeState, now: float) -> dict[str, float]:
    return {sample.metric.name: sample.value for sample in samples_of({"ping": state}, now, DEADLINE)}


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

    probe = Probe(Endpoint("ping", 1, lambda client: client.ping()), connect, lambda: 200.0)
    for now in (100.0, 110.0, 120.0):
        probe.start_if_due(now)
    release.set()
    assert len(calls) == 1


@pytest.mark.parametrize("error", [docker.errors.DockerException("down"), ConnectionRefusedError("down")])
def test_a_daemon_that_refuses_is_a_failed_probe_and_no_exception(error: Exception) -> None:
    def connect() -> docker.APIClient:
        raise error

    probe = Probe(Endpoint("ping", 1, lambda client: client.ping()), connect, lambda: 101.0)
    probe.state = ProbeState(started=100.0)
    probe.run()
    assert not probe.state.ok
    assert not probe.state.in_flight


@pytest.mark.parametrize(("ok", "asked_again"), [(True, False), (False, True)])
def test_an_endpoint_that_failed_is_asked_again_soon(ok: bool, asked_again: bool) -> None:  # noqa: FBT001 - pytest gives them
    called = threading.Event()

    def connect() -> docker.APIClient:
        called.set()
        raise docker.errors.DockerException("down")

    probe = Probe(Endpoint("images", 60, lambda client: client.images()), connect, lambda: 107.0)
    probe.state = ProbeState(started=100.0, finished=101.0, ok=ok)
    probe.start_if_due(106.0)
    assert called.wait(0.5) == asked_again


def test_gathering_never_waits_for_the_daemon() -> None:
    release = threading.Event()

    def hang() -> docker.APIClient:
        release.wait(10)
        raise docker.errors.DockerException("hung")

    source = DockerInput(hang, DEADLINE, lambda: 100.0)
    assert source.gather() == []
    release.set()


def test_an_endpoint_that_answered_before_is_never_silent_while_the_next_call_is_under_way() -> None:
    release = threading.Event()

    def hang() -> docker.APIClient:
        release.wait(10)
        raise docker.errors.DockerException("hung")

    probe = Probe(Endpoint("ping", 1, lambda client: client.ping()), hang, lambda: 200.0)
    probe.state = ProbeState(started=100.0, finished=101.0, ok=False)
    probe.start_if_due(110.0)
    assert values(probe.state, 111.0)[PROBE_SUCCESS.name] == 0.0
    release.set()
