"""Disks and loop devices, by path and by the kernel's `major:minor`.

Source: sysfs, `/sys/block/loop*/loop/backing_file` and `/sys/dev/block` (Documentation/ABI).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from collector.errors import VdbmonError
from orchestrator.host.command import RunCommand

_DETACH_SECONDS = 15.0  # a container that begins meanwhile holds a copy of every mount of the host until it has begun
_DETACH_POLL_SECONDS = 0.05
_DELETED = " (deleted)"  # what the kernel puts behind the path of a file that is gone


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockDevice:
    """A disk as blkio limits name it: its path and `major:minor`, or on another host its path again."""

    path: Path
    number: str


class LoopDevices:
    """Loop devices over files. Paths of devices are those that the kernel gives them below /dev."""

    def __init__(self, run: RunCommand, *, sysfs: Path, sleep: Callable[[float], object]) -> None:
        self._run = run
        self._sysfs = sysfs
        self._sleep = sleep

    def over(self, image: Path) -> tuple[BlockDevice, ...]:
        """The loop devices that have this file under them."""
        found = []
        for entry in sorted((self._sysfs / "block").glob("loop*/loop/backing_file")):
            device = entry.parents[1]
            try:
                if entry.read_text().rstrip("\n") == str(image):
                    number = (device / "dev").read_text().strip()
                    found.append(BlockDevice(path=Path("/dev") / device.name, number=number))
            except OSError:
                continue  # detached while we looked
        return tuple(found)

    def below(self, folder: Path) -> dict[str, tuple[Path, ...]]:
        """Paths of loop devices by the name of the file under them, deleted or not, for all files in this folder."""
        found: dict[str, tuple[Path, ...]] = {}
        for entry in sorted((self._sysfs / "block").glob("loop*/loop/backing_file")):
            try:
                file = Path(entry.read_text().rstrip("\n").removesuffix(_DELETED))
            except OSError:
                continue  # detached while we looked
            if file.parent == folder:
                found[file.name] = (*found.get(file.name, ()), Path("/dev") / entry.parents[1].name)
        return found

    def attach(self, image: Path) -> BlockDevice:
        """Attach a loop device; direct I/O keeps its writes out of the host's page cache, where limits don't hold.

        Raises:
            VdbmonError: `volume.command_failed`.
        """
        path = Path(self._run(["losetup", "--find", "--show", "--direct-io=on", str(image)]).strip())
        number = (self._sysfs / "block" / path.name / "dev").read_text().strip()
        return BlockDevice(path=path, number=number)

    def detach_all(self, image: Path) -> Path | None:
        """Detach all of a file, deleted or not, and wait; the one that is still held after some seconds, or None.

        Detaching is lazy: a container's own mount keeps the device until the container ends.

        Raises:
            VdbmonError: `volume.command_failed`.
        """
        for device in self._held(image):
            self._run(["losetup", "--detach", str(device)])
        deadline = time.monotonic() + _DETACH_SECONDS
        while devices := self._held(image):
            if time.monotonic() > deadline:
                return devices[0]
            self._sleep(_DETACH_POLL_SECONDS)
        return None

    def _held(self, image: Path) -> tuple[Path, ...]:
        return self.below(image.parent).get(image.name, ())


def device_of(path: Path, *, sysfs: Path = Path("/sys")) -> BlockDevice:
    """The whole disk that holds a file or folder: blkio limits name disks, not partitions.

    Raises:
        VdbmonError: `volume.no_disk`, it is in memory, on the network, or on a filesystem without a single device.
    """
    try:
        device = path.stat().st_dev
    except OSError as error:
        raise VdbmonError("volume.no_disk", f"{path}: {error.strerror}", "give a folder that exists") from error
    return whole_disk(f"{os.major(device)}:{os.minor(device)}", path, sysfs=sysfs)


def whole_disk(number: str, path: Path, *, sysfs: Path) -> BlockDevice:
    """The disk that the device `major:minor` is, or is a partition of; `path` is for the error's text.

    Raises:
        VdbmonError: `volume.no_disk`.
    """
    entry = sysfs / "dev" / "block" / number
    if not entry.exists():
        raise VdbmonError(
            "volume.no_disk", f"{path} is on device {number}, which is no disk", "keep it on a local disk"
        )
    device = entry.resolve()
    if (device / "partition").exists():
        device = device.parent
    return BlockDevice(path=Path("/dev") / device.name.replace("!", "/"), number=(device / "dev").read_text().strip())
