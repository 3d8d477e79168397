"""What a job runs: its image, its command, and what of the host it sees."""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from collector import labels
from collector.errors import ConfigError, VdbmonError
from orchestrator.blockdevices import BlockDevice
from orchestrator.engine import BindMount, ContainerSpec, DeviceRate
from orchestrator.images import backup_tag
from orchestrator.resources import ResourceClass
from orchestrator.settings import Reach, SourceSettings
from orchestrator.snapshot import Request
from orchestrator.volumes import Volume

PIDS_LIMIT = 256
VOLUME_TARGET = Path("/backup")
SOCKET_TARGET = Path("/run/source")
CREDENTIALS_TARGET = Path("/run/secrets/source.cnf")

SMALLEST = MappingProxyType(
    {
        ResourceClass.CPU: 10,  # Docker's own lower bounds
        ResourceClass.MEMORY: 6 << 20,
        ResourceClass.DISK: 8 << 20,  # an ext4 with a journal
    }
)

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,47}")
_CPUSET = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")
_ID_DIGITS = 8
_GROUP_AND_OTHERS = 0o077


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A kind of work. `command` gets the source and the id under which the volume keeps the result."""

    image: str
    command: Callable[[SourceSettings, str], tuple[str, ...]]


def backup_command(source: SourceSettings, backup_id: str) -> tuple[str, ...]:
    """The backup runner's command line in its image."""
    socket = SOCKET_TARGET / _socket(source).name
    return (
        *("python3", "-m", "runner", "backup", "--source", source.name, "--backup-id", backup_id),
        *("--target", str(VOLUME_TARGET), "--socket", str(socket), "--defaults-file", str(CREDENTIALS_TARGET)),
    )


JOBS: Mapping[str, Job] = MappingProxyType({"backup": Job(image=backup_tag(), command=backup_command)})


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSpec:
    """What a launch is to make; the ledger keeps it. Amounts in their classes' units; no secrets, only their paths.

    Attributes:
        pool: that its address is from; None for no network.
        cpuset: processors that it may run on, as `0-3,6`; None for all.
        volume: name of the sized volume, and the id of the result in it.
        volume_size: bytes.
        read_from: folders of the host that the job reads; the disks under them are limited.
    """

    name: str
    image: str
    command: tuple[str, ...]
    mounts: tuple[BindMount, ...]
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


def check_request(request: Request) -> None:
    """Refuse what no host could run, before anything is asked or done.

    Raises:
        ConfigError: `request.name`, `request.job`, `request.size`, `request.cpuset`, `config.invalid`.
    """
    if not _NAME.fullmatch(request.name):
        raise ConfigError(
            "request.name",
            f"{request.name!r} is no container name",
            "use 2 to 48 of a-z, A-Z, 0-9, dot, dash and underscore, and begin with a letter or digit",
        )
    for key, smallest in SMALLEST.items():
        if request.amounts[key] < smallest:
            text = f"{key.label} of {key.amount_text(request.amounts[key])} is too small"
            raise ConfigError("request.size", text, f"give at least {key.amount_text(smallest)}")
    cpuset = request.wishes.cpuset
    if cpuset is not None and not _CPUSET.fullmatch(cpuset):
        raise ConfigError("request.cpuset", f"{cpuset!r} is no list of processors", "write for example 0-3,6")
    source = request.source
    if source.reach is Reach.LOCAL and (source.host is None or source.data_dir is None):
        raise ConfigError(
            "config.invalid", f"source {source.name} has reach local", "give its host and its data_dir in [[sources]]"
        )
    if source.reach is Reach.LOCAL:
        _socket(source)


def check_on_host(source: SourceSettings) -> None:
    """Refuse what can be seen only on the source's host, before anything is done.

    Raises:
        VdbmonError: `source.credentials`, `source.socket`, `source.data_dir`.
    """
    try:
        mode = source.credentials_file.stat().st_mode
    except OSError as error:
        raise VdbmonError(
            "source.credentials", f"credentials of source {source.name}: {source.credentials_file}: {error.strerror}"
        ) from error
    if not stat.S_ISREG(mode) or mode & _GROUP_AND_OTHERS:
        raise VdbmonError(
            "source.credentials", f"{source.credentials_file} can be read by others", "chmod 600 the file"
        )
    if not _socket(source).is_socket():
        raise VdbmonError("source.socket", f"source {source.name}: no socket {_socket(source)}", "start the server")
    if source.data_dir is None or not source.data_dir.is_dir():
        raise VdbmonError("source.data_dir", f"source {source.name}: no directory {source.data_dir}")


def volume_name(request: Request) -> str:
    """A volume of this attempt alone: a name can come again while an older backup of it is kept."""
    return f"{request.name.lower()}-{request.request_id[:_ID_DIGITS]}"


def launch_spec(request: Request, job: Job) -> LaunchSpec:
    """What a checked request makes on its host."""
    source, amounts = request.source, request.amounts
    data_dir = source.data_dir or source.server_data_dir
    volume = volume_name(request)
    return LaunchSpec(
        name=request.name,
        image=job.image,
        command=job.command(source, volume),
        mounts=(
            BindMount(source=data_dir, target=source.server_data_dir),
            BindMount(source=_socket(source).parent, target=SOCKET_TARGET),
            BindMount(source=source.credentials_file.absolute(), target=CREDENTIALS_TARGET),
        ),
        volume=volume,
        volume_size=amounts[ResourceClass.DISK],
        cpu=amounts[ResourceClass.CPU],
        memory=amounts[ResourceClass.MEMORY],
        read_bps=amounts[ResourceClass.READ_BPS],
        write_bps=amounts[ResourceClass.WRITE_BPS],
        read_from=(data_dir,),
        read_iops=amounts.get(ResourceClass.READ_IOPS),
        write_iops=amounts.get(ResourceClass.WRITE_IOPS),
        cpuset=request.wishes.cpuset,
        pool=request.wishes.pool,
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
        network=network,
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


def _socket(source: SourceSettings) -> Path:
    parts = urlsplit(source.address)
    if parts.scheme != "unix" or not PurePosixPath(parts.path).is_absolute():
        raise ConfigError(
            "config.invalid",
            f"source {source.name}: address {source.address!r} is no local socket",
            "write for example unix:///run/mysqld/mysqld.sock",
        )
    return Path(parts.path)
