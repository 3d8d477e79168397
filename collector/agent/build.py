"""Puts the agent together from its settings: the explicit list of inputs and outputs."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import docker

from collector.agent.agent import Collector
from collector.agent.runner import Input, InputRunner
from collector.blockdevices import BlockDevices
from collector.catalogue import INPUT_MODULES, METRICS
from collector.cgroup.hierarchy import detect_hierarchy
from collector.child import ChildPool
from collector.clock import Clock
from collector.constant_tags import TagsOf, constant_tags
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
from collector.inputs.internal import ConfigLoads, InternalInput, OutputState
from collector.inputs.job import JobInput
from collector.inputs.lxcfs import LxcfsInput
from collector.inputs.network import NetworkInput
from collector.inputs.ovs import OvsInput
from collector.inputs.process import ProcessInput
from collector.inputs.tables import TablesInput
from collector.inputs.volume import VolumeInput
from collector.kernelfile import SkippedLines
from collector.metrics import declared
from collector.oom import OomKills
from collector.sample_filter import compile_sample_filter
from collector.settings import AgentSettings, InputSettings, TimedSettings
from collector.statvfs import FILESYSTEM_CHILD, StatvfsPool

# Seconds that a whole collection may take; below Prometheus' usual scrape timeout of 10 s, above any healthy gathering.
COLLECTION_DEADLINE = 3.0
DEFAULT_DOCKER_ROOT = Path("/var/lib/docker")

VOLUME_DEADLINE = 1.0  # seconds for one question to one volume
VOLUME_CHILDREN = 4  # so many volumes may hang before the others are no longer asked

# The inputs that read what the kernel or a daemon writes, and count what they don't understand of it.
_PARSING = ("host", "cgroup", "network", "process", "volume", "lxcfs", "job", "docker", "ovs", "tables")


@dataclass(frozen=True, slots=True)
class Inputs:
    """The parts that measure, ready to be started and closed."""

    collector: Collector
    index: ContainerIndex
    events: EventFollower
    filesystems: StatvfsPool
    volumes: ChildPool

    def close(self) -> None:
        """Stop following events, end the inputs and the child processes."""
        self.events.stop()
        self.collector.close()
        self.filesystems.close()
        self.volumes.close()
        self.index.close()


@dataclass(frozen=True, slots=True)
class _Shared:
    """What more than one input is made of; `skipped` by the input's name, `volumes` are children that ask volumes."""

    agent: AgentSettings
    inputs: InputSettings
    index: ContainerIndex
    docker_files: DockerFiles
    filesystems: StatvfsPool
    volumes: ChildPool
    oom_kills: OomKills
    skipped: Mapping[str, SkippedLines]
    clock: Clock


def build_inputs(
    agent: AgentSettings,
    inputs: InputSettings,
    outputs: Callable[[], Mapping[str, OutputState]],
    clock: Clock = time.time,
    *,
    oom_kills: OomKills | None = None,
    loaded: ConfigLoads | None = None,
) -> Inputs:
    """All inputs in their stages.

    `outputs` tells how the outputs fare, for the agent's own metrics, and `loaded` how the configuration does.
    `oom_kills` has the counts of containers that have ended, which outlive the inputs.
    """
    files = DockerFiles(inputs.docker.root or DEFAULT_DOCKER_ROOT)
    shared = _Shared(
        agent=agent,
        inputs=inputs,
        index=_index(agent, files),
        docker_files=files,
        filesystems=StatvfsPool(),
        volumes=ChildPool(FILESYSTEM_CHILD, deadline=VOLUME_DEADLINE, limit=VOLUME_CHILDREN),
        oom_kills=oom_kills or OomKills(),
        skipped={name: SkippedLines() for name in _PARSING},
        clock=clock,
    )
    measured: list[list[Input]] = [[ContainersInput(shared.index)], _inputs(shared)]
    stages = [[_runner(source, inputs, clock) for source in stage] for stage in measured]
    internal = InternalInput(
        version("vdbmon"),
        lambda: [runner.state() for stage in stages for runner in stage],
        outputs,
        shared.skipped,
        loaded or ConfigLoads(clock()),
    )
    stages_and_self = [*stages, [_runner(internal, inputs, clock)]]
    collector = Collector(stages_and_self, deadline=COLLECTION_DEADLINE, min_age=agent.min_age, clock=clock)
    return Inputs(collector, shared.index, _events(shared), shared.filesystems, shared.volumes)


def _inputs(shared: _Shared) -> list[Input]:
    """All that read the index or nothing but the host."""
    agent, inputs, index, skipped, clock = shared.agent, shared.inputs, shared.index, shared.skipped, shared.clock
    container_files = ContainerFiles(lambda: shared.docker_files.root, skipped["docker"])
    daemons = DaemonProcesses(agent.procfs, engine_address(inputs.docker.address))
    return [
        HostInput(agent.procfs, agent.sysfs, shared.filesystems, skipped["host"], clock),
        CgroupInput(index, BlockDevices(agent.procfs), shared.oom_kills, skipped["cgroup"], clock),
        NetworkInput(index, agent.procfs, skipped["network"]),
        ProcessInput(index, agent.procfs, inputs.process.groups, skipped["process"]),
        VolumeInput(
            index,
            procfs=agent.procfs,
            docker_root=lambda: shared.docker_files.root,
            children=shared.volumes,
            disk_usage=DiskUsage(inputs.volume.du, inputs.volume.du_interval, inputs.volume.du_timeout, clock),
            skipped=skipped["volume"],
            clock=clock,
        ),
        LxcfsInput(index, procfs=agent.procfs, children=shared.volumes, skipped=skipped["lxcfs"], clock=clock),
        JobInput(
            index,
            procfs=agent.procfs,
            volumes_dir=inputs.job.volumes_dir,
            children=shared.volumes,
            skipped=skipped["job"],
            clock=clock,
        ),
        ExecInput(commands_of(inputs.exec), ForeignMetrics(METRICS), clock),
        DockerInput(_engine(inputs), inputs.docker.timeout, container_files.scan, daemons.descriptors, clock),
        OvsInput(inputs.ovs, index, skipped["ovs"], clock),
        TablesInput(agent.procfs, agent.sysfs, inputs.ovs, skipped["tables"], clock),
    ]


def _engine(inputs: InputSettings) -> Callable[[], docker.APIClient]:
    """Connects to the engine that is watched."""
    return functools.partial(connect, engine_address(inputs.docker.address), inputs.docker.timeout)


def _events(shared: _Shared) -> EventFollower:
    """Follows the engine's events; where its data root isn't configured, the engine says it."""

    def found_root(root: Path) -> None:
        if shared.inputs.docker.root is None:
            shared.docker_files.root = root

    return EventFollower(_engine(shared.inputs), shared.index, shared.oom_kills, shared.clock, found_root)


def tags_of_inputs(inputs: InputSettings, global_tags: Mapping[str, str]) -> TagsOf:
    """The tags that the configuration puts on the samples of each metric."""
    sections = inputs.common()
    by_module = {module: sections.get(module.__name__.rpartition(".")[2]) for module in INPUT_MODULES}
    by_metric = {
        metric: section.tags
        for module, section in by_module.items()
        if section is not None and section.tags
        for metric in declared(vars(module).values())
    }
    return constant_tags(global_tags, by_metric)


def _runner(source: Input, inputs: InputSettings, clock: Clock) -> InputRunner:
    section = inputs.common().get(source.name)  # none of exec: its sections are the commands'
    return InputRunner(
        source,
        clock,
        interval=section.interval if isinstance(section, TimedSettings) else None,
        sample_filter=compile_sample_filter(section) if section else None,
    )


def _index(agent: AgentSettings, files: DockerFiles) -> ContainerIndex:
    mounts = (agent.procfs / "self" / "mounts").read_text(encoding="utf-8", errors="surrogateescape")
    hierarchy = detect_hierarchy(mounts, agent.cgroupfs)
    return ContainerIndex(hierarchy, files)
