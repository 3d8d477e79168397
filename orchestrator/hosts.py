"""What a launch needs of its host besides the engine: one set of parts for this host, another for all others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.blockdevices import BlockDevice
from orchestrator.engines.docker_engine import DockerEngine
from orchestrator.engines.named_volumes import NamedVolumes
from orchestrator.launch.protocols import Volumes
from orchestrator.limits import Limits
from orchestrator.prometheus import PrometheusClient
from orchestrator.remote.disks import RemoteDisks
from orchestrator.remote.limits import RemoteLimits
from orchestrator.settings import HostSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class HostParts:
    """What of a host is read and made by other means on this host than on others.

    Attributes:
        disk_of: the whole disk under a folder of that host; raises VdbmonError where it isn't known.
        read_limits: what a container is held to, and who told; None if there is no such container any more.
    """

    volumes: Volumes
    disk_of: Callable[[Path], BlockDevice]
    read_limits: Callable[[str], Limits | None]


def remote_parts(host: HostSettings, engine: DockerEngine, prometheus: PrometheusClient) -> HostParts:
    """The parts of a host whose kernel and disks can't be seen from here. Nothing is asked yet."""
    disks = RemoteDisks(name=host.name, told=host.disks, prometheus=prometheus)
    return HostParts(
        volumes=NamedVolumes(engine.connection, disks),
        disk_of=disks,
        read_limits=RemoteLimits(host=host.name, agent=host.agent, engine=engine, prometheus=prometheus),
    )
