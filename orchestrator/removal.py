"""Take back a launch, also one that stopped halfway: container, allocation, and the volume unless a backup is in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from collector.errors import VdbmonError
from orchestrator.engine import Engine
from orchestrator.launch import Volumes, remove_own
from orchestrator.ledger import LaunchRecord, LaunchState, Ledger
from orchestrator.resources import HELD_WHILE_RUNNING, ResourceClass
from orchestrator.results import is_good, read_result


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What became of all launches of one name: names of containers and of volumes."""

    containers_removed: tuple[str, ...]
    volumes_removed: tuple[str, ...]
    volumes_kept: tuple[str, ...]

    @property
    def nothing(self) -> bool:
        """Whether there was nothing to remove any more."""
        return not (self.containers_removed or self.volumes_removed or self.volumes_kept)


class Remover:
    """Removes by name. Every step may be done again."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        engines: Mapping[str, Engine],
        volumes: Volumes,
        local_host: str,
        clock: Callable[[], float],
    ) -> None:
        self._ledger = ledger
        self._engines = engines
        self._volumes = volumes
        self._local_host = local_host
        self._clock = clock

    def remove(self, name: str, *, with_volume: bool, engine_lost: bool) -> Removal:
        """Remove what is left of every launch of that name.

        Args:
            name: of the launch.
            with_volume: also volumes that hold a good backup.
            engine_lost: the engine is gone for good, and its containers with it: don't ask it.

        Raises:
            VdbmonError: `launch.not_found`, `engine.unknown`, `host.not_configured`, or what the engine or the volume
                says; what was removed until then stays removed, and the command can be given again.
        """
        records = self._ledger.launches_named(name)
        if not records:
            raise VdbmonError("launch.not_found", f"nothing called {name} was ever placed", "see `vdbmon ps`")
        containers: list[str] = []
        removed: list[str] = []
        kept: list[str] = []
        for record in records:
            if record.state is not LaunchState.REMOVED and self._remove_container(record, engine_lost=engine_lost):
                containers.append(record.name)
            if record.volume is None:
                continue
            if self._remove_volume(record, record.volume, with_volume=with_volume):
                removed.append(record.volume)
            else:
                kept.append(record.volume)
        return Removal(containers_removed=tuple(containers), volumes_removed=tuple(removed), volumes_kept=tuple(kept))

    def _remove_container(self, record: LaunchRecord, *, engine_lost: bool) -> bool:
        existed = False
        if not engine_lost:
            existed = remove_own(self._known_engine(record.host), record.container_id or record.name, record.request_id)
        held = HELD_WHILE_RUNNING if record.volume else frozenset(ResourceClass)
        self._ledger.advance(record.request_id, LaunchState.REMOVED, at=self._clock(), release=held)
        return existed

    def _known_engine(self, host: str) -> Engine:
        """The host's engine, if it is still the one that its launches were made on."""
        engine = self._engines.get(host)
        if engine is None:
            raise VdbmonError("host.not_configured", f"host {host} is not in [[hosts]]", "put it back, or use --lost")
        known, found = self._ledger.view().fingerprints.get(host), engine.probe().fingerprint
        if known not in {None, found}:
            raise VdbmonError(
                "engine.unknown",
                f"{host} has another engine ({found}) than the one that ran this ({known})",
                "bring that one back, or use --lost if it is gone for good",
            )
        return engine

    def _remove_volume(self, record: LaunchRecord, volume: str, *, with_volume: bool) -> bool:
        if record.host != self._local_host:
            raise VdbmonError(
                "volume.host_unsupported", f"volume {volume} is on {record.host}", f"run this command on {record.host}"
            )
        if not with_volume and self._holds_backup(volume):
            return False
        self._volumes.remove(volume)
        self._ledger.advance(
            record.request_id, LaunchState.REMOVED, at=self._clock(), release=frozenset(ResourceClass), volume=None
        )
        return True

    def _holds_backup(self, volume: str) -> bool:
        found = self._volumes.get(volume)
        return found is not None and is_good(read_result(found.mountpoint, volume))
