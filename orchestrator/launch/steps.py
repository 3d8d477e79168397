"""The steps of a launch, each with what takes it back and with its deadline.

An act may be done again, for the request's id says what is its own. An undo may be done again too, and also after an
act that failed halfway or was never done; it needs nothing but the record, so that another process can do it as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from collector import labels
from orchestrator.engines.engine import ContainerSpec, Engine
from orchestrator.host.blockdevices import BlockDevice
from orchestrator.host.limits import Limits
from orchestrator.host.volumes import Volume
from orchestrator.launch.protocols import Address, Addresses, Networks, Volumes
from orchestrator.launch.spec import LaunchSpec, container_spec
from orchestrator.launch.verify import Verifier
from orchestrator.ledger import LaunchRecord, LaunchState, Ledger

STEP_SECONDS = MappingProxyType(
    {"address": 15.0, "volume": 75.0, "network": 45.0, "create": 60.0, "start": 60.0, "verify": 60.0}
)
"""Deadlines, in the order of the steps. The commands that make volumes have 60 s each, calls to engines 20 s."""

COMMIT = "commit"
"""The last act: the ledger says that the container runs."""


@dataclass(frozen=True, slots=True)
class Step:
    """One act, what takes it back, and the seconds that either may take."""

    name: str
    act: Callable[[], None]
    undo: Callable[[], None]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What the steps of a launch on one host work with.

    Attributes:
        addresses: None where no pools are kept.
        networks: likewise.
        disk_of: the disk under a folder of the host.
        check_gate: raises HostClosedError if the gate has closed since the decision.
        check_cordons: likewise, if an operator has closed the host or the fleet.
        seconds: deadlines of the steps.
        clock: seconds since the epoch.
    """

    engine: Engine
    volumes: Volumes
    addresses: Addresses | None
    networks: Networks | None
    disk_of: Callable[[Path], BlockDevice]
    ledger: Ledger
    verifier: Verifier
    check_gate: Callable[[], None]
    check_cordons: Callable[[], None]
    clock: Callable[[], float]
    seconds: Mapping[str, float] = field(default_factory=lambda: STEP_SECONDS)


class Undo:
    """What takes each step of a launch back; it knows the launch by its record alone."""

    def __init__(self, record: LaunchRecord, engine: Engine, volumes: Volumes, addresses: Addresses | None) -> None:
        self._record = record
        self._engine = engine
        self._volumes = volumes
        self._addresses = addresses

    def container(self) -> None:
        """Remove the container, whether it runs or not; so a start needs no undo of its own."""
        remove_own(self._engine, self._record.name, self._record.request_id)

    def volume(self) -> None:
        """Remove the volume."""
        if self._record.volume is not None:
            self._volumes.remove(self._record.volume)

    def address(self) -> None:
        """Give the address back."""
        if self._addresses is not None:
            self._addresses.give_back(self._record.request_id)


class Steps:
    """The acts of one launch, and what they have come to."""

    def __init__(self, record: LaunchRecord, spec: LaunchSpec, container_labels: dict[str, str], tools: Tools) -> None:
        self._record = record
        self._spec = spec
        self._labels = container_labels
        self._tools = tools
        self._address: Address | None = None
        self._network: str | None = None
        self._volume: Volume | None = None
        self._container: ContainerSpec | None = None
        self.container_id = ""
        self.limits: Limits | None = None

    def all(self) -> tuple[Step, ...]:
        """In their order."""
        undo = Undo(self._record, self._tools.engine, self._tools.volumes, self._tools.addresses)
        parts = (
            ("address", self._take_address, undo.address),
            ("volume", self._make_volume, undo.volume),
            ("network", self._make_network, _nothing),
            ("create", self._create, undo.container),
            ("start", self._start, _nothing),
            ("verify", self._verify, _nothing),
        )
        return tuple(Step(name, act, taken_back, self._tools.seconds[name]) for name, act, taken_back in parts)

    def _take_address(self) -> None:
        if self._spec.pool is not None and self._tools.addresses is not None:
            record = self._record
            self._address = self._tools.addresses.take(record.request_id, record.host, self._spec.pool)

    def _make_volume(self) -> None:
        volume_labels = {**self._labels, labels.IMAGE: self._spec.image}
        self._volume = self._tools.volumes.create(self._spec.volume, self._spec.volume_size, volume_labels)

    def _make_network(self) -> None:
        if self._spec.pool is not None and self._tools.networks is not None:
            self._network = self._tools.networks.ensure(self._record.host, self._spec.pool)

    def _create(self) -> None:
        """The device under the volume is known only now, and its limits must be there when the container is made."""
        if self._volume is None:
            raise AssertionError("the volume comes before the container")
        self._container = container_spec(
            self._spec,
            volume=self._volume,
            disks=map(self._tools.disk_of, self._spec.read_from),
            container_labels=self._labels,
            network=self._network,
            address=self._address.ip if self._address else None,
        )
        self._tools.check_cordons()
        self._tools.check_gate()
        self.container_id = self._tools.engine.create(self._container)
        self._tools.ledger.advance(
            self._record.request_id,
            LaunchState.CREATED,
            at=self._tools.clock(),
            turn=self._record.turn,
            container_id=self.container_id,
        )

    def _start(self) -> None:
        self._tools.check_cordons()
        self._tools.engine.start(self.container_id)

    def _verify(self) -> None:
        if self._container is None:
            raise AssertionError("the container comes before its check")
        self.limits = self._tools.verifier.verify(self._container, self.container_id)


def remove_own(engine: Engine, container: str, request_id: str) -> bool:
    """Remove the container of that name or id if it is that request's; whether there was one.

    One that somebody else made under the same name is left alone.
    """
    state = engine.inspect(container)
    if state is None or state.labels.get(labels.REQUEST_ID) != request_id:
        return False
    engine.remove(state.id)
    return True


def _nothing() -> None:
    """Nothing is left of it that another step's undo doesn't take back; networks are shared, and stay."""
