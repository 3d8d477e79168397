"""Reconcile in the fleet model: what is silent and what is a leak is told by the product, what is done is modelled."""

from __future__ import annotations

from types import MappingProxyType

from collector import labels
from orchestrator.engines.engine import ContainerState, ManagedContainer
from orchestrator.host.volumes import FoundVolume
from orchestrator.launch import Address
from orchestrator.ledger import LaunchState
from orchestrator.placement.removal import REMOVE
from orchestrator.reconcile import GRACE_SECONDS, Leak, LeakKind
from orchestrator.reconcile.findings import Findings
from orchestrator.reconcile.leaks import Book, find_leaks, is_silent
from tests.support.fleet_model import FleetModel, Host

_Sightings = dict[tuple[str, str, str], tuple[float, int]]


class Reconciles:
    """What reconcile does to a fleet, and what it saw before."""

    def __init__(self, fleet: FleetModel) -> None:
        self._fleet = fleet
        self._seen: _Sightings = {}

    def run(self) -> None:
        """Visit all hosts that answer."""
        for host in self._fleet.hosts.values():
            if not host.lost:
                self._mend(host)
                self._clear(host)

    def leaks(self, host: Host) -> tuple[Leak, ...]:
        """What the product says of it."""
        fleet = self._fleet
        launches = {key: launch.record() for key, launch in fleet.ledger.items()}
        addresses = tuple(Address(request_id=key, host=host.name, pool="a", ip=key) for key in sorted(host.addresses))
        book = Book(launches=launches, addresses=addresses, pools=frozenset({"a"}))
        return find_leaks(_findings(host), book, now=fleet.now)

    def _mend(self, host: Host) -> None:
        fleet = self._fleet
        for launch in fleet.ledger.values():
            if launch.host != host.name:
                continue
            if is_silent(launch.record(), fleet.now):
                launch.turn += 1
                started = host.owners.get(launch.job.name) == launch.job.request_id and launch.job.name in host.running
                if launch.step == REMOVE or not started:
                    fleet.undo(launch)
                    continue
                launch.state, launch.step = LaunchState.RUNNING, None
            if launch.state is LaunchState.RUNNING and launch.job.name not in host.running:
                fleet.settle(launch)

    def _clear(self, host: Host) -> None:
        now = self._fleet.now
        found = {(host.name, leak.kind.value, leak.identity): leak for leak in self.leaks(host)}
        before = {key: seen for key, seen in self._seen.items() if key[0] != host.name or key in found}
        self._seen = before
        for key, leak in found.items():
            first, times = before.get(key, (now, 0))
            self._seen[key] = (first, times + 1)
            if leak.mendable and times and now - first >= GRACE_SECONDS:
                self._remove(host, leak)

    def _remove(self, host: Host, leak: Leak) -> None:
        request_id = leak.request_id or ""
        match leak.kind:
            case LeakKind.CONTAINER:
                self._fleet.drop_container(host, leak.name)
            case LeakKind.VOLUME:
                host.volumes.discard(request_id)
            case LeakKind.ADDRESS:
                host.addresses.discard(request_id)
            case _:
                raise AssertionError(f"nobody mends a {leak.kind}")


def _findings(host: Host) -> Findings:
    containers = tuple(
        ManagedContainer(
            state=ContainerState(
                id=f"{name}-{request_id}",
                name=name,
                status="running" if name in host.running else "created",
                labels=MappingProxyType({labels.REQUEST_ID: request_id}),
            ),
            image="x",
            command=(),
            created_at=0.0,
            cpu=0,
            memory=0,
            read_bps=0,
            write_bps=0,
            mounts={},
        )
        for name, request_id in host.owners.items()
    )
    volumes = tuple(
        FoundVolume(name=key, labels={labels.REQUEST_ID: key}, created_at=0.0, size_bytes=1)
        for key in sorted(host.volumes)
    )
    return Findings(host=host.name, fingerprint=host.name, containers=containers, volumes=volumes, networks=())
