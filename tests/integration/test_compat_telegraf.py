"""`vdbmon agent test` on this machine, held against what docs/compat.md says of telegraf's names."""

import subprocess
from pathlib import Path

import pytest

from collector.influx_lines import parse_line
from collector.projections.point import Point
from tests.support.agent import VDBMON, Agent, run_container
from tests.support.dockerd import OwnDockerd
from tests.support.telegraf_names import CONDITIONAL, denied, names_of, promised, unlisted
from tests.support.wait import wait_until

# What depends on this machine: its network cards, its cgroup version, whether its disks do anything in that second.
HERE = (
    *("net speed", "diskio io_await", "diskio io_svctm", "system n_physical_cpus", "net udplite_", "net "),
    *(
        "docker_container_net",
        "docker_container_mem total_",
        "docker_container_mem pgp",
        "docker_container_mem max_usage",
    ),
    *("docker_container_blkio io_service_bytes_recursive_", "swap ", "docker_container_mem rss_huge"),
)


@pytest.fixture
def points(own_dockerd: OwnDockerd, tmp_path: Path) -> list[Point]:
    run_container(own_dockerd, "ended", "false", network_mode="none").wait()
    run_container(
        own_dockerd,
        "busy",
        *("sh", "-c", "dd if=/dev/zero of=/tmp/x bs=1M count=8 conv=fsync; while :; do :; done"),
        network_mode="none",
        nano_cpus=100_000_000,
        mem_limit="64m",
        healthcheck={"test": ["CMD", "true"], "interval": 10**9},
    )
    container = own_dockerd.client().containers.get("busy")

    def is_healthy() -> bool:
        container.reload()
        return bool(container.attrs["State"]["Health"]["Status"] == "healthy")

    wait_until(is_healthy, deadline=30, what="the health check")
    agent = Agent(own_dockerd, tmp_path, f'root = "{own_dockerd.root}"\n')
    answer = subprocess.run(
        [VDBMON, "agent", "test", "--config", str(agent.config)], capture_output=True, check=True, timeout=60
    )
    found = [parse_line(line) for line in answer.stdout.decode().splitlines()]
    assert None not in found
    return [point for point in found if point is not None]


def test_the_page_says_what_the_agent_sends(points: list[Point]) -> None:
    sent = set(names_of(points))
    absent = {name for name in promised() - sent - CONDITIONAL if not name.startswith(HERE)}
    assert absent == set()
    assert denied(sent) == []
    assert unlisted(sent) == set()
