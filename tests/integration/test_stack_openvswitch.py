"""The stack's own Open vSwitch, in a network namespace of the test's: two of them can't share one."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from collector.inputs import ovs
from collector.settings import OvsSettings
from tests.support.dockerd import OwnDockerd
from tests.support.openvswitch import run
from tests.support.servers import process
from tests.support.stack import VDBMON, OwnStack, write_stack
from tests.support.wait import wait_until
from vdbmon.stack.openvswitch import BRIDGE, PORT, PORT_VLAN


@pytest.fixture
def stack(tmp_path: Path, shared_dockerd: OwnDockerd) -> Iterator[OwnStack]:
    """A stack that is to start a switch of its own."""
    namespace = f"vdbmon-stack-{os.getpid()}"
    run("ip", "netns", "add", namespace)
    own = replace(write_stack(tmp_path, shared_dockerd.address), prefix=("nsenter", f"--net=/run/netns/{namespace}"))
    config = own.layout.config
    config.write_text(config.read_text().replace(str(OvsSettings().db_socket), str(own.layout.ovs_socket)))
    try:
        run("ip", "-n", namespace, "link", "set", "lo", "up")
        yield own
    finally:
        own.run("stack", "down")
        assert own.leftovers() == []
        run("ip", "netns", "del", namespace)


def test_the_switch_is_there_its_series_too_and_down_leaves_nothing(stack: OwnStack) -> None:
    for _ in range(2):
        up = stack.up()
        assert up.returncode == 0, up.stderr
    before = stack.pids()
    assert {"ovsdb-server", "ovs-vswitchd"} <= set(before)
    status = stack.run("status")
    assert status.returncode == 0, status.stdout + status.stderr
    series = run(*stack.prefix, str(VDBMON), "agent", "test", "--config", str(stack.layout.config))
    assert f"{ovs.VSWITCHD_UP.name}=1" in series
    assert f"bridge={BRIDGE},host=dr-host-01,port={PORT} {ovs.VLAN_TAG.name}={PORT_VLAN}" in series

    os.kill(before["ovs-vswitchd"], signal.SIGKILL)
    wait_until(
        lambda: stack.pids().get("ovs-vswitchd", 0) not in {0, before["ovs-vswitchd"]},
        deadline=20,
        what="ovs-vswitchd is restarted",
    )
    down = stack.run("stack", "down")
    assert down.returncode == 0, down.stderr
    assert stack.leftovers() == []
    assert [link for link in run(*stack.prefix, "ip", "-o", "link").splitlines() if " lo: " not in link] == []


def test_beside_another_switch_the_stack_starts_none(stack: OwnStack, tmp_path: Path) -> None:
    # One that hangs on a database that isn't there; what counts is that it runs in this network namespace.
    command = [*stack.prefix, "ovs-vswitchd", f"unix:{tmp_path}/none.sock", f"--unixctl={tmp_path}/other.ctl"]
    with process(command, tmp_path / "other.log") as other:
        wait_until((tmp_path / "other.ctl").exists, deadline=20, what="the other switch runs")
        up = stack.up()
        assert up.returncode == 0, up.stderr
        assert f"another Open vSwitch runs here (pid {other.pid}): this stack starts none" in up.stdout
        assert not {"ovsdb-server", "ovs-vswitchd"} & set(stack.pids())
        assert stack.run("status").returncode == 0
