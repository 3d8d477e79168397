"""What a launch makes: the spec that the ledger keeps, its container, and the labels that say whose it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from collector import labels
from orchestrator.backup.commands import VOLUME_TARGET, Invocation
from orchestrator.decision.request import Request
from orchestrator.decision.resources import ResourceClass
from orchestrator.engines.engine import BindMount, ContainerSpec, DeviceRate, NamedMount
from orchestrator.host.blockdevices import BlockDevice
from orchestrator.host.volumes import Volume

PIDS_LIMIT = 256

_ID_DIGITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSpec:
    """What a launch is to make; the ledger keeps it. Amounts in their classes' units; no secrets, only their paths.

    Attributes:
        pool: that its address is from; None for no network.
        cpuset: processors that it may run on, as `0-3,6`; None for all.
        volume: name of the sized volume, and the id of the result in it.
        volume_size: bytes.
        read_from: folders of the host that the job reads; the disks under them are limited.
        network: Docker network; None for that of its pool, or none at all.
        reads: ids of the backups that have to stay while it runs.
    """

    name: str
    image: str
    command: tuple[str, ...]
    mounts: tuple[BindMount | NamedMount, ...]
    volume: str
    volume_size: int
    cpu: int
    memory: int
    read_bps: int
    write_bps: int
    read_from: tuple[Path, ...]
    read_iops: int | None = None
    write_iops: int | None = None
    cpuset: str | None = None
    pool: str | None = None
    network: str | None = None
    reads: tuple[str, ...] = ()
    pids: int = PIDS_LIMIT

    def document(self) -> dict[str, Any]:
        """The spec in JSON terms."""
        document: dict[str, Any] = json.loads(json.dumps(asdict(self), default=str))
        return document

    def digest(self) -> str:
        """SHA-256 of the document."""
        return hashlib.sha256(json.dumps(self.document(), sort_keys=True).encode()).hexdigest()


def parse_spec(document: Mapping[str, Any]) -> LaunchSpec | None:
    """The spec of a record; None where the ledger was rebuilt and doesn't know it."""
    try:
        return _to_spec().validate_python(dict(document))
    except ValidationError:
        return None


@cache
def _to_spec() -> TypeAdapter[LaunchSpec]:
    """Made when it is needed: no launch reads its spec back."""
    return TypeAdapter(LaunchSpec)


def volume_name(request: Request) -> str:
    """A volume of this attempt alone: a name can come again while an older backup of it is kept."""
    return f"{request.name.lower()}-{request.request_id[:_ID_DIGITS]}"


def launch_spec(request: Request, image: str, run: Invocation) -> LaunchSpec:
    """What a checked request makes on its host."""
    amounts = request.amounts
    return LaunchSpec(
        name=request.name,
        image=image,
        command=run.command,
        mounts=run.mounts,
        volume=volume_name(request),
        volume_size=amounts[ResourceClass.DISK],
        cpu=amounts[ResourceClass.CPU],
        memory=amounts[ResourceClass.MEMORY],
        read_bps=amounts[ResourceClass.READ_BPS],
        write_bps=amounts[ResourceClass.WRITE_BPS],
        read_iops=amounts.get(ResourceClass.READ_IOPS),
        write_iops=amounts.get(ResourceClass.WRITE_IOPS),
        cpuset=request.wishes.cpuset,
        pool=request.wishes.pool,
        read_from=run.folders,
        network=run.network,
        reads=request.inputs.ids,
    )


def container_spec(
    spec: LaunchSpec,
    *,
    volume: Volume,
    disks: Iterable[BlockDevice],
    container_labels: Mapping[str, str],
    network: str | None = None,
    address: str | None = None,
) -> ContainerSpec:
    """The container of a spec; `disks` are those under `spec.read_from`.

    Reads are limited where the data lies, writes on the volume's own device and nowhere else: the loop device writes
    directly (`LoopVolumes`), and limits on it and on the disk beneath would add up their waits.
    """
    read = partial(DeviceRate, read_bps=spec.read_bps, read_iops=spec.read_iops)
    rates = {disk.number: read(path=disk.path, number=disk.number) for disk in disks}
    rates[volume.device.number] = read(
        path=volume.device.path, number=volume.device.number, write_bps=spec.write_bps, write_iops=spec.write_iops
    )
    return ContainerSpec(
        name=spec.name,
        image=spec.image,
        command=spec.command,
        labels=container_labels,
        mounts=(*spec.mounts, volume.mount(VOLUME_TARGET)),
        cpu=spec.cpu,
        memory=spec.memory,
        pids=spec.pids,
        devices=tuple(rate for _, rate in sorted(rates.items())),
        cpuset=spec.cpuset,
        network=network or spec.network,
        address=address,
    )


def labels_of(request: Request, *, generation: int, spec_hash: str) -> dict[str, str]:
    """The labels by which a container is known to be ours, and whose."""
    return {
        labels.MANAGED: "true",
        labels.NAME: request.name,
        labels.REQUEST_ID: request.request_id,
        labels.JOB: request.job,
        labels.SOURCE: request.source.name,
        labels.GENERATION: str(generation),
        labels.SPEC_HASH: spec_hash,
    }
