"""Puts the agent together from its settings: the explicit list of inputs and outputs."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from collector.agent.agent import Collector
from collector.agent.runner import Input, InputRunner
from collector.blockdevices import BlockDevices
from collector.catalogue import METRICS
from collector.cgroup.hierarchy import detect_hierarchy
from collector.child import ChildPool
from collector.containers import ContainerIndex, DockerFiles
from collector.diskusage import DiskUsage
from collector.docker_api import connect, engine_address
from collector.docker_events import EventFollower
from collector.docker_files import ContainerFiles
from collector.docker_processes import DaemonProcesses
from collector.foreign import ForeignMetrics
from collector.inputs.cgroup import CgroupInput
from collector.inputs.containers import ContainersInput
from collector.inputs.docker import DockerInput
from collector.inputs.exec import ExecInput, commands_of
from collector.inputs.host import HostInput
from collector.inputs.internal import InternalInput, OutputState
from collector.inputs.job import JobInput
from collector.inputs.lxcfs import LxcfsInput
from collector.inputs.network import NetworkInput
from collector.inputs.ovs import OvsInput
from collector.inputs.process import ProcessInput
from collector.inputs.tables import TablesInput
from collector.inputs.volume import VolumeInput
from collector.kernelfile import SkippedLines
from collector.oom import OomKills
from collector.settings import AgentSettings, InputSettings
from collector.statvfs import FILESYSTEM_CHILD, StatvfsPool

# Seconds that a whole collection may take; below Prometheus' usual scrape timeout of 10 s, above any healthy gathering.
COLLECTION_DEADLINE = 3.0
DEFAULT_DOCKER_ROOT = Path("/var/lib/docker")

VOLUME_DEADLINE = 1.0  # seconds for one question to one volume
VOLUME_CHILDREN = 4  # so many volumes may hang before the others are no longer asked


@dataclass(frozen=True, slots=True)
class Inputs:
    """The parts that measure, ready to be started and closed."""

    collector: Collector
    index: ContainerIndex
    events: EventFollower
    filesystems: StatvfsPool
    volumes: ChildPool

    def close(self) -> None:
        """Stop following events and end the child processes."""
        self.events.stop()
        self.filesystems.close()
        self.volumes.close()
        self.index.close()


def build_inputs(
    agent: AgentSettings,
    inputs: InputSettings,
    outputs: Callable[[], Mapping[str, OutputState]],
    clock: Callable[[], float] = time.time,
) -> Inputs:
    """All inputs in their stages. `outputs` tells how the outputs fare, for the agent's own metrics."""
    names = ("host", "cgroup", "network", "process", "volume", "lxcfs", "job", "docker", "ovs", "tables")
    skipped = {name: SkippedLines() for name in names}
    files = DockerFiles(inputs.docker.root or DEFAULT_DOCKER_ROOT)
    index = _index(agent, files)
    address = engine_address(inputs.docker.address)
    engine = functools.partial(connect, address, inputs.docker.timeout)
    docker_files = ContainerFiles(lambda: files.root, skipped["docker"])
    docker_processes = DaemonProcesses(agent.procfs, address)
    oom_kills = OomKills()
    filesystems = StatvfsPool()
    volumes = ChildPool(FILESYSTEM_CHILD, deadline=VOLUME_DEADLINE, limit=VOLUME_CHILDREN)
    devices = BlockDevices(agent.procfs)
    du = DiskUsage(inputs.volume.du, inputs.volume.du_interval, inputs.volume.du_timeout, clock)

    measured: list[list[Input]] = [
        [ContainersInput(index)],
        [
            HostInput(agent.procfs, agent.sysfs, filesystems, skipped["host"], clock),
            CgroupInput(index, devices, oom_kills, skipped["cgroup"], clock),
            NetworkInput(index, agent.procfs, skipped["network"]),
            ProcessInput(index, agent.procfs, inputs.process.groups, skipped["process"]),
            VolumeInput(
                index,
                procfs=agent.procfs,
                docker_root=lambda: files.root,
                children=volumes,
                disk_usage=du,
                skipped=skipped["volume"],
                clock=clock,
            ),
            LxcfsInput(index, procfs=agent.procfs, children=volumes, skipped=skipped["lxcfs"], clock=clock),
            JobInput(
                index,
                procfs=agent.procfs,
                volumes_dir=inputs.job.volumes_dir,
                children=volumes,
                skipped=skipped["job"],
                clock=clock,
            ),
            ExecInput(commands_of(inputs.exec), ForeignMetrics(METRICS), clock),
            DockerInput(engine, inputs.docker.timeout, docker_files.scan, docker_processes.descriptors, clock),
            OvsInput(inputs.ovs, index, skipped["ovs"], clock),
            TablesInput(agent.procfs, inputs.ovs, skipped["tables"], clock),
        ],
    ]
    stages = [[InputRunner(source, COLLECTION_DEADLINE, clock) for source in stage] for stage in measured]
    internal = InternalInput(
        version("vdbmon"), lambda: [runner.state() for stage in stages for runner in stage], outputs, skipped
    )
    stages_and_self = [*stages, [InputRunner(internal, COLLECTION_DEADLINE, clock)]]
    collector = Collector(stages_and_self, deadline=COLLECTION_DEADLINE, min_age=agent.min_age, clock=clock)

    def found_root(root: Path) -> None:
        if inputs.docker.root is None:
            files.root = root

    return Inputs(collector, index, EventFollower(engine, index, oom_kills, clock, found_root), filesystems, volumes)


def _index(agent: AgentSettings, files: DockerFiles) -> ContainerIndex:
    mounts = (agent.procfs / "self" / "mounts").read_text(encoding="utf-8", errors="surrogateescape")
    hierarchy = detect_hierarchy(mounts, agent.cgroupfs)
    return ContainerIndex(hierarchy, files)
