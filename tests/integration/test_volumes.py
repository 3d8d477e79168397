"""Sized volumes on real loop devices; needs root, as vdbmon does."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from collector.errors import VdbmonError
from collector.kernelfile import SkippedLines, read_file
from collector.mountinfo import parse_mountinfo
from collector.volume_labels import read_volume_labels
from orchestrator.backup.runner.directio import DirectIOUnsupportedError, DirectWriter
from orchestrator.host.blockdevices import device_of
from orchestrator.host.command import run_command
from orchestrator.host.volumes import LoopVolumes, SizedVolume

MIB = 1 << 20
SIZE = 64 * MIB


class KilledError(Exception):
    """Stands for a kill."""


class Dying:
    """Runs commands, and dies before or after the one of a given place."""

    def __init__(self, place: int, *, after: bool) -> None:
        self._left = place
        self._after = after

    def __call__(self, command: Sequence[str]) -> str:
        self._left -= 1
        if self._left < 0 and not self._after:
            raise KilledError
        output = run_command(command)
        if self._left < 0:
            raise KilledError
        return output


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A folder for volumes; whatever a test leaves mounted or attached under it is undone."""
    folder = tmp_path / "volumes"
    yield folder
    for point in reversed(mount_points()):
        if point.is_relative_to(folder):
            run_command(["umount", str(point)])
    for image in folder.glob("*.img"):
        for device in attached(image):
            run_command(["losetup", "--detach", device])


def attached(image: Path) -> list[str]:
    return run_command(["losetup", "--noheadings", "--output", "NAME", "--associated", str(image)]).split()


def mount_points() -> list[Path]:
    return [Path(mount.point) for mount in parse_mountinfo(read_file("/proc/self/mountinfo"), SkippedLines())]


def is_mounted(path: Path) -> bool:
    return path in mount_points()


def write_until(file: io.RawIOBase, size: int) -> None:
    while file.tell() <= size:
        file.write(bytes(MIB))


def reboot(volume: SizedVolume) -> None:
    """Leave of a volume what a reboot does: the file."""
    run_command(["umount", str(volume.mountpoint)])
    run_command(["losetup", "--detach", str(volume.device.path)])


def assert_whole(volume: SizedVolume | None) -> None:
    assert volume is not None
    assert is_mounted(volume.mountpoint)
    assert attached(volume.image) == [str(volume.device.path)]
    (volume.mountpoint / "probe").write_text("x")


def test_a_volume_is_made_found_and_removed(root: Path) -> None:
    volumes = LoopVolumes(root)
    made = volumes.create("b1", SIZE)
    assert_whole(made)
    assert made.size_bytes == SIZE
    assert made.mountpoint == root / "b1"
    assert Path(f"/sys/dev/block/{made.device.number}").resolve().name == made.device.path.name
    assert made.image.stat().st_blocks * 512 < SIZE / 4, "the file is sparse"
    assert volumes.create("b1", SIZE) == volumes.get("b1") == made
    assert volumes.list() == ("b1",)
    assert device_of(made.mountpoint) == made.device
    volumes.remove("b1")
    assert (volumes.list(), volumes.get("b1")) == ((), None)
    assert sorted(path.name for path in root.iterdir()) == [".lock"]
    volumes.remove("b1")


def test_labels_live_and_end_with_the_volume(root: Path) -> None:
    volumes = LoopVolumes(root)
    volumes.create("b1", SIZE, {"io.vdbmon.name": "nightly"})
    volumes.create("b2", SIZE)
    assert list(read_volume_labels(root)) == [(str(root / "b1"), {"io.vdbmon.name": "nightly"})]
    volumes.remove("b1")
    assert sorted(path.name for path in root.iterdir()) == [".lock", "b2", "b2.img"]
    volumes.remove("b2")


def test_another_size_is_refused_and_the_volume_kept(root: Path) -> None:
    volumes = LoopVolumes(root)
    made = volumes.create("b1", SIZE)
    with pytest.raises(VdbmonError) as caught:
        volumes.create("b1", 2 * SIZE)
    assert caught.value.code == "volume.exists"
    assert volumes.get("b1") == made


def test_a_full_volume_is_full_alone(root: Path) -> None:
    volumes = LoopVolumes(root)
    small, other = volumes.create("small", SIZE), volumes.create("other", SIZE)
    with (small.mountpoint / "big").open("wb", buffering=0) as file:
        with pytest.raises(OSError, match="No space left on device"):
            write_until(file, SIZE)
        assert SIZE * 0.8 < file.tell() < SIZE
    (other.mountpoint / "file").write_bytes(bytes(MIB))


def test_writes_do_not_rest_in_the_hosts_page_cache(root: Path) -> None:
    made = LoopVolumes(root).create("b1", SIZE)
    assert (Path("/sys/block") / made.device.path.name / "loop" / "dio").read_text().strip() == "1"


@pytest.mark.parametrize("again", ["create", "get"])
def test_after_a_reboot_the_volume_is_mounted_again(root: Path, again: str) -> None:
    volumes = LoopVolumes(root)
    made = volumes.create("b1", SIZE)
    (made.mountpoint / "backup").write_text("precious")
    reboot(made)
    found = volumes.create("b1", SIZE) if again == "create" else volumes.get("b1")
    assert_whole(found)
    assert (root / "b1" / "backup").read_text() == "precious"


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("place", range(3), ids=["mkfs", "losetup", "mount"])
def test_interrupted_creation_is_finished_by_the_next(root: Path, place: int, moment: str) -> None:
    with pytest.raises(KilledError):
        LoopVolumes(root, Dying(place, after=moment == "after")).create("b1", SIZE)
    volumes = LoopVolumes(root)
    assert_whole(volumes.create("b1", SIZE))
    assert sorted(path.name for path in root.iterdir()) == [".lock", "b1", "b1.img"]
    volumes.remove("b1")
    assert sorted(path.name for path in root.iterdir()) == [".lock"]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("place", range(2), ids=["umount", "losetup"])
def test_interrupted_removal_is_finished_by_the_next(root: Path, place: int, moment: str) -> None:
    LoopVolumes(root).create("b1", SIZE)
    with pytest.raises((KilledError, VdbmonError)):
        LoopVolumes(root, Dying(place, after=moment == "after")).remove("b1")
    LoopVolumes(root).remove("b1")
    assert sorted(path.name for path in root.iterdir()) == [".lock"]
    assert attached(root / "b1.img") == []


def test_a_volume_in_use_is_not_removed(root: Path) -> None:
    volumes = LoopVolumes(root)
    made = volumes.create("b1", SIZE)
    with (made.mountpoint / "open").open("w"):
        with pytest.raises(VdbmonError) as caught:
            volumes.remove("b1")
        assert caught.value.code == "volume.busy"
        assert volumes.get("b1") == made
    volumes.remove("b1")
    assert volumes.list() == ()


def test_a_foreign_mount_is_left_alone(root: Path) -> None:
    volumes = LoopVolumes(root)
    reboot(volumes.create("b1", SIZE))
    run_command(["mount", "-t", "tmpfs", "somebody", str(root / "b1")])
    (root / "b1" / "theirs").touch()
    for call in (volumes.get, volumes.remove):
        with pytest.raises(VdbmonError) as caught:
            call("b1")
        assert caught.value.code == "volume.foreign_mount"
        assert "somebody is mounted at" in caught.value.message
    assert (root / "b1" / "theirs").exists()
    assert volumes.list() == ("b1",)


def test_processes_that_create_at_once_get_the_same_volume(root: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from orchestrator.host.volumes import LoopVolumes\n"
        f"print(LoopVolumes(Path(sys.argv[1])).create('b1', {SIZE}).device.path)"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(root)], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    devices = {process.communicate(timeout=60)[0] for process in processes}
    assert [process.returncode for process in processes] == [0] * 4
    assert [device.strip() for device in devices] == attached(root / "b1.img")


def test_a_disk_holds_this_folder(tmp_path: Path) -> None:
    device = device_of(tmp_path)
    status = device.path.stat()
    assert f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}" == device.number


def test_a_filesystem_without_direct_io_is_refused_not_written_buffered(root: Path) -> None:
    folder = root / "ramfs"
    folder.mkdir(parents=True)
    run_command(["mount", "-t", "ramfs", "none", str(folder)])
    with pytest.raises(DirectIOUnsupportedError, match="refuses direct I/O"):
        DirectWriter(folder / "stream")
    assert list(folder.iterdir()) == []
