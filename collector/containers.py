"""The index of containers: which run, what they are called, where the kernel counts them.

The cgroup tree says which containers run; that never depends on the Docker daemon. Names, labels and network modes
come from the files that the daemon itself keeps per container (`containers/ID/config.v2.json` and `hostconfig.json`
below its data root; moby, container/container.go), which can be read while it hangs. The event stream only says when
to read them again, and what the kernel forgets: OOM kills of containers that died of them.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from collector.cgroup.hierarchy import ContainerCgroup, Hierarchy, find_containers
from collector.cgroup.members import CgroupMembers
from collector.cgroup.pulse import Pulse, Pulses

_SHORT_ID = 12

# What reading a JSON file of another shape raises: other types, numbers and times beyond all bounds, endless nesting.
MALFORMED = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class ContainerMount:
    """A volume or a folder of the host that a container sees.

    Attributes:
        kind: `volume`, `bind`, `tmpfs`.
        name: of the Docker volume; empty for a bind mount.
        source: path on the host; empty where it has none (tmpfs).
        destination: path in the container.
    """

    kind: str
    name: str
    source: str
    destination: str
    writable: bool


@dataclass(frozen=True, slots=True)
class Metadata:
    """What Docker knows of a container and the kernel does not.

    Attributes:
        started_at: Unix time in seconds; None where unknown.
        created_at: likewise.
        network_mode: `bridge`, `none`, `host`, `container:ID`, a network's name; empty where unknown.
        mounts: sorted by destination.
    """

    name: str
    image: str
    labels: Mapping[str, str] = field(default_factory=dict)
    pid: int | None = None
    started_at: float | None = None
    network_mode: str = ""
    created_at: float | None = None
    mounts: tuple[ContainerMount, ...] = ()


@dataclass(frozen=True, slots=True)
class Container:
    """A running container. Without metadata its name is its short id and its image is empty."""

    id: str
    cgroup: str
    metadata: Metadata | None
    pids: tuple[int, ...]

    @property
    def name(self) -> str:
        """The name that labels its series."""
        return self.metadata.name if self.metadata else self.id[:_SHORT_ID]

    @property
    def image(self) -> str:
        """The image that labels its series."""
        return self.metadata.image if self.metadata else ""

    def label(self, key: str) -> str:
        """A Docker label's value; empty where it has none."""
        return self.metadata.labels.get(key, "") if self.metadata else ""

    @property
    def mounts(self) -> tuple[ContainerMount, ...]:
        """Its mounts from the host; none while they are not known."""
        return self.metadata.mounts if self.metadata else ()

    @property
    def pid(self) -> int | None:
        """A process of the container: the one that Docker started if it still lives, else any."""
        if self.metadata and self.metadata.pid in self.pids:
            return self.metadata.pid
        return self.pids[0] if self.pids else None


class DockerFiles:
    """Metadata from the daemon's own files; its data root can be learnt later, when the daemon answers."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(self, container_id: str) -> Metadata | None:
        """What the files say of a container now."""
        return read_metadata(self.root, container_id)


def read_metadata(docker_root: Path, container_id: str) -> Metadata | None:
    """What the daemon's own files say of a container; None where there are none, or they are being written."""
    folder = docker_root / "containers" / container_id
    try:
        config = json.loads((folder / "config.v2.json").read_bytes())
        host_config = json.loads((folder / "hostconfig.json").read_bytes())
        return parse_metadata(config, host_config)
    except (OSError, *MALFORMED):
        return None


def parse_metadata(config: Mapping[str, Any], host_config: Mapping[str, Any]) -> Metadata:
    """Metadata out of config.v2.json and hostconfig.json.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: the files have another shape.
    """
    state = config["State"]
    return Metadata(
        name=str(config["Name"]).removeprefix("/"),
        image=str(config["Config"]["Image"]),
        labels={str(key): str(value) for key, value in (config["Config"]["Labels"] or {}).items()},
        pid=state["Pid"] or None,
        started_at=unix_time(state["StartedAt"]),
        network_mode=str(host_config.get("NetworkMode", "")),
        created_at=unix_time(config["Created"]) if "Created" in config else None,
        mounts=tuple(_mounts(config.get("MountPoints") or {})),
    )


def _mounts(mount_points: Mapping[str, Any]) -> Iterator[ContainerMount]:
    """The mounts that Docker keeps by destination (moby, volume/mounts/mounts.go, MountPoint)."""
    for destination, mount in sorted(mount_points.items()):
        # Daemons before 17.04 wrote no type; only a volume has a name.
        kind = mount.get("Type") or ("volume" if mount["Name"] else "bind")
        yield ContainerMount(
            str(kind), str(mount["Name"]), str(mount["Source"]), str(destination), writable=bool(mount["RW"])
        )


def unix_time(text: str) -> float | None:
    """Unix seconds of Docker's RFC 3339 with nanoseconds; None for year 1, which it writes for what never happened.

    Raises:
        ValueError, TypeError: it is something else.
    """
    moment = datetime.fromisoformat(text)
    return moment.timestamp() if moment.year > 1 else None


@dataclass(slots=True)
class ContainerIndex:
    """Running containers, refreshed from the cgroup tree by one thread and read by any.

    Attributes:
        containers: what ran at the last refresh, sorted by name.
    """

    hierarchy: Hierarchy
    metadata_of: Callable[[str], Metadata | None]
    containers: tuple[Container, ...] = ()
    _known: dict[str, Container] = field(default_factory=dict)
    _stale: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _members: CgroupMembers = field(init=False)
    _pulses: Pulses = field(init=False)
    _last_pulses: dict[str, Pulse | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._members = CgroupMembers(self.hierarchy)
        self._pulses = Pulses(self.hierarchy)

    def refresh(self) -> tuple[Container, ...]:
        """Look at the cgroup tree again and give what runs now; the very same where nothing has changed."""
        with self._lock:
            stale, self._stale = self._stale, set()
        found = {cgroup.id: cgroup for cgroup in find_containers(self.hierarchy)}
        running = {key: self._describe(cgroup, reread=key in stale) for key, cgroup in found.items()}
        self._members.forget_unread()
        self._pulses.forget_unread()
        self._last_pulses = {key: pulse for key, pulse in self._last_pulses.items() if key in found}
        # An empty cgroup is one that is being made or removed.
        before, self._known = self._known, {key: container for key, container in running.items() if container.pids}
        if len(before) != len(self._known) or any(before.get(key) is not now for key, now in self._known.items()):
            self.containers = tuple(sorted(self._known.values(), key=lambda container: (container.name, container.id)))
        return self.containers

    def close(self) -> None:
        """Give all descriptors back."""
        self._members.close()
        self._pulses.close()

    def pulse(self, container: Container) -> Pulse | None:
        """Of the last refresh: where it is the same as before, none of the container's processes has run since."""
        return self._last_pulses.get(container.id)

    def invalidate(self, container_id: str) -> None:
        """Read this container's metadata again at the next refresh: it was renamed, updated or started anew."""
        with self._lock:
            self._stale.add(container_id)

    def invalidate_all(self) -> None:
        """Read all metadata again at the next refresh."""
        with self._lock:
            self._stale.update(self._known)

    def _describe(self, cgroup: ContainerCgroup, *, reread: bool) -> Container:
        known = self._known.get(cgroup.id)
        before, pulse = self._last_pulses.get(cgroup.id), self._pulses.pulse(cgroup.path)
        self._last_pulses[cgroup.id] = pulse
        idle = known is not None and pulse is not None and pulse == before
        if known is not None and idle:
            pids = known.pids
            self._members.keep(cgroup.path)
        else:
            pids = self._members.pids(cgroup.path)
        if known is None or known.metadata is None or reread or known.metadata.pid not in known.pids:
            metadata = self.metadata_of(cgroup.id) or (known.metadata if known else None)
            described = Container(cgroup.id, cgroup.path, metadata, pids)
            return known if described == known else described
        return known if known.pids == pids else replace(known, pids=pids)
