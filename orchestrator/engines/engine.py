"""What the scheduler needs of a container engine; one module per engine in `orchestrator.engines`.

Two kinds of failure are kept apart everywhere: an engine that refused (nothing was done, the launch is undone) and one
that did not answer (nobody knows, so nothing is undone and nothing is given back).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from collector.errors import VdbmonError
from orchestrator.decision.snapshot import EngineState


class EngineUnreachableError(VdbmonError):
    """The engine did not answer in time: what it did, if anything, is unknown."""

    def __init__(self, address: str, cause: str) -> None:
        super().__init__("engine.unreachable", f"engine {address} doesn't answer: {cause}")


class EngineRefusedError(VdbmonError):
    """The engine said no: `image.missing`, `name.taken`, `job.file` or `engine.refused`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BindMount:
    """A path of the host, as the container sees it."""

    source: Path
    target: Path
    read_only: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedMount:
    """A named volume of the engine, as the container sees it."""

    volume: str
    target: Path
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRate:
    """Limits of one block device, bytes and operations per second, None for none; `number` as in `BlockDevice`."""

    path: Path
    number: str
    read_bps: int | None = None
    write_bps: int | None = None
    read_iops: int | None = None
    write_iops: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """A container that is to run once.

    Attributes:
        cpu: millicores.
        memory: bytes; swap is not given on top.
        pids: tasks at the most.
        cpuset: processors that it may run on, as `0-3,6`; None for all.
        network: name of its network; None for none at all.
        address: that it has there, without a prefix length; None for the engine's choice.
    """

    name: str
    image: str
    command: tuple[str, ...]
    labels: Mapping[str, str]
    mounts: tuple[BindMount | NamedMount, ...]
    cpu: int
    memory: int
    pids: int
    devices: tuple[DeviceRate, ...]
    cpuset: str | None = None
    network: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerState:
    """A container as the engine has it.

    Attributes:
        status: the engine's word: created, running, exited, dead, ...
        exit_code: None until it ended.
        error: the engine's own words where the container could not be started.
    """

    id: str
    name: str
    status: str
    exit_code: int | None = None
    oom_killed: bool = False
    error: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether it ran and does not any more."""
        return self.status in {"exited", "dead"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveLimits:
    """Limits that an engine changes while a container runs; None leaves one as it is.

    Attributes:
        cpu: millicores.
        memory: bytes; swap is not given on top.
        pids: tasks at the most.
    """

    cpu: int | None = None
    memory: int | None = None
    pids: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A command that has ended; `output` is what it wrote to standard output and standard error."""

    exit_code: int
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedContainer:
    """A container that carries our labels, with what it was made with.

    Attributes:
        created_at: seconds since the epoch.
        cpu: millicores; 0 for no limit, as in `memory` (bytes) and the rates (bytes/s).
        mounts: by paths in the container: paths of the host, or the names of the engine's volumes.
    """

    state: ContainerState
    image: str
    command: tuple[str, ...]
    created_at: float
    cpu: int
    memory: int
    read_bps: int
    write_bps: int
    mounts: Mapping[Path, Path]


class Engine(Protocol):
    """One engine. Every call raises EngineUnreachableError if no answer comes in time."""

    address: str

    def probe(self) -> EngineState:
        """Ask the endpoints that hang when an engine is ill; the answer is what a decision needs to know."""

    def create(self, spec: ContainerSpec) -> str:
        """Create a container, don't start it; return its id.

        Raises:
            EngineRefusedError: `image.missing`, `name.taken`, `job.file` (the host has no such file), `engine.refused`.
        """

    def start(self, container_id: str) -> None:
        """Start it; nothing to do if it runs.

        Raises:
            EngineRefusedError: it can't be started.
        """

    def inspect(self, container: str) -> ContainerState | None:
        """The container of that id or name; None if there is none."""

    def last_line(self, container_id: str, *, errors: bool) -> str:
        """The last line that it wrote, to standard error or to standard output; empty if there is none."""

    def run(self, container_id: str, command: Sequence[str], *, seconds: float) -> Ran:
        """Run a command in a container that runs, and wait for its end; one that takes longer is left to itself.

        Raises:
            EngineRefusedError: the container doesn't run.
            EngineUnreachableError: the engine, or the command, was silent for so many seconds.
        """

    def remove(self, container_id: str) -> None:
        """Kill and remove it; nothing to do if there is none."""

    def update(self, container_id: str, limits: LiveLimits) -> None:
        """Change limits of a container; one that runs has them at once.

        Raises:
            EngineRefusedError: the engine or the kernel said no; nothing was changed.
        """

    def managed(self) -> tuple[ManagedContainer, ...]:
        """All containers that carry our label, stopped ones too; those that are removed meanwhile are left out."""
