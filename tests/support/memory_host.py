"""A host in memory behind the protocols of a launch: an engine, volumes, addresses, networks, and trouble on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.engines.engine import ContainerSpec, ContainerState
from orchestrator.host.blockdevices import BlockDevice
from orchestrator.host.limits import DeviceLimits, Limits
from orchestrator.host.volumes import SizedVolume
from orchestrator.launch import Address

DISK = BlockDevice(path=Path("/dev/vda"), number="254:0")
LOOP = BlockDevice(path=Path("/dev/loop7"), number="7:7")


class MemoryHost:
    """What is there, and what happens before a call: `trouble` by the call's name. A container's id is its name."""

    def __init__(self) -> None:
        self.trouble: dict[str, Callable[[], None]] = {}
        self.calls: list[str] = []
        self.containers: dict[str, ContainerSpec] = {}
        self.running: set[str] = set()
        self.volumes: set[str] = set()
        self.addresses: set[str] = set()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left."""
        return not (self.containers or self.volumes or self.addresses)

    def call(self, name: str) -> None:
        """One call comes in."""
        self.calls.append(name)
        self.trouble.get(name, lambda: None)()

    def limits(self, name: str) -> Limits | None:
        """As the kernel would have them."""
        spec = self.containers.get(name)
        if spec is None:
            return None
        devices = {item.number: DeviceLimits(item.read_bps, item.write_bps) for item in spec.devices}
        return Limits(cpu=spec.cpu, memory=spec.memory, pids=spec.pids, devices=devices)


class MemoryEngine:
    """Containers."""

    address = "memory"

    def __init__(self, host: MemoryHost) -> None:
        self._host = host

    def create(self, spec: ContainerSpec) -> str:
        """See `Engine`."""
        self._host.call("create")
        self._host.containers[spec.name] = spec
        return spec.name

    def start(self, container_id: str) -> None:
        """See `Engine`."""
        self._host.call("start")
        self._host.running.add(container_id)

    def inspect(self, container: str) -> ContainerState | None:
        """See `Engine`."""
        self._host.call("inspect")
        spec = self._host.containers.get(container)
        if spec is None:
            return None
        status = "running" if container in self._host.running else "created"
        return ContainerState(id=container, name=container, status=status, labels=spec.labels)

    def remove(self, container_id: str) -> None:
        """See `Engine`."""
        self._host.call("remove")
        self._host.containers.pop(container_id, None)
        self._host.running.discard(container_id)

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a launch doesn't call {name}")


class MemoryVolumes:
    """Sized volumes."""

    sized = True

    def __init__(self, host: MemoryHost) -> None:
        self._host = host

    def create(self, name: str, size_bytes: int, _labels: Mapping[str, str] | None = None) -> SizedVolume:
        """See `Volumes`."""
        self._host.call("make volume")
        self._host.volumes.add(name)
        return SizedVolume(name=name, size_bytes=size_bytes, image=Path("/i"), mountpoint=Path("/m"), device=LOOP)

    def remove(self, name: str) -> None:
        """See `Volumes`."""
        self._host.call("remove volume")
        self._host.volumes.discard(name)

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a launch doesn't call {name}")


class MemoryNet:
    """Addresses and networks."""

    def __init__(self, host: MemoryHost) -> None:
        self._host = host

    def take(self, request_id: str, host: str, pool: str) -> Address:
        """See `Addresses`."""
        self._host.call("take address")
        self._host.addresses.add(request_id)
        return Address(request_id=request_id, host=host, pool=pool, ip="10.0.0.2")

    def give_back(self, request_id: str) -> None:
        """See `Addresses`."""
        self._host.call("give address back")
        self._host.addresses.discard(request_id)

    def ensure(self, _host: str, pool: str) -> str:
        """See `Networks`."""
        self._host.call("make network")
        return f"vdbmon-{pool}"

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a launch doesn't call {name}")
