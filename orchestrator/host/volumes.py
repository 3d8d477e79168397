"""Sized volumes: ext4 in a sparse file behind a loop device, so that a full volume is full alone.

A volume `NAME` under a root is the file `NAME.img`, mounted at `NAME/`. Sizes are bytes of the device; the filesystem
takes some per cent of them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from collector.errors import VdbmonError
from collector.kernelfile import SkippedLines
from collector.mountinfo import parse_mountinfo
from collector.volume_labels import labels_file, read_volume_labels, remove_volume_labels, write_volume_labels
from orchestrator.backup.results import read_result
from orchestrator.backup.runner.record import Record
from orchestrator.backup.volume_contents import Contents, look_into, write_decisions
from orchestrator.engines.engine import BindMount, NamedMount
from orchestrator.host.blockdevices import BlockDevice, LoopDevices
from orchestrator.host.command import RunCommand, run_command

SMALLEST_BYTES = 8 << 20  # below it mke2fs leaves out the journal
_BLOCK_BYTES = 4096
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_IMAGE_SUFFIX = ".img"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class Volume(Protocol):
    """A volume that a job writes into, whoever made it."""

    @property
    def name(self) -> str:
        """Unique on its host."""

    @property
    def device(self) -> BlockDevice:
        """What its writes are limited on."""

    def mount(self, target: Path) -> BindMount | NamedMount:
        """How a container gets it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SizedVolume:
    """A mounted volume of a hard size.

    Attributes:
        size_bytes: of the device, a multiple of 4096.
        device: the loop device under the filesystem; it changes at a reboot.
    """

    name: str
    size_bytes: int
    image: Path
    mountpoint: Path
    device: BlockDevice

    def mount(self, target: Path) -> BindMount:
        """See `Volume`."""
        return BindMount(source=self.mountpoint, target=target, read_only=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundVolume:
    """A volume as its host has it, or what is left of one.

    Attributes:
        labels: those of its launch; empty where they are lost.
        created_at: seconds since the epoch; None where nobody knows.
        size_bytes: 0 where only pieces are left: labels, a file half made, a loop device whose file is gone.
        devices: paths of its loop devices.
    """

    name: str
    labels: Mapping[str, str]
    created_at: float | None
    size_bytes: int
    devices: tuple[str, ...] = ()


class LoopVolumes:
    """The sized volumes under one folder, which belongs to vdbmon alone.

    Every step can be interrupted: the next call for the same name goes on from what is there. Processes that change the
    same root take turns.
    """

    sized = True

    def __init__(
        self,
        root: Path,
        run: RunCommand = run_command,
        *,
        sysfs: Path = Path("/sys"),
        mountinfo: Path = Path("/proc/self/mountinfo"),
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._root = root.absolute()
        self._run = run
        self._loops = LoopDevices(run, sysfs=sysfs, sleep=sleep)
        self._mountinfo = mountinfo

    def create(self, name: str, size_bytes: int, volume_labels: Mapping[str, str] | None = None) -> SizedVolume:
        """Make and mount a volume; one of this name and size that is there already is the answer.

        `volume_labels` are kept beside it, where its container can't write: they say whose it is.

        Raises:
            VdbmonError: `volume.bad_name`, `volume.bad_size`, `volume.exists` with another size,
                `volume.foreign_mount`, `volume.command_failed`, `volume.disk_full`, `volume.folder`.
        """
        image = self._image(name)
        if size_bytes < SMALLEST_BYTES:
            raise VdbmonError(
                "volume.bad_size", f"a volume of {size_bytes} bytes is too small", f"give at least {SMALLEST_BYTES}"
            )
        size = -(-size_bytes // _BLOCK_BYTES) * _BLOCK_BYTES
        with self._lock():
            if volume_labels:
                write_volume_labels(self._root, name, volume_labels)
            if not image.exists():
                self._make_image(image, size)
            elif image.stat().st_size != size:
                raise VdbmonError(
                    "volume.exists",
                    f"volume {name} exists with {image.stat().st_size} bytes, not {size}",
                    "choose another name, or the same size",
                )
            return self._mounted(name)

    def get(self, name: str) -> SizedVolume | None:
        """The volume, mounted again if a reboot unmounted it; None if there is none of this name.

        Raises:
            VdbmonError: as `create`.
        """
        if not self._image(name).exists():
            return None
        with self._lock():
            return self._mounted(name) if self._image(name).exists() else None

    def list(self) -> tuple[str, ...]:
        """Names of the volumes there are; mounts nothing."""
        images = self._root.glob(f"[!.]*{_IMAGE_SUFFIX}")
        return tuple(sorted(path.name.removesuffix(_IMAGE_SUFFIX) for path in images if path.is_file()))

    def sizes(self) -> dict[str, int]:
        """Bytes of every volume there is, by name; mounts nothing."""
        return {name: self._image(name).stat().st_size for name in self.list()}

    def found(self) -> tuple[FoundVolume, ...]:
        """All volumes, and all that is left of some: labels, a half-made file, loop devices of deleted files."""
        images, loops = self.sizes(), self._loops.below(self._root)
        own = {Path(path).name: found for path, found in read_volume_labels(self._root)}
        devices = {name.removesuffix(_IMAGE_SUFFIX): paths for name, paths in loops.items()}
        halves = {
            path.name[1:].removesuffix(f"{_IMAGE_SUFFIX}.new") for path in self._root.glob(f".*{_IMAGE_SUFFIX}.new")
        }
        return tuple(
            FoundVolume(
                name=name,
                labels=own.get(name, {}),
                created_at=self._created_at(name),
                size_bytes=images.get(name, 0),
                devices=tuple(map(str, devices.get(name, ()))),
            )
            for name in sorted({*images, *own, *devices, *halves})
        )

    def remove(self, name: str) -> None:
        """Unmount and delete a volume; nothing to do if there is none.

        Raises:
            VdbmonError: `volume.bad_name`, `volume.busy` while something uses it, `volume.foreign_mount`,
                `volume.command_failed`, `volume.folder`.
        """
        image, mountpoint = self._image(name), self._root / name
        if not self._root.is_dir():
            return
        with self._lock():
            if self._own_mount(name) is not None:
                self._unmount(name, mountpoint)
            held = self._loops.detach_all(image)
            if held is not None:
                raise VdbmonError(
                    "volume.busy", f"volume {name} is still held by a user of {held}", "end the container first"
                )
            image.unlink(missing_ok=True)
            _new_image(image).unlink(missing_ok=True)
            remove_volume_labels(self._root, name)
            if mountpoint.is_dir():
                mountpoint.rmdir()

    def record(self, name: str) -> Record | None:
        """The record of the backup in a volume; None if there is none, or none that can be trusted.

        Raises:
            VdbmonError: as `get`.
        """
        found = self.get(name)
        return None if found is None else read_result(found.mountpoint, name)

    def contents(self, name: str) -> Contents | None:
        """See `Volumes`.

        Raises:
            VdbmonError: as `get`.
        """
        found = self.get(name)
        return None if found is None else look_into(found.mountpoint)

    def write_decisions(self, name: str, text: str) -> bool:
        """See `Volumes`.

        Raises:
            VdbmonError: as `get`; `volume.unwritable`.
        """
        found = self.get(name)
        if found is None:
            return False
        write_decisions(found.mountpoint, text)
        return True

    def _created_at(self, name: str) -> float | None:
        """Labels are written first, and never again."""
        with suppress(OSError):
            return labels_file(self._root, name).stat().st_mtime
        return None

    def _image(self, name: str) -> Path:
        """Where a volume's file is; an image's own name can't be a volume's, their paths would meet."""
        if not _NAME.fullmatch(name) or name.endswith(_IMAGE_SUFFIX):
            raise VdbmonError(
                "volume.bad_name",
                f"{name!r} is no volume name",
                "use at most 63 of a-z, 0-9, dot, dash, underscore; begin with a letter or digit; don't end in .img",
            )
        return self._root / f"{name}{_IMAGE_SUFFIX}"

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Alone in the folder; what goes wrong with its files is a sentence."""
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)
        except OSError as error:
            code = "volume.disk_full" if error.errno in _NO_ROOM else "volume.folder"
            raise VdbmonError(code, f"{error.filename or self._root}: {error.strerror}", "see [volumes] dir") from error

    def _make_image(self, image: Path, size: int) -> None:
        """Make the file under another name, so that an image by its own name is always a whole filesystem."""
        new = _new_image(image)
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, size)
            options = "nodiscard,lazy_itable_init=1,lazy_journal_init=1"
            self._run(["mkfs.ext4", "-q", "-m", "0", "-E", options, str(new)])
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        new.rename(image)

    def _mounted(self, name: str) -> SizedVolume:
        image, mountpoint = self._image(name), self._root / name
        device = self._own_mount(name)
        if device is None:
            attached = self._loops.over(image)
            device = attached[0] if attached else self._loops.attach(image)
            mountpoint.mkdir(mode=0o700, exist_ok=True)
            # noinit_itable: the file reads as zeros anyway; initialising tables would only write them to the disk.
            options = "noatime,nodev,nosuid,noinit_itable"
            self._run(["mount", "-t", "ext4", "-o", options, str(device.path), str(mountpoint)])
        size = image.stat().st_size
        return SizedVolume(name=name, size_bytes=size, image=image, mountpoint=mountpoint, device=device)

    def _own_mount(self, name: str) -> BlockDevice | None:
        """The loop device that is mounted for a volume; refuse a mount in its place that is none of ours."""
        mountpoint = self._root / name
        mounts = list(parse_mountinfo(self._mountinfo.read_bytes(), SkippedLines(), {str(mountpoint)}))
        if not mounts:
            return None
        for device in self._loops.over(self._image(name)):
            if device.number == mounts[-1].number:
                return device
        raise VdbmonError(
            "volume.foreign_mount", f"{mounts[-1].device} is mounted at {mountpoint}, not volume {name}", "unmount it"
        )

    def _unmount(self, name: str, mountpoint: Path) -> None:
        try:
            self._run(["umount", str(mountpoint)])
        except VdbmonError as error:
            raise VdbmonError("volume.busy", f"volume {name} is in use: {error}", "end what uses it first") from error


def _new_image(image: Path) -> Path:
    return image.with_name(f".{image.name}.new")
