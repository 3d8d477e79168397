"""Take back a launch, also one that stopped halfway: container, allocation, and the volume unless a backup is in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from collector.errors import VdbmonError
from orchestrator.backup.chains import children_of
from orchestrator.backup.results import is_good
from orchestrator.decision.resources import HELD_WHILE_RUNNING, ResourceClass
from orchestrator.engines.engine import Engine
from orchestrator.launch import Addresses, Volumes, remove_own
from orchestrator.ledger import LaunchRecord, LaunchState, Ledger, TakenOverError

REMOVE = "remove"
"""The step that a launch is at while somebody removes it, or died over it."""

_TAKE_OVER_ATTEMPTS = 20
"""A launch that is under way writes a sign of life a few times a second at the most."""


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
    """Removes by name. Every step may be done again; one that was killed is finished by `vdbmon reconcile`."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        engines: Mapping[str, Engine],
        volumes: Callable[[str], Volumes],
        addresses: Addresses | None,
        local_host: str,
        clock: Callable[[], float],
    ) -> None:
        self._ledger = ledger
        self._engines = engines
        self._volumes = volumes
        self._addresses = addresses
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
        parts: list[Removal] = []
        errors: list[VdbmonError] = []
        for record in records:
            if record.state is not LaunchState.REMOVED or record.volume is not None:
                try:
                    parts.append(self._remove(record, with_volume=with_volume, engine_lost=engine_lost))
                except VdbmonError as error:
                    errors.append(error)  # a host that is gone costs its own launch
        if errors:
            raise errors[0]
        return Removal(
            containers_removed=tuple(item for part in parts for item in part.containers_removed),
            volumes_removed=tuple(item for part in parts for item in part.volumes_removed),
            volumes_kept=tuple(item for part in parts for item in part.volumes_kept),
        )

    def finish(self, record: LaunchRecord) -> Removal:
        """Remove one launch whose removal somebody began; a volume with a good backup stays.

        Raises:
            TakenOverError: somebody else works on it again.
            VdbmonError: as `remove`.
        """
        self._ledger.take_over(record, REMOVE, at=self._clock())
        return self._remove_parts(record, with_volume=False, engine_lost=False)

    def _remove(self, record: LaunchRecord, *, with_volume: bool, engine_lost: bool) -> Removal:
        if record.state is not LaunchState.REMOVED and not engine_lost:
            self._known_engine(record.host)  # before anything is begun that somebody would have to finish
        self._take_over(record)
        return self._remove_parts(record, with_volume=with_volume, engine_lost=engine_lost)

    def _take_over(self, record: LaunchRecord) -> None:
        """Make it one's own, whoever works on it: what he does next fails, and he takes back what he has made."""
        for _ in range(_TAKE_OVER_ATTEMPTS):
            now = self._ledger.launch(record.request_id)
            try:
                self._ledger.take_over(now or record, REMOVE, at=self._clock())
            except TakenOverError:
                continue
            return
        raise TakenOverError(record.name)

    def _remove_parts(self, record: LaunchRecord, *, with_volume: bool, engine_lost: bool) -> Removal:
        existed = False
        if record.state is not LaunchState.REMOVED:
            existed = self._remove_container(record, engine_lost=engine_lost)
        kept = record.volume is not None and not self._remove_volume(
            record, record.volume, with_volume=with_volume, engine_lost=engine_lost
        )
        volumes = (record.volume,) if record.volume else ()
        return Removal(
            containers_removed=(record.name,) if existed else (),
            volumes_removed=() if kept else volumes,
            volumes_kept=volumes if kept else (),
        )

    def remove_volume(self, host: str, volume: str) -> None:
        """Remove a volume whatever is in it, with all that is left of the launch that it belongs to.

        Raises:
            VdbmonError: as `remove`; nothing is half removed, and the call can be made again.
        """
        owners = [record for record in self._ledger.launches() if (record.host, record.volume) == (host, volume)]
        for record in owners:
            self._remove(record, with_volume=True, engine_lost=False)
        if not owners:
            self._volumes(host).remove(volume)
            self._ledger.backups.volume_removed(volume, at=self._clock())

    def _remove_container(self, record: LaunchRecord, *, engine_lost: bool) -> bool:
        existed = False
        if not engine_lost:
            existed = remove_own(self._known_engine(record.host), record.container_id or record.name, record.request_id)
        if self._addresses is not None:
            self._addresses.give_back(record.request_id)
        held = HELD_WHILE_RUNNING if record.volume else frozenset(ResourceClass)
        step = REMOVE if record.volume else None
        self._ledger.advance(record.request_id, LaunchState.REMOVED, at=self._clock(), release=held, step=step)
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

    def _remove_volume(self, record: LaunchRecord, volume: str, *, with_volume: bool, engine_lost: bool) -> bool:
        """Whether it is removed; one that holds a good backup is kept, and so is its disk space."""
        removed, volumes = LaunchState.REMOVED, self._volumes(record.host)
        if record.host == self._local_host or not engine_lost:  # an engine's own volumes are lost with it
            if not with_volume and holds_backup(volumes, volume):
                self._ledger.advance(record.request_id, removed, at=self._clock(), step=None)
                return False
            self._refuse_needed(record, volume)
            volumes.remove(volume)
            self._ledger.backups.volume_removed(volume, at=self._clock())
        everything = frozenset(ResourceClass)
        self._ledger.advance(record.request_id, removed, at=self._clock(), release=everything, volume=None, step=None)
        return True

    def _refuse_needed(self, record: LaunchRecord, volume: str) -> None:
        """A backup that somebody keeps, or that an increment builds on, is not removed by name either."""
        backups = self._ledger.backups.all(source=record.source)
        for backup in backups:
            if backup.volume != volume or not backup.present:
                continue
            if backup.kept(self._clock()):
                raise VdbmonError(
                    "backup.kept",
                    f"{backup.id} is kept: {backup.keep_why}",
                    f"`vdbmon backup keep --release {backup.id}`",
                )
            children = children_of(backup, backups)
            if children:
                raise VdbmonError("backup.needed", f"{children[0].id} builds on {backup.id}", "remove that one first")


def holds_backup(volumes: Volumes, volume: str) -> bool:
    """Whether there is a backup in it that must not be lost."""
    return is_good(volumes.record(volume))
