"""The real lxcfs over the /proc of a real container: it answers, hangs, and dies."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.catalogue import lxcfs
from tests.support.agent import VDBMON, Agent, run_container
from tests.support.dockerd import OwnDockerd
from tests.support.servers import process
from tests.support.wait import wait_until

PATIENCE = 20.0
BOUND = ("meminfo", "stat", "uptime")


@pytest.fixture
def mount_point(tmp_path: Path) -> Iterator[Path]:
    point = tmp_path / "lxcfs"
    point.mkdir()
    yield point
    subprocess.run(["umount", "--lazy", point], check=False, stderr=subprocess.DEVNULL)


@contextlib.contextmanager
def running_lxcfs(point: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = ["lxcfs", "--foreground", f"--pidfile={point}.pid", str(point)]
    with process(command, point.with_suffix(".log")) as started:
        wait_until((point / "proc/uptime").exists, deadline=PATIENCE, what="lxcfs is mounted")
        yield started


def container_with(daemon: OwnDockerd, point: Path, name: str) -> None:
    bound = [f"{point}/proc/{file}:/proc/{file}:ro" for file in BOUND]
    run_container(daemon, name, "sleep", "600", network_mode="none", volumes=bound)


def watched(daemon: OwnDockerd, folder: Path, name: str) -> tuple[float | None, float | None]:
    """Mounts and health of a container, as an agent tells them that begins now."""
    agent = Agent(daemon, folder)
    with process([VDBMON, "agent", "run", "--config", str(agent.config)], agent.log):
        wait_until(
            lambda: agent.value(lxcfs.LAST_READ.name) and agent.value("container_last_seen", name=name),
            deadline=PATIENCE,
            what="the first round",
        )
        assert agent.value("vdbmon_input_up", input="lxcfs") == 1
        return agent.value(lxcfs.MOUNTS.name, name=name), agent.value(lxcfs.HEALTHY.name, name=name)


def test_health_follows_lxcfs_and_a_new_one_is_another(
    own_dockerd: OwnDockerd, mount_point: Path, tmp_path: Path
) -> None:
    run_container(own_dockerd, "without", "sleep", "600", network_mode="none")
    with running_lxcfs(mount_point) as first:
        container_with(own_dockerd, mount_point, "old")
        assert watched(own_dockerd, tmp_path, "old") == (3, 1)
        assert watched(own_dockerd, tmp_path, "without") == (None, None)
        first.send_signal(signal.SIGSTOP)
        assert watched(own_dockerd, tmp_path, "old") == (3, 0)
        first.send_signal(signal.SIGCONT)
        assert watched(own_dockerd, tmp_path, "old") == (3, 1)
        os.kill(first.pid, signal.SIGKILL)
        first.wait(PATIENCE)
    assert watched(own_dockerd, tmp_path, "old") == (3, 0)
    subprocess.run(["umount", mount_point], check=True)
    with running_lxcfs(mount_point):
        container_with(own_dockerd, mount_point, "new")
        assert watched(own_dockerd, tmp_path, "new") == (3, 1)
        assert watched(own_dockerd, tmp_path, "old") == (3, 0)
