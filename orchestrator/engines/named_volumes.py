"""Volumes of a host that isn't this one: the engine's own named volumes, made and removed through its API.

They have no size: a job that writes more than it asked for takes it from its neighbours. A sized volume needs root on
its host. The size that was asked for is counted all the same, and kept in a label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from docker.errors import APIError, ImageNotFound, NotFound
from docker.types import Mount

from collector import labels
from collector.errors import VdbmonError
from orchestrator.backup.decisions import FILE_NAME
from orchestrator.backup.results import LARGEST, parse_result
from orchestrator.backup.runner.record import RECORD_NAME, Record
from orchestrator.backup.volume_contents import LARGEST_DECISIONS, Contents, partial_name
from orchestrator.engines.archive import archive_of, only_file
from orchestrator.engines.connection import Connection
from orchestrator.engines.engine import NamedMount
from orchestrator.host.blockdevices import BlockDevice
from orchestrator.host.volumes import FoundVolume

READER_JOB = "read"
"""The job of a container that is only there for a look into a volume."""

_CONFLICT = 409
_INSIDE = "/volume"
_OURS = {"label": f"{labels.MANAGED}=true"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedVolume:
    """A named volume of an engine.

    Attributes:
        size_bytes: that were asked for; nothing holds it to them.
        device: the disk under it.
    """

    name: str
    size_bytes: int
    device: BlockDevice

    def mount(self, target: Path) -> NamedMount:
        """See `Volume`."""
        return NamedMount(volume=self.name, target=target)


class NamedVolumes:
    """The volumes of one engine that carry our label; others are left alone, whatever they are called."""

    sized = False

    def __init__(self, connection: Connection, disk_of: Callable[[Path], BlockDevice]) -> None:
        """`disk_of` tells the whole disk under a folder of the engine's host."""
        self._connection = connection
        self._disk_of = disk_of

    def create(self, name: str, size_bytes: int, volume_labels: Mapping[str, str] | None = None) -> NamedVolume:
        """Make a volume; one of this name and request that is there already is the answer.

        Raises:
            EngineUnreachableError: what the engine did, if anything, is unknown.
            VdbmonError: `volume.exists`, of somebody else; `volume.no_disk`; or the engine refused.
        """
        device = self._disk_of(self._folder())
        wanted = {**(volume_labels or {}), labels.MANAGED: "true", labels.SIZE: str(size_bytes)}
        found = self._inspect(name)
        if found is None:
            with self._connection.answering():
                found = self._connection.client().api.create_volume(name, driver="local", labels=wanted)
        own = found["Labels"] or {}
        if own.get(labels.REQUEST_ID) != wanted.get(labels.REQUEST_ID) or labels.MANAGED not in own:
            raise VdbmonError(
                "volume.exists",
                f"engine {self._connection.address} has a volume {name} of somebody else",
                "choose another name",
            )
        return NamedVolume(name=name, size_bytes=size_bytes, device=device)

    def get(self, name: str) -> NamedVolume | None:
        """The volume of that name, if it is ours."""
        found = self._inspect(name)
        if found is None or not _is_ours(found):
            return None
        return NamedVolume(name=name, size_bytes=_size(found), device=self._disk_of(self._folder()))

    def list(self) -> tuple[str, ...]:
        """Names of all that are ours."""
        return tuple(volume.name for volume in self.found())

    def found(self) -> tuple[FoundVolume, ...]:
        """All that are ours, with the size that was asked for."""
        with self._connection.answering():
            answer = self._connection.client().api.volumes(filters=_OURS)
        found = (
            FoundVolume(
                name=item["Name"],
                labels=item["Labels"],
                created_at=datetime.fromisoformat(item["CreatedAt"]).timestamp(),
                size_bytes=_size(item),
            )
            for item in answer["Volumes"] or ()
        )
        return tuple(sorted(found, key=lambda volume: volume.name))

    def remove(self, name: str) -> None:
        """Remove it if it is ours; nothing to do if there is none.

        Raises:
            EngineUnreachableError: whether it is gone is unknown.
            VdbmonError: `volume.busy` while a container has it; or the engine refused.
        """
        found = self._inspect(name)
        if found is None or not _is_ours(found):
            return
        with self._connection.answering():
            self._remove_reader(name)
            try:
                self._connection.client().api.remove_volume(name)
            except NotFound:
                return
            except APIError as error:
                if error.status_code == _CONFLICT:
                    raise VdbmonError(
                        "volume.busy", f"volume {name} is in use: {error.explanation}", "end what uses it first"
                    ) from error
                raise

    def record(self, name: str) -> Record | None:
        """See `Volumes`. Read from a container that is made on the volume, never started, and removed again.

        Raises:
            EngineUnreachableError: the engine doesn't answer.
            VdbmonError: `volume.unread`, the engine has not the job's image any more.
        """
        found = self._inspect(name)
        if found is None or not _is_ours(found):
            return None
        with self._connection.answering(), self._reader(name, found["Labels"]) as container:
            return self._record(container, name)

    def contents(self, name: str) -> Contents | None:
        """See `Volumes`. An engine lists no folders: only what is called after the volume is found.

        Raises:
            EngineUnreachableError: the engine doesn't answer.
            VdbmonError: as `record`.
        """
        found = self._inspect(name)
        if found is None or not _is_ours(found):
            return None
        with self._connection.answering(), self._reader(name, found["Labels"]) as container:
            record = self._record(container, name)
            partial = partial_name(name)
            decisions = self._file(container, FILE_NAME, largest=LARGEST_DECISIONS)
            return Contents(
                records=() if record is None else ((name, record),),
                partial=(partial,) if self._is_there(container, partial) else (),
                decisions=None if decisions is None else decisions.decode(errors="replace"),
            )

    def write_decisions(self, name: str, text: str) -> bool:
        """See `Volumes`. The engine replaces the file; who cuts it off there leaves none that can be read.

        Raises:
            EngineUnreachableError: what the engine did, if anything, is unknown.
            VdbmonError: as `record`; or the engine refused.
        """
        found = self._inspect(name)
        if found is None or not _is_ours(found):
            return False
        with self._connection.answering(), self._reader(name, found["Labels"], read_only=False) as container:
            self._connection.client().api.put_archive(container, _INSIDE, archive_of(FILE_NAME, text.encode()))
        return True

    def _record(self, container: str, name: str) -> Record | None:
        content = self._file(container, f"{name}/{RECORD_NAME}", largest=LARGEST)
        return None if content is None else parse_result(content.decode(errors="replace"))

    def _file(self, container: str, path: str, *, largest: int) -> bytes | None:
        try:
            chunks, _ = self._connection.client().api.get_archive(container, f"{_INSIDE}/{path}")
        except NotFound:
            return None
        return only_file(chunks, largest=largest)

    def _is_there(self, container: str, path: str) -> bool:
        """Whether a volume has something of that name; of the stream that the engine makes of it nothing is read."""
        try:
            chunks, _ = self._connection.client().api.get_archive(container, f"{_INSIDE}/{path}")
        except NotFound:
            return False
        chunks.close()
        return True

    @contextmanager
    def _reader(self, name: str, own: Mapping[str, str], *, read_only: bool = True) -> Iterator[str]:
        self._remove_reader(name)
        api = self._connection.client().api
        try:
            made = api.create_container(
                own.get(labels.IMAGE, ""),
                ["true"],
                name=reader_name(name),
                labels={**own, labels.JOB: READER_JOB},
                host_config=api.create_host_config(
                    network_mode="none", mounts=[Mount(_INSIDE, name, "volume", read_only=read_only, no_copy=True)]
                ),
            )
        except ImageNotFound as error:
            raise VdbmonError(
                "volume.unread",
                f"volume {name} can't be looked into: {self._connection.address} has no image {own.get(labels.IMAGE)}",
                "load it there; `vdbmon rm --volume` doesn't look",
            ) from error
        try:
            yield str(made["Id"])
        finally:
            with suppress(NotFound):
                api.remove_container(made["Id"], force=True)

    def _remove_reader(self, name: str) -> None:
        """Of somebody who died over it; it would hold the volume."""
        with suppress(NotFound):
            self._connection.client().api.remove_container(reader_name(name), force=True)

    def _inspect(self, name: str) -> dict[str, Any] | None:
        with self._connection.answering():
            try:
                found: dict[str, Any] = self._connection.client().api.inspect_volume(name)
            except NotFound:
                return None
            return found

    def _folder(self) -> Path:
        """Where the engine keeps volumes on its host."""
        with self._connection.answering():
            return Path(self._connection.client().info()["DockerRootDir"]) / "volumes"


def reader_name(volume: str) -> str:
    """What the container is called that a volume is looked into from."""
    return f"vdbmon-read-{volume}"


def _is_ours(found: dict[str, Any]) -> bool:
    return labels.MANAGED in (found["Labels"] or {})


def _size(found: dict[str, Any]) -> int:
    text = found["Labels"].get(labels.SIZE, "")
    return int(text) if text.isdecimal() else 0
