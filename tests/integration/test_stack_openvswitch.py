"""The stack's own Open vSwitch, in a network namespace of the test's: two of them can't share one."""

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from collector.inputs import ovs
from collector.settings import OvsSettings
from tests.support.agent import run_container
from tests.support.dockerd import OwnDockerd
from tests.support.openvswitch import run
from tests.support.servers import process
from tests.support.stack import VDBMON, OwnStack, write_stack
from tests.support.wait import wait_until
from vdbmon.config import load_config
from vdbmon.stack.openvswitch import BRIDGE, CONTAINER_PORT, PORT, PORT_VLAN


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
    assert links(stack) == []


PLUG = """
import sys
from pathlib import Path
from vdbmon.stack.layout import Layout
from vdbmon.stack.openvswitch import plug_container
plug_container(Layout(state=Path(sys.argv[1]), config=Path(sys.argv[2])), sys.argv[3], int(sys.argv[4]))
"""
READ = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=20).read().decode())"


def links(stack: OwnStack) -> list[str]:
    return [line for line in run(*stack.prefix, "ip", "-o", "link").splitlines() if " lo: " not in line]


def test_a_container_on_the_bridge_gives_its_interface_a_name_until_down(
    stack: OwnStack, shared_dockerd: OwnDockerd
) -> None:
    up = stack.up()
    assert up.returncode == 0, up.stderr
    agent = f"http://{load_config(stack.layout.config).agent.listen}/metrics"
    joined = f'{ovs.CONTAINER_INFO.name}{{interface="{CONTAINER_PORT}",name="plugged"'
    for _ in range(2):  # the second container takes the place of the first, which died without a word
        container = run_container(shared_dockerd, "plugged", "sleep", "600", network_mode="none")
        identity = str(container.id)
        try:
            container.reload()
            pid = container.attrs["State"]["Pid"]
            folders = (str(stack.layout.state), str(stack.layout.config))
            for _ in range(2):
                run(*stack.prefix, sys.executable, "-c", PLUG, *folders, identity, str(pid))
            assert "eth0" in run("nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-o", "link")
            wait_until(
                lambda: joined in run(*stack.prefix, sys.executable, "-c", READ, agent),
                deadline=30,
                what="the interface has the container's name",
            )
        finally:
            container.remove(force=True)
    down = stack.run("stack", "down")
    assert down.returncode == 0, down.stderr
    assert links(stack) == []
    assert stack.up().returncode == 0
    ports = run(*stack.prefix, "ovs-vsctl", f"--db=unix:{stack.layout.ovs_socket}", "list-ports", BRIDGE).split()
    assert ports == [PORT], "the port went with the container"


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
