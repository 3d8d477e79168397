"""The agent as a process, against a real Docker daemon that hangs, dies and comes back."""

import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.models.containers import Container

from collector.catalogue import docker
from tests.support.agent import VDBMON, Agent, run_container
from tests.support.dockerd import OwnDockerd
from tests.support.servers import process
from tests.support.wait import wait_until

PATIENCE = 20.0


@pytest.fixture
def agent(own_dockerd: OwnDockerd, tmp_path: Path) -> Iterator[Agent]:
    watcher = Agent(own_dockerd, tmp_path)
    with process([VDBMON, "agent", "run", "--config", str(watcher.config)], watcher.log):
        wait_until(watcher.scrape, deadline=PATIENCE, what="agent answers")
        yield watcher


def cgroup_cpu_seconds(container: Container) -> float:
    v1 = Path(f"/sys/fs/cgroup/cpuacct/docker/{container.id}/cpuacct.usage")
    if v1.exists():
        return int(v1.read_text()) / 1e9
    stat = Path(f"/sys/fs/cgroup/docker/{container.id}/cpu.stat").read_text().split()
    return int(stat[stat.index("usage_usec") + 1]) / 1e6


def test_cpu_agrees_with_the_cgroup_file(own_dockerd: OwnDockerd, agent: Agent) -> None:
    container = run_container(own_dockerd, "busy", "sh", "-c", "while :; do :; done", network_mode="none")
    wait_until(
        lambda: (agent.value("container_cpu_usage_seconds_total", name="busy") or 0) > 0.2,
        deadline=PATIENCE,
        what="cpu series of the container",
    )
    before = cgroup_cpu_seconds(container)
    value = agent.value(
        "container_cpu_usage_seconds_total", name="busy", image="vdbmon-test/busybox:1", host="testhost"
    )
    after = cgroup_cpu_seconds(container)
    assert value is not None
    assert before <= value <= after


def test_limits_processes_and_identity_are_seen(own_dockerd: OwnDockerd, agent: Agent) -> None:
    container = run_container(
        own_dockerd,
        "limited",
        "sleep",
        "600",
        network_mode="none",
        mem_limit="64m",
        nano_cpus=500_000_000,
        pids_limit=50,
        labels={"io.vdbmon.source": "demo"},
    )
    wait_until(lambda: agent.value("container_last_seen", name="limited"), deadline=PATIENCE, what="the container")
    assert agent.value("container_spec_memory_limit_bytes", name="limited") == 64 * 2**20
    assert agent.value("container_spec_cpu_quota", name="limited") == 50_000
    assert agent.value("container_threads_max", name="limited") == 50
    assert agent.value("vdbmon_processes", name="limited", group="other") == 1
    assert agent.value("vdbmon_container_info", name="limited", id=str(container.id), source="demo") == 1


def test_a_containers_series_are_within_their_number(own_dockerd: OwnDockerd, agent: Agent) -> None:
    run_container(
        own_dockerd,
        "busy",
        "sh",
        "-c",
        "dd if=/dev/zero of=/tmp/x bs=1M count=8 conv=fsync; sleep 600",
        network_mode="none",
        mem_limit="64m",
        nano_cpus=500_000_000,
    )
    wait_until(lambda: agent.value("container_health_state", name="busy"), deadline=PATIENCE, what="all inputs know it")
    series = [key for key in agent.scrape() or {} if ("name", "busy") in key[1]]
    interfaces, groups = 2 * 8, 2 * 8  # that a container of the fleet has and this one has not
    assert 60 < len(series) <= 150 - interfaces - groups


def test_a_dead_container_looks_dead_at_once(own_dockerd: OwnDockerd, agent: Agent) -> None:
    container = run_container(own_dockerd, "shortlived", "sleep", "600", network_mode="none")
    wait_until(lambda: agent.value("container_last_seen", name="shortlived"), deadline=PATIENCE, what="the container")
    container.kill()
    container.wait()
    series = agent.scrape()
    assert series is not None
    # What is told of its end is told on purpose, and soon after: exit code, time, restarts.
    end = {metric.name for metric in (docker.EXIT_CODE, docker.FINISHED, docker.OOM_KILLED, docker.RESTARTS)}
    told_from_files = {*end, docker.HEALTH.name}
    assert {name for name, labels in series if ("name", "shortlived") in labels} <= told_from_files
    wait_until(
        lambda: {name for name, labels in agent.scrape() or {} if ("name", "shortlived") in labels} == end,
        deadline=PATIENCE,
        what="only the end is told",
    )


def test_how_containers_ended_is_told_for_a_while(own_dockerd: OwnDockerd, agent: Agent) -> None:
    run_container(own_dockerd, "steady", "sleep", "600", network_mode="none")
    run_container(own_dockerd, "failed", "sh", "-c", "exit 3", network_mode="none").wait()
    policy = {"Name": "on-failure", "MaximumRetryCount": 2}
    run_container(own_dockerd, "flapping", "false", network_mode="none", restart_policy=policy)
    wait_until(
        lambda: agent.value("vdbmon_container_restarts_total", name="flapping") == 2, deadline=PATIENCE, what="restarts"
    )
    wait_until(lambda: agent.value("vdbmon_container_exit_code", name="failed") == 3, deadline=PATIENCE, what="the end")
    states = {state: agent.value(docker.STATES.name, state=state) for state in ("running", "paused", "stopped")}
    assert states == {"running": 1, "paused": 0, "stopped": 2}
    finished = agent.value("vdbmon_container_finished_timestamp_seconds", name="failed")
    assert finished == pytest.approx(time.time(), abs=60)
    assert agent.value("container_health_state", name="steady") == -1


def test_descriptors_of_the_daemon_that_is_watched(own_dockerd: OwnDockerd, agent: Agent) -> None:
    wait_until(
        lambda: agent.value("vdbmon_docker_process_open_fds", process="containerd"),
        deadline=PATIENCE,
        what="containerd",
    )
    # Of this daemon and of no other that runs here: it was started with a limit of its own.
    resource.prlimit(own_dockerd.process.pid, resource.RLIMIT_NOFILE, (4321, 4321))
    wait_until(
        lambda: agent.value("vdbmon_docker_process_max_fds", process="dockerd") == 4321,
        deadline=PATIENCE,
        what="its limit",
    )
    assert (agent.value("vdbmon_docker_process_open_fds", process="dockerd") or 0) > 5


def test_a_frozen_daemon_costs_no_container_series(own_dockerd: OwnDockerd, agent: Agent) -> None:
    run_container(own_dockerd, "steady", "sh", "-c", "while :; do :; done", network_mode="none")
    wait_until(lambda: agent.value("container_last_seen", name="steady"), deadline=PATIENCE, what="the container")
    wait_until(
        lambda: agent.value("vdbmon_docker_probe_success", endpoint="ping") == 1, deadline=PATIENCE, what="ping answers"
    )
    own_dockerd.freeze()
    wait_until(
        lambda: agent.value("vdbmon_docker_probe_success", endpoint="ping") == 0, deadline=PATIENCE, what="ping fails"
    )
    first = agent.value("container_cpu_usage_seconds_total", name="steady")
    assert first is not None
    wait_until(
        lambda: (agent.value("container_cpu_usage_seconds_total", name="steady") or 0) > first,
        deadline=PATIENCE,
        what="cpu goes on growing",
    )
    assert agent.value("vdbmon_input_up", input="docker") == 1
    own_dockerd.thaw()
    wait_until(
        lambda: agent.value("vdbmon_docker_probe_success", endpoint="ping") == 1, deadline=PATIENCE, what="ping is back"
    )


# The daemon tells of an OOM kill by an event that a busy one may lose, so the container is started again a few times.
HUNGRY: dict[str, object] = {
    "network_mode": "none",
    "mem_limit": "16m",
    "restart_policy": {"Name": "on-failure", "MaximumRetryCount": 3},
}


def test_an_oom_kill_outlives_its_container(own_dockerd: OwnDockerd, agent: Agent) -> None:
    container = run_container(own_dockerd, "hungry", "dd", "if=/dev/zero", "of=/dev/null", "bs=64M", **HUNGRY)
    wait_until(lambda: agent.value("container_oom_events_total", name="hungry"), deadline=PATIENCE, what="the OOM kill")
    container.remove(force=True)
    wait_until(lambda: agent.value("container_last_seen", name="hungry") is None, deadline=PATIENCE, what="its end")
    assert agent.value("container_oom_events_total", name="hungry")


def test_an_oom_kill_before_the_agent_could_listen_is_heard_of_later(own_dockerd: OwnDockerd, tmp_path: Path) -> None:
    run_container(own_dockerd, "warm-up", "true", network_mode="none").wait()
    own_dockerd.freeze()
    watcher = Agent(own_dockerd, tmp_path)
    with process([VDBMON, "agent", "run", "--config", str(watcher.config)], watcher.log):
        wait_until(watcher.scrape, deadline=PATIENCE, what="agent answers")
        own_dockerd.thaw()
        run_container(own_dockerd, "early", "dd", "if=/dev/zero", "of=/dev/null", "bs=64M", **HUNGRY)
        wait_until(
            lambda: watcher.value("container_oom_events_total", name="early"), deadline=PATIENCE, what="the OOM kill"
        )


def test_a_killed_agent_leaves_its_port_and_no_child(own_dockerd: OwnDockerd, tmp_path: Path) -> None:
    watcher = Agent(own_dockerd, tmp_path)
    command = [VDBMON, "agent", "run", "--config", str(watcher.config)]
    with process(command, watcher.log) as first:
        wait_until(watcher.scrape, deadline=PATIENCE, what="agent answers")
        children = [int(pid) for pid in Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()]
        os.kill(first.pid, signal.SIGKILL)
        first.wait(PATIENCE)
        with process(command, watcher.log):
            wait_until(watcher.scrape, deadline=PATIENCE, what="the next agent answers")
        wait_until(
            lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), deadline=PATIENCE, what="children end"
        )


def test_a_port_that_is_held_is_one_line(agent: Agent) -> None:
    second = subprocess.run(
        [VDBMON, "agent", "run", "--config", str(agent.config)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert second.returncode == 1
    assert str(agent.port) in second.stderr
    assert "[agent] listen" in second.stderr
    assert len(second.stderr.splitlines()) == 1
