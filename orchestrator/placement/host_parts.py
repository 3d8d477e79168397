"""What a launch needs of its host besides the engine: one set of parts for this host, another for all others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.engines.docker_engine import DockerEngine
from orchestrator.engines.named_volumes import NamedVolumes
from orchestrator.engines.pool_networks import PoolNetworks
from orchestrator.host.blockdevices import BlockDevice
from orchestrator.host.limits import Limits
from orchestrator.launch.protocols import Volumes
from orchestrator.remote.disks import RemoteDisks
from orchestrator.remote.limits import RemoteLimits
from orchestrator.settings import FleetSettings, HostSettings
from orchestrator.survey.fleet import PROMETHEUS_SECONDS
from orchestrator.survey.prometheus import PrometheusClient


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """How all hosts of a fleet are reached.

    Attributes:
        remote: the parts of all hosts but this one.
    """

    engines: Mapping[str, DockerEngine]
    networks: PoolNetworks
    remote: Mapping[str, HostParts]


@contextmanager
def reached(fleet: FleetSettings, local_host: str) -> Iterator[Hosts]:
    """All hosts; nothing is asked yet. Sockets and ssh are given back at the end."""
    engines = {host.name: DockerEngine(host.docker, tls=host.tls, ssh=host.ssh) for host in fleet.hosts}
    connections = {name: engine.connection for name, engine in engines.items()}
    prometheus = PrometheusClient(fleet.prometheus.url, timeout=PROMETHEUS_SECONDS)
    try:
        yield Hosts(
            engines=engines,
            networks=PoolNetworks({pool.name: pool for pool in fleet.pools}, connections),
            remote={
                host.name: remote_parts(host, engines[host.name], prometheus)
                for host in fleet.hosts
                if host.name != local_host
            },
        )
    finally:
        for engine in engines.values():
            engine.close()


def remote_parts(host: HostSettings, engine: DockerEngine, prometheus: PrometheusClient) -> HostParts:
    """The parts of a host whose kernel and disks can't be seen from here. Nothing is asked yet."""
    disks = RemoteDisks(name=host.name, told=host.disks, prometheus=prometheus)
    return HostParts(
        volumes=NamedVolumes(engine.connection, disks),
        disk_of=disks,
        read_limits=RemoteLimits(host=host.name, agent=host.agent, engine=engine, prometheus=prometheus),
    )
