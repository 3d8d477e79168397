"""Sized volumes: names, mounts, and disks of a sysfs tree. Real loop devices are in the integration tests."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import VdbmonError
from orchestrator.host.blockdevices import BlockDevice, device_of, whole_disk
from orchestrator.host.volumes import SMALLEST_BYTES, LoopVolumes


def run_nothing(command: Sequence[str]) -> str:
    raise AssertionError(f"no command was expected, not {command}")


@pytest.fixture
def volumes(tmp_path: Path) -> LoopVolumes:
    return LoopVolumes(tmp_path / "root", run_nothing)


@given(st.text(max_size=70) | st.text(alphabet="ab0._-/img", max_size=70))
def test_no_name_leaves_the_root_or_meets_an_image(name: str) -> None:
    root = Path("/srv/volumes")
    volumes = LoopVolumes(root, run_nothing)
    with contextlib.suppress(VdbmonError):
        image = volumes._image(name)
        assert image.parent == root
        assert image.name == f"{name}.img"
        assert not name.startswith(".")
        assert not name.endswith(".img")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "A", "a b", ".lock", "a.img", "a\n", "x" * 64])
def test_a_bad_name_is_refused_by_every_call(volumes: LoopVolumes, name: str, tmp_path: Path) -> None:
    for call in (volumes.get, volumes.remove, lambda text: volumes.create(text, SMALLEST_BYTES)):
        with pytest.raises(VdbmonError) as caught:
            call(name)
        assert caught.value.code == "volume.bad_name"
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("size", [-1, 0, SMALLEST_BYTES - 1])
def test_a_size_that_holds_no_filesystem_is_refused(volumes: LoopVolumes, size: int, tmp_path: Path) -> None:
    with pytest.raises(VdbmonError) as caught:
        volumes.create("b1", size)
    assert caught.value.code == "volume.bad_size"
    assert not (tmp_path / "root").exists()


def test_without_a_root_there_are_no_volumes(volumes: LoopVolumes) -> None:
    assert volumes.list() == ()
    assert volumes.get("b1") is None
    volumes.remove("b1")


def test_list_names_images_and_nothing_else(volumes: LoopVolumes, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "folder.img").mkdir(parents=True)
    for name in ("b2.img", "a.1.img", ".b3.img.new", ".lock", "notes"):
        (root / name).touch()
    assert volumes.list() == ("a.1", "b2")


def test_a_mount_with_a_name_that_is_no_text_is_passed_over(tmp_path: Path) -> None:
    """Any user of the host may have mounted something under any bytes."""
    volumes = LoopVolumes(tmp_path / "root", run_nothing, sysfs=tmp_path, mountinfo=tmp_path / "mountinfo")
    (tmp_path / "root").mkdir()
    (tmp_path / "root/b1.img").touch()
    (tmp_path / "mountinfo").write_bytes(b"1 2 0:1 / /\xff\xfe rw - tmpfs x rw\n")
    assert volumes.list() == ("b1",)
    volumes.remove("b1")
    assert volumes.list() == ()


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    """A disk with a partition, a device-mapper volume, and a disk whose name has a slash."""
    root = tmp_path / "sys"
    (root / "dev" / "block").mkdir(parents=True)
    for number, folder in {"8:0": "sda", "8:1": "sda/sda1", "253:2": "dm-2", "104:0": "cciss!c0d0"}.items():
        device = root / "devices" / folder
        device.mkdir(parents=True)
        (device / "dev").write_text(f"{number}\n")
        (root / "dev" / "block" / number).symlink_to(device)
    (root / "devices" / "sda" / "sda1" / "partition").write_text("1\n")
    return root


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("8:0", BlockDevice(path=Path("/dev/sda"), number="8:0")),
        ("8:1", BlockDevice(path=Path("/dev/sda"), number="8:0")),
        ("253:2", BlockDevice(path=Path("/dev/dm-2"), number="253:2")),
        ("104:0", BlockDevice(path=Path("/dev/cciss/c0d0"), number="104:0")),
    ],
)
def test_a_limit_goes_to_the_whole_disk(sysfs: Path, number: str, expected: BlockDevice) -> None:
    assert whole_disk(number, Path("/var/lib/mysql"), sysfs=sysfs) == expected


def test_a_filesystem_without_a_disk_is_refused_by_name(sysfs: Path) -> None:
    with pytest.raises(VdbmonError) as caught:
        whole_disk("0:41", Path("/mnt/nfs"), sysfs=sysfs)
    assert caught.value.code == "volume.no_disk"
    assert str(caught.value) == "/mnt/nfs is on device 0:41, which is no disk; keep it on a local disk"


def test_a_missing_folder_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(VdbmonError, match="No such file or directory") as caught:
        device_of(tmp_path / "absent")
    assert caught.value.code == "volume.no_disk"
