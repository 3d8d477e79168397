"""What a host has of ours: containers, volumes and networks, whatever the ledger says."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.engines.engine import Engine, ManagedContainer
from orchestrator.host.volumes import FoundVolume
from orchestrator.launch import FoundNetwork, Networks, Volumes


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """One host, as it was found; `fingerprint` is its engine's."""

    host: str
    fingerprint: str
    containers: tuple[ManagedContainer, ...]
    volumes: tuple[FoundVolume, ...]
    networks: tuple[FoundNetwork, ...]


def look(host: str, engine: Engine, volumes: Volumes, networks: Networks | None) -> Findings:
    """Ask a host. Whoever compares this with the ledger reads the ledger afterwards: an intent is written first.

    Raises:
        VdbmonError: something of it doesn't answer, or refuses.
    """
    return Findings(
        host=host,
        fingerprint=engine.probe().fingerprint,
        containers=engine.managed(),
        volumes=volumes.found(),
        networks=() if networks is None else networks.found(host),
    )
