"""Volumes that containers mount: space, inodes, health; and where it is asked for, what lies in them (`du`).

A mount of a container counts as a volume if it is a Docker volume by name, or if a mount point of its own stands behind
it: the container sees a whole filesystem (the root of one is mounted there), or a part of one that is mounted on the
host as well. An ordinary folder of the host is none: its figures would be those of the host's disk. What is mounted in
the container is read from /proc/PID/mountinfo, so it is what the container has, not what Docker meant it to have.

The figures are those of the filesystem. `vdbmon_volume_shared` is 1 where others fill it too: a Docker volume that is a
folder of the host's disk, a filesystem that two containers mount. A sum over volumes leaves those out.

Each round asks in child processes, because statvfs(3) can hang; a volume that hangs costs its own figures, and
`vdbmon_volume_mount_healthy` says 0. The path on the host must lead to the filesystem that the container has: a
container that started before its volume was mounted writes somewhere else, and is not healthy either.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from collector.background import Background
from collector.child import ChildPool, Unanswered
from collector.clock import Clock
from collector.containers import Container, ContainerIndex, ContainerMount
from collector.diskusage import DiskUsage
from collector.kernelfile import SkippedLines, read_file
from collector.metrics import Sample, Unit, counter, gauge, info
from collector.mountinfo import Mount, parse_mountinfo
from collector.statvfs import FilesystemUsage, ask_usage

_L = ("name", "image", "destination")

SIZE = gauge("vdbmon_volume_size_bytes", "Size of the volume's filesystem.", *_L, unit=Unit.BYTES)
USED = gauge("vdbmon_volume_used_bytes", "Size less free space.", *_L, unit=Unit.BYTES)
FREE = gauge("vdbmon_volume_free_bytes", "Free space, root's reserve included.", *_L, unit=Unit.BYTES)
AVAIL = gauge("vdbmon_volume_avail_bytes", "Free space for others than root.", *_L, unit=Unit.BYTES)
FILES = gauge("vdbmon_volume_files", "Inodes of the volume's filesystem.", *_L)
FILES_FREE = gauge("vdbmon_volume_files_free", "Free inodes.", *_L)
READONLY = gauge(
    "vdbmon_volume_readonly", "1 if the filesystem is read-only, as ext4 makes itself after an error.", *_L
)
SHARED = gauge("vdbmon_volume_shared", "1 if the host or another container fills the same filesystem: don't sum.", *_L)
HEALTHY = gauge(
    "vdbmon_volume_mount_healthy",
    "1 if the volume answers in time and is the filesystem that the container has there.",
    *_L,
)
INFO = info("vdbmon_volume_info", "What is mounted.", *_L, "volume", "source", "device", "fstype")
LAST_READ = gauge(
    "vdbmon_volumes_last_read_timestamp_seconds", "When all volumes were last asked.", unit=Unit.TIMESTAMP
)
DU_BYTES = gauge("vdbmon_volume_du_bytes", "Disk space of what lies in the volume (du).", *_L, unit=Unit.BYTES)
DU_LAST = gauge("vdbmon_volume_du_timestamp_seconds", "When du last came to its end.", *_L, unit=Unit.TIMESTAMP)
DU_FAILURES = counter("vdbmon_volume_du_failures_total", "Runs of du that failed or overran their budget.")
FS_USAGE = gauge(
    "container_fs_usage_bytes",
    "Disk space of the container's writable layer and logs (du); only where it is asked for.",
    "name",
    "image",
    "device",
    unit=Unit.BYTES,
)

READ_EVERY = 4.0  # seconds; below the usual scrape intervals, so that each scrape starts a round
MAX_VOLUMES = 10  # of one container, in the order of their destinations; no more are reported
_WAIT = 0.1  # seconds that a scrape waits for the round it started: all that a healthy one takes
_DEVICE_NODES = "devtmpfs"
# Every subvolume has a device number of its own there, which mountinfo doesn't show.
_WITH_SUBVOLUMES = frozenset({"btrfs", "bcachefs", "overlay"})

Labels = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume of a container: what Docker says, what the kernel has mounted there, and how it fares.

    Attributes:
        usage: None where there are no figures of this very filesystem.
        healthy: None where nobody could be asked.
    """

    container: Container
    mount: ContainerMount
    mounted: Mount
    shared: bool
    usage: FilesystemUsage | None
    healthy: bool | None

    @property
    def labels(self) -> Labels:
        """The labels of its series."""
        return self.container.name, self.container.image, self.mount.destination


@dataclass(frozen=True, slots=True)
class Layer:
    """What a container has written outside its volumes: its folders on the host, and the device that they are on."""

    container: Container
    device: str
    folders: tuple[str, ...]

    @property
    def labels(self) -> Labels:
        """The labels of its series."""
        return self.container.name, self.container.image, self.device


@dataclass(frozen=True, slots=True)
class Round:
    """All that was found at one time."""

    volumes: tuple[Volume, ...]
    layers: tuple[Layer, ...]

    def of_running(self, running: Collection[str]) -> Round:
        """The part that belongs to containers that still run, by id."""
        return Round(
            tuple(volume for volume in self.volumes if volume.container.id in running),
            tuple(layer for layer in self.layers if layer.container.id in running),
        )


class _Mountinfo:
    """What a mountinfo said last: mounts change rarely, and parsing them costs more than reading."""

    __slots__ = ("_data", "_mounts", "_places")

    def __init__(self) -> None:
        self._data = b""
        self._places: frozenset[str] | None = None
        self._mounts: list[Mount] = []

    def mounts(self, data: bytes, skipped: SkippedLines, places: frozenset[str] | None = None) -> list[Mount]:
        """The mounts at these places, or all, in the kernel's order."""
        if data != self._data or places != self._places:
            self._data, self._places = data, places
            self._mounts = list(parse_mountinfo(data, skipped, places))
        return self._mounts


class VolumeInput:
    """Asks all volumes in the background, and says what it knows of those whose containers run."""

    name = "volume"

    def __init__(
        self,
        index: ContainerIndex,
        *,
        procfs: Path,
        docker_root: Callable[[], Path],
        children: ChildPool,
        disk_usage: DiskUsage,
        skipped: SkippedLines,
        clock: Clock,
    ) -> None:
        self._index = index
        self._procfs = procfs
        self._docker_root = docker_root
        self._children = children
        self._disk_usage = disk_usage
        self._skipped = skipped
        self._reading = Background("volumes", READ_EVERY, self.read, clock)
        self._host = _Mountinfo()
        self._seen: dict[str, _Mountinfo] = {}

    def gather(self) -> list[Sample]:
        """Figures of the last round for every container that still runs."""
        self._reading.start_if_due()
        self._reading.wait(_WAIT)
        if self._reading.result is None or self._reading.last_success is None:
            return []
        found = self._reading.result.of_running({container.id for container in self._index.containers})
        return [LAST_READ.sample(self._reading.last_success), *self.samples(found)]

    def samples(self, found: Round) -> Iterator[Sample]:
        """What one round found, and what du did meanwhile."""
        yield DU_FAILURES.sample(self._disk_usage.failures)
        for volume in found.volumes:
            yield from _samples(volume)
        yield from self._measured(found)

    def read(self) -> Round:
        """One round, now.

        Raises:
            OSError: the host's own mounts can't be read.
        """
        places = [(container, asked) for container in self._index.containers if (asked := self._asked(container))]
        known, self._seen = self._seen, {}
        if not places:
            return Round((), ())
        host = self._host.mounts(read_file(self._procfs / "self" / "mountinfo"), self._skipped)
        found: list[tuple[Container, ContainerMount, Mount]] = []
        layers: list[Layer] = []
        for container, asked in places:
            seen = self._seen_by(container, asked, known.get(container.id) or _Mountinfo())
            volumes = [
                (container, mount, seen[mount.destination])
                for mount in container.mounts
                if mount.destination in seen and _is_volume(mount, seen[mount.destination], host)
            ]
            found.extend(volumes[:MAX_VOLUMES])
            if "/" in seen and self._disk_usage.wanted(container.name, "/"):
                layers.extend(self._layer(container, seen["/"], host))
        users = Counter(mounted.number for _, _, mounted in found)
        users.update(mount.number for mount in host if mount.point == "/")
        answers = (self._ask(*each, shared=each[2].root != "/" or users[each[2].number] > 1) for each in found)
        return Round(tuple(volume for volume in answers if volume is not None), tuple(layers))

    def _asked(self, container: Container) -> frozenset[str]:
        """The places in a container that are of interest: its mounts, and its root where du is wanted there."""
        places = {mount.destination for mount in container.mounts}
        return frozenset(places | {"/"} if self._disk_usage.wanted(container.name, "/") else places)

    def _seen_by(self, container: Container, places: frozenset[str], known: _Mountinfo) -> dict[str, Mount]:
        """What the container itself has at these places."""
        try:
            # Opened anew each time: a kept descriptor would keep the mount namespace, and all that is mounted there.
            data = read_file(f"{self._procfs}/{container.pid}/mountinfo")
        except OSError:
            return {}  # it ended
        self._seen[container.id] = known
        return {mount.point: mount for mount in known.mounts(data, self._skipped, places)}

    def _layer(self, container: Container, root: Mount, host: list[Mount]) -> Iterator[Layer]:
        """The writable layer and the logs: what cAdvisor counts. Only overlay2 says in its mount where the layer is."""
        upper = root.option("upperdir")
        holders = [] if upper is None else [mount for mount in host if _holds(mount, upper)]
        if upper is not None and holders:
            holder = max(holders, key=lambda mount: len(mount.point))
            yield Layer(container, holder.device, (upper, str(self._docker_root() / "containers" / container.id)))

    def _ask(self, container: Container, mount: ContainerMount, mounted: Mount, *, shared: bool) -> Volume | None:
        """How a volume fares; None for an interface of the kernel (proc, sysfs), which has no size."""
        answer = ask_usage(self._children, mount.source)
        if not isinstance(answer, FilesystemUsage):
            return Volume(container, mount, mounted, shared, None, None if answer is Unanswered.NO_CHILD else False)
        if answer.size == 0:
            return None
        same = answer.device == mounted.number or mounted.fstype in _WITH_SUBVOLUMES
        return Volume(container, mount, mounted, shared, answer if same else None, same)

    def _measured(self, found: Round) -> Iterator[Sample]:
        """The figures of du, where there are any."""
        folders: dict[tuple[str, ...], tuple[str, ...]] = {
            volume.labels: (volume.mount.source,)
            for volume in found.volumes
            if volume.healthy and self._disk_usage.wanted(volume.container.name, volume.mount.destination)
        }
        layers = {layer.labels for layer in found.layers}
        folders.update((layer.labels, layer.folders) for layer in found.layers)
        for labels, measured in self._disk_usage.measure(folders).items():
            if labels in layers:
                yield Sample(FS_USAGE, labels, measured.size)
            else:
                yield Sample(DU_BYTES, labels, measured.size)
                yield Sample(DU_LAST, labels, measured.at)


def _is_volume(mount: ContainerMount, mounted: Mount, host: list[Mount]) -> bool:
    """Whether it is one in the sense of this module's first paragraph."""
    if not mount.source or mounted.fstype == _DEVICE_NODES:
        return False
    if mount.kind == "volume" or mounted.root == "/":
        return True
    return any((other.number, other.root) == (mounted.number, mounted.root) for other in host)


def _holds(mount: Mount, path: str) -> bool:
    return mount.point == "/" or f"{path}/".startswith(f"{mount.point}/")


def _samples(volume: Volume) -> Iterator[Sample]:
    labels, mounted = volume.labels, volume.mounted
    yield Sample(INFO, (*labels, volume.mount.name, volume.mount.source, mounted.device, mounted.fstype), 1)
    yield Sample(SHARED, labels, float(volume.shared))
    yield Sample(READONLY, labels, float(mounted.readonly))
    if volume.healthy is not None:
        yield Sample(HEALTHY, labels, float(volume.healthy))
    if volume.usage is not None:
        yield Sample(SIZE, labels, volume.usage.size)
        yield Sample(USED, labels, volume.usage.size - volume.usage.free)
        yield Sample(FREE, labels, volume.usage.free)
        yield Sample(AVAIL, labels, volume.usage.available)
        yield Sample(FILES, labels, volume.usage.files)
        yield Sample(FILES_FREE, labels, volume.usage.files_free)
