"""Sized volumes: ext4 in a sparse file behind a loop device, so that a full volume is full alone.

A volume `NAME` under a root is the file `NAME.img`, mounted at `NAME/`. Sizes are bytes of the device; the filesystem
takes some per cent of them. Block devices are named by path and by the kernel's `major:minor`. Sources:
proc_pid_mountinfo(5), sysfs `/sys/block/loop*/loop/backing_file` and `/sys/dev/block` (Documentation/ABI).
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from collector.errors import VdbmonError
from collector.volume_labels import labels_file, write_volume_labels

SMALLEST_BYTES = 8 << 20  # below it mke2fs leaves out the journal
_BLOCK_BYTES = 4096
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_IMAGE_SUFFIX = ".img"
_COMMAND_SECONDS = 60.0
_DETACH_SECONDS = 5.0
_OCTAL = re.compile(r"\\([0-7]{3})")

RunCommand = Callable[[Sequence[str]], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockDevice:
    """A disk as blkio limits name it: its path and `major:minor`."""

    path: Path
    number: str


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A line of mountinfo: what is mounted where."""

    number: str
    mountpoint: Path
    source: str


def run_command(command: Sequence[str]) -> str:
    """Run a command; return what it printed.

    Raises:
        VdbmonError: `volume.command_failed`, it is missing, failed, or did not end in time.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_COMMAND_SECONDS)
    except FileNotFoundError:
        raise VdbmonError("volume.command_failed", f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise VdbmonError(
            "volume.command_failed", f"{' '.join(command)} did not end in {_COMMAND_SECONDS:g} s"
        ) from None
    if done.returncode:
        complaint = " ".join(done.stderr.split()) or "no message"
        raise VdbmonError("volume.command_failed", f"{' '.join(command)} failed ({done.returncode}): {complaint}")
    return done.stdout


class LoopVolumes:
    """The sized volumes under one folder, which belongs to vdbmon alone.

    Every step can be interrupted: the next call for the same name goes on from what is there. Processes that change the
    same root take turns.
    """

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
        self._sysfs = sysfs
        self._mountinfo = mountinfo
        self._sleep = sleep

    def create(self, name: str, size_bytes: int, volume_labels: Mapping[str, str] | None = None) -> SizedVolume:
        """Make and mount a volume; one of this name and size that is there already is the answer.

        `volume_labels` are kept beside it, where its container can't write: they say whose it is.

        Raises:
            VdbmonError: `volume.bad_name`, `volume.bad_size`, `volume.exists` with another size,
                `volume.foreign_mount`, `volume.command_failed`.
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

    def remove(self, name: str) -> None:
        """Unmount and delete a volume; nothing to do if there is none.

        Raises:
            VdbmonError: `volume.bad_name`, `volume.busy` while something uses it, `volume.foreign_mount`,
                `volume.command_failed`.
        """
        image, mountpoint = self._image(name), self._root / name
        if not self._root.is_dir():
            return
        with self._lock():
            if self._own_mount(name) is not None:
                self._unmount(name, mountpoint)
            for device in self._loops(image):
                self._run(["losetup", "--detach", str(device.path)])
            self._await_detached(name, image)
            image.unlink(missing_ok=True)
            _new_image(image).unlink(missing_ok=True)
            labels_file(self._root, name).unlink(missing_ok=True)
            if mountpoint.is_dir():
                mountpoint.rmdir()

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
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

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
            attached = self._loops(image)
            device = attached[0] if attached else self._attach(image)
            mountpoint.mkdir(mode=0o700, exist_ok=True)
            # noinit_itable: the file reads as zeros anyway; initialising tables would only write them to the disk.
            options = "noatime,nodev,nosuid,noinit_itable"
            self._run(["mount", "-t", "ext4", "-o", options, str(device.path), str(mountpoint)])
        size = image.stat().st_size
        return SizedVolume(name=name, size_bytes=size, image=image, mountpoint=mountpoint, device=device)

    def _attach(self, image: Path) -> BlockDevice:
        """Attach a loop device; direct I/O keeps its writes out of the host's page cache, where limits don't hold."""
        path = Path(self._run(["losetup", "--find", "--show", "--direct-io=on", str(image)]).strip())
        number = (self._sysfs / "block" / path.name / "dev").read_text().strip()
        return BlockDevice(path=path, number=number)

    def _own_mount(self, name: str) -> BlockDevice | None:
        """The loop device that is mounted for a volume; refuse a mount in its place that is none of ours."""
        mountpoint = self._root / name
        mounts = [mount for mount in read_mounts(self._mountinfo.read_text()) if mount.mountpoint == mountpoint]
        if not mounts:
            return None
        for device in self._loops(self._image(name)):
            if device.number == mounts[-1].number:
                return device
        raise VdbmonError(
            "volume.foreign_mount", f"{mounts[-1].source} is mounted at {mountpoint}, not volume {name}", "unmount it"
        )

    def _loops(self, image: Path) -> tuple[BlockDevice, ...]:
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

    def _unmount(self, name: str, mountpoint: Path) -> None:
        try:
            self._run(["umount", str(mountpoint)])
        except VdbmonError as error:
            raise VdbmonError("volume.busy", f"volume {name} is in use: {error}", "end what uses it first") from error

    def _await_detached(self, name: str, image: Path) -> None:
        """Detaching is lazy: a container's own mount of the volume keeps the device until the container ends."""
        deadline = time.monotonic() + _DETACH_SECONDS
        while devices := self._loops(image):
            if time.monotonic() > deadline:
                raise VdbmonError(
                    "volume.busy",
                    f"volume {name} is still held by a user of {devices[0].path}",
                    "end the container first",
                )
            self._sleep(0.05)


def read_mounts(mountinfo: str) -> list[Mount]:
    """The mounts in the text of /proc/self/mountinfo, in their order; lines of another shape are left out."""
    mounts = []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        match (left.split(" "), right.split(" ")):
            case ([_, _, number, _, mountpoint, *_], [_, source, *_]):
                mounts.append(Mount(number=number, mountpoint=Path(_unescape(mountpoint)), source=_unescape(source)))
    return mounts


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


def _new_image(image: Path) -> Path:
    return image.with_name(f".{image.name}.new")


def _unescape(field: str) -> str:
    """Mountinfo writes space, tab, newline and backslash as octal numbers."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)
