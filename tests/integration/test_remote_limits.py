"""Limits of a host that can't be looked into: its agent tells the kernel's, whatever the engine was told."""

import contextlib
from pathlib import Path

from orchestrator.engines.docker_engine import DockerEngine
from orchestrator.host.blockdevices import device_of
from orchestrator.host.limits import DeviceLimits, Told
from orchestrator.remote.limits import RemoteLimits
from orchestrator.survey.prometheus import PrometheusClient
from tests.support.agent import VDBMON, Agent, run_container
from tests.support.dockerd import OwnDockerd
from tests.support.servers import process
from tests.support.wait import wait_until

SOON = 20.0
CGROUPS = Path("/sys/fs/cgroup")


def test_limits_of_operations_are_the_kernels_own_and_not_the_engines_word(
    own_dockerd: OwnDockerd, tmp_path: Path
) -> None:
    disk = device_of(Path("/var/lib"))
    agent = Agent(own_dockerd, tmp_path)
    with (
        contextlib.closing(DockerEngine(own_dockerd.address)) as engine,
        process([VDBMON, "agent", "run", "--config", str(agent.config)], agent.log),
    ):
        wait_until(agent.scrape, deadline=SOON, what="the agent answers")
        container = run_container(
            own_dockerd,
            "limited",
            *("sleep", "600"),
            network_mode="none",
            device_read_iops=[{"Path": str(disk.path), "Rate": 700}],
            device_write_bps=[{"Path": str(disk.path), "Rate": 10**6}],
        )
        read = RemoteLimits(
            host="db2",
            agent=f"http://127.0.0.1:{agent.port}",
            engine=engine,
            prometheus=PrometheusClient("http://127.0.0.1:9", timeout=1.0),
        )

        def kernel_has(operations: int) -> bool:
            found = read(str(container.id))
            wanted = {str(disk.path): DeviceLimits(None, 10**6, operations, None)}
            return found is not None and found.told is Told.AGENT and found.devices == wanted

        wait_until(lambda: kernel_has(700), deadline=SOON, what="the agent has seen it")
        limit_reads(str(container.id), disk.number, 900)
        wait_until(lambda: kernel_has(900), deadline=SOON, what="the kernel's word counts")
        container.remove(force=True)


def limit_reads(container_id: str, number: str, operations: int) -> None:
    """Behind the engine's back."""
    if (CGROUPS / "blkio").is_dir():
        (path,) = (CGROUPS / "blkio").glob(f"**/*{container_id}*/blkio.throttle.read_iops_device")
        path.write_text(f"{number} {operations}")
    else:
        (path,) = CGROUPS.glob(f"**/*{container_id}*/io.max")
        path.write_text(f"{number} riops={operations}")
