"""Compare what a host has with what the ledger says: pure; the differences are leaks.

Most of them nobody may touch. `mendable` are only those of which it is certain that nobody wants them: they carry the
id of a request that this ledger knows, and that is removed. What carries an id that the ledger has never heard of may
belong to another ledger, or to this one before its database was lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from collector import labels
from orchestrator.engines.engine import ManagedContainer
from orchestrator.host.volumes import FoundVolume
from orchestrator.launch import STEP_SECONDS, Address
from orchestrator.ledger import LaunchRecord, LaunchState, is_under_way
from orchestrator.reconcile.findings import Findings

SILENT_AFTER = max(STEP_SECONDS.values()) + 75.0
"""Seconds without a sign of life after which whoever launched or removed is taken for dead.

He gives one before each step, and a step has its deadline; the rest is what two schedulers' clocks may differ.
"""


class LeakKind(StrEnum):
    """What it is."""

    CONTAINER = "container"
    VOLUME = "volume"
    LOOP_DEVICE = "loop_device"
    NETWORK = "network"
    ADDRESS = "address"
    LAUNCH = "launch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """Something on a host that no launch accounts for, or a launch that nothing on its host accounts for.

    Attributes:
        identity: what it is called there: a container's id, a volume's name, an address, a request's id.
        name: for people.
        code: stable: `container.orphan`, `launch.half_done`, ...
        text: what is wrong with it.
        request_id: of the launch that it belonged to, where it says so.
        since: seconds since the epoch; None where nobody knows.
        mendable: nobody wants it for certain.
    """

    host: str
    kind: LeakKind
    identity: str
    name: str
    code: str
    text: str
    request_id: str | None = None
    since: float | None = None
    mendable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """What the ledger says about one host.

    Attributes:
        launches: by request id: those of the host that hold something, and all others that the host's things name.
        addresses: that launches have on this host.
        pools: address pools of the host.
    """

    launches: Mapping[str, LaunchRecord]
    addresses: tuple[Address, ...]
    pools: frozenset[str]


def named_requests(found: Findings) -> frozenset[str]:
    """The request ids that a host's containers and volumes carry."""
    ids = {container.state.labels.get(labels.REQUEST_ID) for container in found.containers}
    ids |= {volume.labels.get(labels.REQUEST_ID) for volume in found.volumes}
    return frozenset(item for item in ids if item)


def find_leaks(found: Findings, book: Book, *, now: float) -> tuple[Leak, ...]:
    """All that differs; `now` is in seconds since the epoch."""
    return (
        *_launches(found, book, now),
        *(leak for item in found.containers for leak in _container(found.host, item, book)),
        *(leak for item in found.volumes for leak in _volume(found.host, item, book)),
        *_networks(found, book),
        *_addresses(found, book),
    )


def is_silent(record: LaunchRecord, now: float) -> bool:
    """Whether somebody began something with it and seems to have died over it."""
    return is_under_way(record) and now - record.updated_at > SILENT_AFTER


def _launches(found: Findings, book: Book, now: float) -> Iterator[Leak]:
    present = {volume.name for volume in found.volumes if volume.size_bytes}
    for record in book.launches.values():
        if record.host != found.host:
            continue
        if is_silent(record, now):
            text = f"it stopped at step {record.step or record.state}; `vdbmon reconcile` finishes or undoes it"
            yield _of_launch(record, "launch.half_done", text, since=record.updated_at)
        elif record.state.ended and record.volume and record.volume not in present:
            text = f"its volume {record.volume} is gone; `vdbmon rm {record.name}` gives its disk space back"
            yield _of_launch(record, "launch.volume_gone", text, since=None)


def _of_launch(record: LaunchRecord, code: str, text: str, *, since: float | None) -> Leak:
    return Leak(
        host=record.host,
        kind=LeakKind.LAUNCH,
        identity=record.request_id,
        name=record.name,
        code=code,
        text=text,
        request_id=record.request_id,
        since=since,
    )


def _container(host: str, container: ManagedContainer, book: Book) -> Iterator[Leak]:
    state = container.state
    request_id = state.labels.get(labels.REQUEST_ID)
    record = book.launches.get(request_id or "")
    if record is None or record.host != host:
        code, text = "container.unknown", _unknown(record)
    elif record.state is LaunchState.REMOVED:
        code, text = "container.orphan", "its launch is removed"
    elif record.container_id not in {None, state.id}:
        code, text = "container.double", f"its launch has container {(record.container_id or '')[:12]}"
    else:
        return
    yield Leak(
        host=host,
        kind=LeakKind.CONTAINER,
        identity=state.id,
        name=state.name,
        code=code,
        text=text,
        request_id=request_id,
        since=container.created_at,
        mendable=code == "container.orphan",
    )


def _volume(host: str, volume: FoundVolume, book: Book) -> Iterator[Leak]:
    request_id = volume.labels.get(labels.REQUEST_ID)
    record = book.launches.get(request_id or "")
    if record is None or record.host != host:
        code, text = "unknown", _unknown(record)
    elif record.state is LaunchState.REMOVED and record.volume != volume.name:
        code, text = "orphan", "its launch is removed, and keeps no volume"
    else:
        return
    whole = bool(volume.size_bytes)
    kind = LeakKind.VOLUME if whole or not volume.devices else LeakKind.LOOP_DEVICE
    yield Leak(
        host=host,
        kind=kind,
        identity=volume.name,
        name=volume.name if kind is LeakKind.VOLUME else f"{', '.join(volume.devices)} of volume {volume.name}",
        code=f"{kind}.{code}",
        text=text if whole else f"only pieces are left of it; {text}",
        request_id=request_id,
        since=volume.created_at,
        mendable=code == "orphan",
    )


def _unknown(record: LaunchRecord | None) -> str:
    if record is None:
        return "this ledger has no launch that made it; if the ledger is a new one: `vdbmon ledger rebuild`"
    return f"its launch is on {record.host}"


def _networks(found: Findings, book: Book) -> Iterator[Leak]:
    for network in found.networks:
        if network.pool not in book.pools and not network.addresses:
            yield Leak(
                host=found.host,
                kind=LeakKind.NETWORK,
                identity=network.name,
                name=network.name,
                code="network.unused",
                text=f"the host has no pool {network.pool} any more, and no container uses it",
                since=network.created_at,
            )


def _addresses(found: Findings, book: Book) -> Iterator[Leak]:
    requests = {item.state.id: item.state.labels.get(labels.REQUEST_ID) for item in found.containers}
    for address in book.addresses:
        record = book.launches.get(address.request_id)
        if record is None or record.state is LaunchState.REMOVED:
            text = f"address of pool {address.pool} whose launch is removed"
            yield _address(found.host, address.ip, "address.orphan", text, address.request_id, mendable=True)
    taken = {(address.pool, address.ip): address.request_id for address in book.addresses}
    for network in found.networks:
        for container_id, ip in network.addresses.items():
            owner = requests.get(container_id)
            if ip and taken.get((network.pool, ip)) != owner:
                text = (
                    f"container {container_id[:12]} has it, and the ledger gave it to {taken.get((network.pool, ip))}"
                )
                yield _address(found.host, ip, "address.unknown", text, owner, mendable=False)


def _address(host: str, ip: str, code: str, text: str, request_id: str | None, *, mendable: bool) -> Leak:
    return Leak(
        host=host,
        kind=LeakKind.ADDRESS,
        identity=ip,
        name=ip,
        code=code,
        text=text,
        request_id=request_id,
        mendable=mendable,
    )
