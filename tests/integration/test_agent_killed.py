"""A real agent that is killed with -9 while a command of its exec input runs: nothing of the command lives on."""

import os
import signal
import subprocess
from pathlib import Path

from tests.support.agent import VDBMON
from tests.support.servers import free_port, http_get
from tests.support.wait import wait_until

PATIENCE = 30.0


def runs(pid_file: Path) -> bool:
    """Whether the process whose number a script wrote is there, and no zombie."""
    try:
        return Path(f"/proc/{pid_file.read_text().strip()}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_killed_agent_leaves_no_command_and_no_child_of_it(tmp_path: Path) -> None:
    script = tmp_path / "plugin"
    script.write_text(
        f"#!/bin/sh\ntrap '' TERM HUP\n(trap '' TERM HUP; exec sleep 300) &\necho $! >{tmp_path}/child\n"
        f"echo $$ >{tmp_path}/command\nwait\n"
    )
    script.chmod(0o755)
    port = free_port()
    config = tmp_path / "vdbmon.toml"
    config.write_text(
        f'[host]\nname = "h"\n[agent]\nlisten = "127.0.0.1:{port}"\n'
        f'[inputs.docker]\naddress = "unix://{tmp_path}/none.sock"\n'
        f'[[inputs.exec]]\ncommands = ["{script}"]\ntimeout = "200s"\ninterval = "300s"\n'
    )
    with (tmp_path / "log").open("wb") as log:
        agent = subprocess.Popen([VDBMON, "agent", "run", "--config", str(config)], stderr=log)
    try:
        wait_until(lambda: http_get(f"http://127.0.0.1:{port}/metrics"), deadline=PATIENCE, what="the agent answers")
        wait_until(lambda: runs(tmp_path / "command"), deadline=PATIENCE, what="the command runs")
        assert runs(tmp_path / "child")
    finally:
        os.kill(agent.pid, signal.SIGKILL)
        agent.wait(PATIENCE)
    for name in ("command", "child"):
        wait_until(lambda name=name: not runs(tmp_path / name), deadline=PATIENCE, what=f"the {name} ends")  # type: ignore[misc]
