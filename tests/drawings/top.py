"""Draws docs/images/top.svg: `.venv/bin/python -m tests.drawings.top`, as root, about a minute.

Real containers on a Docker daemon of its own compress and unpack files with zstd under limits, a real agent measures
them, and a second host of the picture doesn't answer. Containers of others on the machine are left out.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from tests.support.agent import VDBMON, Agent, run_container
from tests.support.disks import MIB, Disk, loop_disk
from tests.support.dockerd import OwnDockerd, own_dockerd
from tests.support.servers import free_port, process
from tests.support.wait import wait_until
from vdbmon.top.agents import Questions, agent_at
from vdbmon.top.controls import Controls
from vdbmon.top.fleet import Fleet, HostView
from vdbmon.top.frame import Size, screen_lines
from vdbmon.top.glyphs import UTF8
from vdbmon.top.listing import Sort, list_rows
from vdbmon.top.live import DEADLINE, take_answers

PICTURE = Path("docs/images/top.svg")
SIZE = Size(118, 12)
READINGS = 25
INTERVAL = 1.2

READ = "dd if=/data/plain bs=1M iflag=direct"
BACKUP = f"while :; do {READ} | zstd -3 -T1 -q | dd of=/data/$NAME bs=256k iflag=fullblock oflag=direct; done"
RESTORE = "while :; do zstd -dc -q /data/packed | dd of=/data/$NAME bs=1M iflag=fullblock oflag=direct; done"
HOST_LIBRARIES = ["/usr:/usr:ro", "/lib:/lib:ro", "/lib64:/lib64:ro"]  # the tiny image has no zstd


def start(daemon: OwnDockerd, disk: Disk, name: str, script: str, cpus: float, **limits: int) -> None:
    """A container that works on the disk under limits of bytes per second."""
    run_container(
        daemon,
        name,
        *("sh", "-c", script),
        environment={"NAME": name, "PATH": "/bin:/usr/bin"},
        network_mode="none",
        volumes=[f"{disk.point}:/data", *HOST_LIBRARIES],
        nano_cpus=int(cpus * 1e9),
        mem_limit=256 * MIB,
        **{f"device_{way}_bps": [{"Path": disk.device, "Rate": rate}] for way, rate in limits.items()},
    )


@contextlib.contextmanager
def host(folder: Path) -> Iterator[Agent]:
    """Containers at work, and the agent that watches them."""
    with loop_disk(folder, 512 * MIB) as disk, own_dockerd() as daemon:
        words = Path("/usr/bin/python3").resolve().read_bytes() * 12
        (disk.point / "plain").write_bytes(words[: 48 * MIB])
        subprocess.run(["zstd", "-q", disk.point / "plain", "-o", disk.point / "packed"], check=True)
        start(daemon, disk, "orders-backup", BACKUP, 0.5, read=24 * MIB, write=12 * MIB)
        start(daemon, disk, "crm-backup", BACKUP, 0.15, read=24 * MIB, write=12 * MIB)
        start(daemon, disk, "billing-backup", BACKUP, 0.5, read=6 * MIB, write=12 * MIB)
        start(daemon, disk, "audit-restore", RESTORE, 0.5, read=24 * MIB, write=8 * MIB)
        agent = Agent(daemon, folder)
        with process([VDBMON, "agent", "run", "--config", str(agent.config)], agent.log):
            wait_until(lambda: agent.value("container_last_seen", name="audit-restore"), deadline=30, what="the agent")
            yield agent


def watched(agent: Agent) -> tuple[HostView, ...]:
    """The host and one without an answer, after enough readings for a sparkline."""
    agents = (agent_at(f"127.0.0.1:{agent.port}", "dr-host-01"), agent_at(f"127.0.0.1:{free_port()}", "dr-host-02"))
    fleet, questions = Fleet(agents), Questions(DEADLINE, lambda: None)
    for _ in range(READINGS):
        questions.ask(agents)
        wait_until(lambda: take_answers(fleet, questions) and not questions.pending, deadline=DEADLINE, what="answers")
        time.sleep(INTERVAL)
    return tuple(map(without_strangers, fleet.views(time.monotonic())))


def without_strangers(view: HostView) -> HostView:
    """Only the containers of the daemon: the agent doesn't know the names of others."""
    if view.row is None:
        return view
    own = tuple(container for container in view.row.containers if container.image)
    return replace(view, row=replace(view.row, containers=own))


def draw(views: tuple[HostView, ...]) -> str:
    """The screen as SVG."""
    rows = list_rows(views, Sort.CPU)
    controls = Controls(selected=rows[2].key, index=2)
    console = Console(record=True, width=SIZE.width, file=io.StringIO(), soft_wrap=True)
    for line in screen_lines(views, rows, controls, size=SIZE, glyphs=UTF8, clock=time.strftime("%H:%M:%S")):
        console.print(line)
    return console.export_svg(title="vdbmon top", unique_id="top")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, host(Path(folder)) as agent:
        PICTURE.write_text(draw(watched(agent)))
