"""What a launch needs of its host besides the engine: sized volumes, addresses, networks; each behind a protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from orchestrator.backup.runner.record import Record
from orchestrator.backup.volume_contents import Contents
from orchestrator.host.volumes import FoundVolume, Volume


class Volumes(Protocol):
    """Volumes of jobs on one host: sized ones, or the engine's own named ones, which have no size."""

    sized: bool

    def create(self, name: str, size_bytes: int, volume_labels: Mapping[str, str] | None = None) -> Volume:
        """Make one; its labels say whose it is when its container is gone."""

    def get(self, name: str) -> Volume | None:
        """The one of that name."""

    def remove(self, name: str) -> None:
        """Remove it; nothing to do if there is none."""

    def record(self, name: str) -> Record | None:
        """The record of the backup in it; None if there is none, or none that can be trusted.

        Raises:
            VdbmonError: nobody can look into it now.
        """

    def contents(self, name: str) -> Contents | None:
        """What is in it of backups; None if there is no such volume.

        Raises:
            VdbmonError: nobody can look into it now.
        """

    def write_decisions(self, name: str, text: str) -> bool:
        """Leave what was decided about its backup in it (`orchestrator.backup.decisions`); whether it is there.

        Raises:
            VdbmonError: it can't be written now.
        """

    def list(self) -> tuple[str, ...]:
        """Names of all that there are; mounts nothing."""

    def found(self) -> tuple[FoundVolume, ...]:
        """All that there are, and what is left of some; mounts nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An address that a launch has; `ip` is without a prefix length."""

    request_id: str
    host: str
    pool: str
    ip: str


class Addresses(Protocol):
    """Addresses of the fleet's pools. A launch has one at the most."""

    def take(self, request_id: str, host: str, pool: str) -> Address:
        """One of the pool; a launch that has one already gets the same again.

        Raises:
            VdbmonError: no such pool on that host, or none is free.
        """

    def give_back(self, request_id: str) -> None:
        """Give back the one of a launch; nothing to do if it has none."""

    def taken(self) -> tuple[Address, ...]:
        """All that launches have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundNetwork:
    """A network that carries our label, as an engine has it.

    Attributes:
        pool: that it was made for.
        created_at: seconds since the epoch.
        addresses: by container id; without prefix lengths.
    """

    name: str
    pool: str
    created_at: float
    addresses: Mapping[str, str]


class Networks(Protocol):
    """Networks of the hosts' engines, one per pool. Containers of a pool share one, so it outlives each of them."""

    def ensure(self, host: str, pool: str) -> str:
        """Make the host's network of that pool if it is missing; its name for the engine.

        Raises:
            EngineUnreachableError: what the engine did, if anything, is unknown.
            VdbmonError: the engine refused.
        """

    def found(self, host: str) -> tuple[FoundNetwork, ...]:
        """Those that the host's engine has.

        Raises:
            EngineUnreachableError: it doesn't answer.
        """
