"""The capabilities of the unit file are enough: the agent under them sees what it sees without bounds."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.agent import VDBMON, Agent, run_container
from tests.support.dockerd import OwnDockerd
from tests.support.servers import process
from tests.support.wait import wait_until

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "vdbmon-agent.service"
NEEDS_RIGHTS = {
    "vdbmon_process_open_fds",
    "vdbmon_process_read_bytes_total",
    "container_file_descriptors",
    "vdbmon_docker_process_open_fds",
    "container_start_time_seconds",
    "node_filesystem_size_bytes",
}


def bounds() -> list[str]:
    """setpriv(1) and its options for what the unit allows."""
    found = re.search(r"^CapabilityBoundingSet=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert found
    allowed = [f"+{name.removeprefix('CAP_').lower()}" for name in found[1].split()]
    return ["setpriv", "--no-new-privs", f"--bounding-set={','.join(['-all', *allowed])}", "--inh-caps=-all"]


def test_the_agent_sees_processes_of_other_users_under_the_unit_s_capabilities(
    own_dockerd: OwnDockerd, tmp_path: Path
) -> None:
    run_container(own_dockerd, "bounded", "sleep", "600", user="1234:1234")
    agent = Agent(own_dockerd, tmp_path)
    with process([*bounds(), VDBMON, "agent", "run", "--config", str(agent.config)], agent.log) as started:
        wait_until(
            lambda: agent.value("vdbmon_process_open_fds", name="bounded", group="other"),
            deadline=30,
            what="descriptors of a process of another user",
        )
        wait_until(
            lambda: {name for name, _ in agent.scrape() or {}} >= NEEDS_RIGHTS, deadline=30, what="what needs rights"
        )
        assert "CapEff:\t0000000000080004" in Path(f"/proc/{started.pid}/status").read_text()
        for name in ("host", "cgroup", "network", "process", "volume", "job", "docker", "tables"):
            assert agent.value("vdbmon_input_up", input=name) == 1, name


def test_the_agent_takes_the_descriptors_that_it_may_have(own_dockerd: OwnDockerd, tmp_path: Path) -> None:
    agent = Agent(own_dockerd, tmp_path)
    command = ["prlimit", "--nofile=40:4096", VDBMON, "agent", "run", "--config", str(agent.config)]
    with process(command, agent.log) as started:
        wait_until(lambda: agent.value("vdbmon_input_up", input="host") == 1, deadline=30, what="the agent answers")
        limits = Path(f"/proc/{started.pid}/limits").read_text()
        assert re.search(r"^Max open files\s+4096\s+4096", limits, re.MULTILINE)
