"""The local stack on free ports in a folder of its own, without the demonstration."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.dockerd import OwnDockerd
from tests.support.servers import free_port, http_json
from tests.support.stack import OwnStack, write_stack
from tests.support.wait import wait_until
from vdbmon.config import load_config


@pytest.fixture
def stack(tmp_path: Path, shared_dockerd: OwnDockerd) -> Iterator[OwnStack]:
    """A stack that is not started yet, and is gone afterwards."""
    own = write_stack(tmp_path, shared_dockerd.address)
    try:
        yield own
    finally:
        own.run("stack", "down")
        assert own.leftovers() == []


def test_up_again_keeps_what_runs_and_down_leaves_nothing(stack: OwnStack) -> None:
    first = stack.up()
    assert first.returncode == 0, first.stderr
    config = load_config(stack.layout.config)
    wait_until(
        lambda: prometheus_has(config.prometheus.url, 'up{job="vdbmon",host="dr-host-01"} == 1'),
        deadline=30,
        what="Prometheus scrapes the agent",
    )
    before = stack.pids()
    assert set(before) == {"supervisord", "agent", "serve", "prometheus", "alertmanager", "victoria-metrics"}
    status = stack.run("status")
    assert status.returncode == 0, status.stdout + status.stderr
    assert status.stdout.count("running") == 6

    second = stack.up()
    assert second.returncode == 0, second.stderr
    after = stack.pids()
    assert {name for name in before if before[name] != after[name]} == {"agent", "serve"}

    down = stack.run("stack", "down")
    assert down.returncode == 0, down.stderr
    assert stack.leftovers() == []
    assert not stack.layout.run.exists()
    again = stack.run("stack", "down")
    assert (again.returncode, "none ran" in again.stdout) == (0, True)
    assert stack.run("status").returncode == 1


def test_a_killed_server_comes_back_and_a_killed_supervisor_is_replaced(stack: OwnStack) -> None:
    assert stack.up().returncode == 0
    before = stack.pids()
    os.kill(before["prometheus"], signal.SIGKILL)
    wait_until(
        lambda: stack.pids().get("prometheus", before["prometheus"]) != before["prometheus"],
        deadline=20,
        what="Prometheus is restarted",
    )
    supervisor = before["supervisord"]
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: not psutil.pid_exists(supervisor), deadline=10, what="supervisor is gone")
    assert "unsupervised" in stack.run("status").stdout
    up = stack.up()
    assert up.returncode == 0, up.stderr
    assert "stopped what an earlier run left" in up.stdout
    assert stack.run("status").returncode == 0
    os.kill(stack.pids()["supervisord"], signal.SIGKILL)
    assert stack.run("stack", "down").returncode == 0
    assert stack.leftovers() == []


def test_a_held_port_is_named_and_nothing_is_started(stack: OwnStack) -> None:
    port = load_config(stack.layout.config).alertmanager.url.rpartition(":")[2]
    with socket.create_server(("127.0.0.1", int(port))):
        up = stack.up()
    assert up.returncode == 1
    for part in (f"port {port} ", f"(pid {os.getpid()})", "alertmanager.url", str(stack.layout.config)):
        assert part in up.stderr
    assert "Traceback" not in up.stderr
    assert stack.leftovers() == []


def test_a_changed_address_moves_the_server(stack: OwnStack) -> None:
    assert stack.up().returncode == 0
    old = load_config(stack.layout.config).prometheus.url
    new = f"http://127.0.0.1:{free_port()}"
    stack.layout.config.write_text(stack.layout.config.read_text().replace(old, new))
    up = stack.up()
    assert up.returncode == 0, up.stderr
    wait_until(lambda: prometheus_has(new, "up == 1"), deadline=30, what="Prometheus at its new address")
    assert http_json(f"{old}/api/v1/query?query=up") is None


def test_a_broken_configuration_stops_before_anything_starts_and_down_still_works(stack: OwnStack) -> None:
    assert stack.up().returncode == 0
    text = stack.layout.config.read_text()
    stack.layout.config.write_text(text.replace("[prometheus]", "[promteheus]"))
    up = stack.up()
    assert up.returncode == 2
    assert "did you mean prometheus?" in up.stderr
    assert stack.run("stack", "down").returncode == 0
    assert stack.leftovers() == []


def test_a_hung_engine_is_used_as_it_is(tmp_path: Path, own_dockerd: OwnDockerd) -> None:
    stack = write_stack(tmp_path, own_dockerd.address)
    try:
        own_dockerd.freeze()
        up = stack.up()
        assert up.returncode == 0, up.stderr
        assert "never gets a twin" in up.stdout
        assert "dockerd" not in stack.pids()
        status = stack.run("status")
        assert status.returncode == 1
        assert "not answering" in status.stdout
        own_dockerd.thaw()
        wait_until(lambda: stack.run("status").returncode == 0, deadline=30, what="all is well again", every=0.5)
    finally:
        stack.run("stack", "down")
        assert stack.leftovers() == []


def prometheus_has(url: str, expression: str) -> bool:
    """Whether a query has a result."""
    answer = http_json(f"{url}/api/v1/query?query={expression.replace(' ', '%20')}")
    return bool(answer and answer["data"]["result"])
