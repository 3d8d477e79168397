"""The ledger anew, from what runs: containers, volumes and addresses of all hosts, by our labels.

What no label tells is said, host by host, and such a host is cordoned: what it really holds may be more than the new
ledger knows. Lost for good are the record of decisions, earlier cordons, and how jobs ended whose container is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address
from types import MappingProxyType
from typing import Any

from collector import labels
from collector.errors import ConfigError, VdbmonError
from orchestrator.backup.commands import VOLUME_TARGET
from orchestrator.decision.resources import Amounts, ResourceClass
from orchestrator.decision.snapshot import Cordon
from orchestrator.engines.engine import ManagedContainer
from orchestrator.engines.named_volumes import READER_JOB
from orchestrator.launch import FoundNetwork
from orchestrator.ledger import HeldAddress, LaunchRecord, LaunchState, NotEmptyError, Restored
from orchestrator.placement.scheduler import Scheduler
from orchestrator.survey.deadline import ask_all

FIND_SECONDS = 60.0
"""An inspect per container, and no hurry."""

_REQUIRED = (labels.REQUEST_ID, labels.NAME, labels.JOB, labels.SOURCE, labels.SPEC_HASH)
_LONGEST_WHY = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundVolume:
    """A sized volume; its labels are those of its launch, and empty where the file beside it is lost."""

    size_bytes: int
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundHost:
    """What one host has of ours.

    Attributes:
        fingerprint: of its engine.
        volumes: by name; None where they can't be seen from here.
    """

    name: str
    fingerprint: str
    containers: tuple[ManagedContainer, ...]
    volumes: Mapping[str, FoundVolume] | None
    networks: tuple[FoundNetwork, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """A new ledger, and by host what could not be known."""

    restored: Restored
    unknown: Mapping[str, tuple[str, ...]]


def find(scheduler: Scheduler, name: str) -> FoundHost:
    """Ask a host for what is ours.

    Raises:
        VdbmonError: its engine doesn't answer, or refuses.
    """
    volumes, networks = scheduler.parts(name).volumes, scheduler.networks
    return FoundHost(
        name=name,
        fingerprint=scheduler.engines[name].probe().fingerprint,
        containers=scheduler.engines[name].managed(),
        volumes={item.name: FoundVolume(size_bytes=item.size_bytes, labels=item.labels) for item in volumes.found()},
        networks=() if networks is None else networks.found(name),
    )


def rebuild(found: Mapping[str, FoundHost | VdbmonError | None], *, who: str, at: float) -> Rebuilt:
    """The ledger that explains what was found; an error or None stands for a host that didn't answer."""
    draft = _Draft(at=at)
    for name, host in sorted(found.items()):
        if isinstance(host, FoundHost):
            draft.add(host)
        else:
            said = "it doesn't answer" if host is None else host.message
            draft.unknown[name] = [f"nothing is known of it: {said}"]
            draft.generations[name] = 0
    cordons = tuple(
        Cordon(host=name, who=who, why=_why(sentences), until=None, since=at)
        for name, sentences in sorted(draft.unknown.items())
    )
    restored = Restored(
        generations=draft.generations,
        fingerprints=draft.fingerprints,
        launches=tuple(draft.launches.values()),
        amounts=draft.amounts,
        addresses=tuple(draft.addresses),
        cordons=cordons,
    )
    return Rebuilt(restored=restored, unknown={name: tuple(said) for name, said in draft.unknown.items()})


def _why(sentences: list[str]) -> str:
    text = f"the ledger was rebuilt, and not all is known: {'; '.join(sentences)}"
    return text if len(text) <= _LONGEST_WHY else f"{text[:_LONGEST_WHY]} ..."


def rebuild_ledger(scheduler: Scheduler, *, hosts: tuple[str, ...] = (), dry_run: bool = False) -> Rebuilt:
    """Rebuild all of the ledger, or with `hosts` the part of these.

    Raises:
        ConfigError: no such host.
        NotEmptyError: there is a launch in the ledger, or with `hosts` one on them.
    """
    known = [host.name for host in scheduler.fleet.hosts]
    for name in hosts:
        if name not in known:
            raise ConfigError("request.host", f"no host {name!r}", f"known: {', '.join(sorted(known)) or 'none'}")
    if not hosts and scheduler.ledger.launches():
        raise NotEmptyError("a launch")
    calls = {name: partial(find, scheduler, name) for name in hosts or known}
    answers = ask_all(calls, seconds=FIND_SECONDS)
    at = scheduler.clock()
    rebuilt = rebuild({name: answers.get(name) for name in calls}, who=scheduler.operator, at=at)
    if not dry_run:
        scheduler.ledger.restore(rebuilt.restored, who=scheduler.operator, at=at)
    return rebuilt


@dataclass(slots=True, kw_only=True)
class _Draft:
    """What is known so far; launches and amounts by request id."""

    at: float
    launches: dict[str, LaunchRecord] = field(default_factory=dict)
    amounts: dict[str, Amounts] = field(default_factory=dict)
    generations: dict[str, int] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    addresses: list[HeldAddress] = field(default_factory=list)
    unknown: dict[str, list[str]] = field(default_factory=dict)

    def add(self, host: FoundHost) -> None:
        """One host: its containers first, for a volume belongs to the launch of its container."""
        self.fingerprints[host.name] = host.fingerprint
        self.generations[host.name] = 0
        launched = (item for item in host.containers if item.state.labels.get(labels.JOB) != READER_JOB)
        mounted = {self._container(host, container) for container in launched}
        for name, volume in sorted((host.volumes or {}).items()):
            if name not in mounted:
                self._kept_volume(host.name, name, volume)
        self._addresses(host)

    def _addresses(self, host: FoundHost) -> None:
        """Those that running containers have; one that has ended has none any more."""
        owners = {item.container_id: item for item in self.launches.values() if item.container_id}
        for network in host.networks:
            for container_id, ip in network.addresses.items():
                if ip and container_id in owners:
                    owner = owners[container_id].request_id
                    self.addresses.append(
                        HeldAddress(request_id=owner, host=host.name, pool=network.pool, ip=IPv4Address(ip))
                    )

    def _container(self, host: FoundHost, container: ManagedContainer) -> str | None:
        """Take in a container; the name of its volume."""
        own, name = container.state.labels, container.state.name
        if not self._labelled(host.name, f"container {name}", own):
            return None
        path = container.mounts.get(VOLUME_TARGET)
        volume = path.name if path else None
        amounts = {
            ResourceClass.SLOTS: 1,
            ResourceClass.CPU: container.cpu,
            ResourceClass.MEMORY: container.memory,
            ResourceClass.READ_BPS: container.read_bps,
            ResourceClass.WRITE_BPS: container.write_bps,
        }
        if volume is not None:
            seen = (host.volumes or {}).get(volume)
            if seen is None:
                where = "its host has none of that name" if host.volumes is not None else "it can't be seen from here"
                self._say(host.name, f"the size of volume {volume} of {name}: {where}")
            else:
                amounts[ResourceClass.DISK] = seen.size_bytes
        record = _record(
            own,
            host.name,
            state=LaunchState.CREATED if container.state.status == "created" else LaunchState.RUNNING,
            spec={"image": container.image, "command": list(container.command), "rebuilt": True},
            container_id=container.state.id,
            volume=volume,
            created_at=container.created_at,
            updated_at=self.at,
        )
        self._take(record, {key: amount for key, amount in amounts.items() if amount})
        return volume

    def _kept_volume(self, host: str, name: str, volume: FoundVolume) -> None:
        if self._labelled(host, f"volume {name}", volume.labels):
            record = _record(
                volume.labels,
                host,
                state=LaunchState.REMOVED,
                spec={"image": volume.labels.get(labels.IMAGE), "rebuilt": True},
                volume=name,
                created_at=self.at,
                updated_at=self.at,
            )
            self._take(record, {ResourceClass.DISK: volume.size_bytes})

    def _labelled(self, host: str, what: str, own: Mapping[str, str]) -> bool:
        missing = [key for key in _REQUIRED if not own.get(key)]
        if missing:
            self._say(host, f"whose {what} is: it has no label {missing[0]}")
            return False
        generation = own.get(labels.GENERATION, "")
        if generation.isdecimal():
            self.generations[host] = max(self.generations[host], int(generation))
        return True

    def _take(self, record: LaunchRecord, amounts: Amounts) -> None:
        """A request is one launch, and a name that of one live launch: of two the first one counts."""
        other = self.launches.get(record.request_id)
        if other is None and record.state is not LaunchState.REMOVED:
            live = (item for item in self.launches.values() if item.state is not LaunchState.REMOVED)
            other = next((item for item in live if item.name == record.name), None)
        if other is not None:
            self._say(record.host, f"why there is another {record.name}, on {other.host}; the one here is left out")
            return
        self.launches[record.request_id] = record
        self.amounts[record.request_id] = amounts

    def _say(self, host: str, sentence: str) -> None:
        self.unknown.setdefault(host, []).append(sentence)


def _record(own: Mapping[str, str], host: str, **rest: Any) -> LaunchRecord:
    return LaunchRecord(
        request_id=own[labels.REQUEST_ID],
        name=own[labels.NAME],
        host=host,
        source=own[labels.SOURCE],
        job=own[labels.JOB],
        spec_hash=own[labels.SPEC_HASH],
        **rest,
    )
