"""A disk measured with the real fio, and what is left of it: nothing."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from collector.errors import VdbmonError
from orchestrator.host.disk_probe import probe_folder
from orchestrator.host.volumes import LoopVolumes
from tests.support.agent import VDBMON
from tests.support.wait import wait_until

MIB = 1 << 20


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([VDBMON, "host", "probe-disk", *words], capture_output=True, text=True, check=False)


def free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def test_figures_and_inventory_of_a_folder(tmp_path: Path) -> None:
    done = run("--dir", str(tmp_path), "--size", "32MiB", "--time", "300ms", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["where"] == str(tmp_path)
    assert all(document[f"{way}_bps"] > MIB for way in ("read", "write"))
    assert all(document[f"{way}_iops_{block}"] > 1 for way in ("read", "write") for block in ("4k", "16k"))
    assert set(document["inventory"]) == {"read_bps", "write_bps", "read_iops", "write_iops"}
    assert list(tmp_path.iterdir()) == []
    done = run("--dir", str(tmp_path), "--size", "16MiB", "--time", "200ms")
    assert "[hosts.inventory]\nread_bps = " in done.stdout


def test_a_raw_device_is_read_and_stays_as_it_is(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(os.urandom(32 * MIB))
    before = image.read_bytes()
    device = subprocess.run(
        ["losetup", "--find", "--show", str(image)], check=True, capture_output=True, text=True
    ).stdout.strip()
    try:
        done = run("--device", device, "--size", "32MiB", "--time", "200ms", "--json")
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["write_bps"] is None
    assert image.read_bytes() == before


def test_what_is_no_target_is_one_line(tmp_path: Path) -> None:
    for words, said in (
        (("--device", "/dev/null"), "is no block device"),
        (("--dir", str(tmp_path / "absent")), "is no folder"),
        (("--dir", str(tmp_path), "--device", "/dev/null"), "are two targets"),
        (("--dir", str(tmp_path), "--size", "1kB"), "measures caches"),
    ):
        done = run(*words)
        assert done.returncode == 2
        assert done.stderr.startswith("vdbmon: ")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of its own, whose free space nobody else changes."""
    volumes = LoopVolumes(tmp_path / "volumes")
    yield volumes.create("disk", 256 * MIB).mountpoint
    wait_until(partial(is_removed, volumes, "disk"), deadline=60.0, what="the filesystem is removed")


def is_removed(volumes: LoopVolumes, name: str) -> bool:
    with contextlib.suppress(VdbmonError):
        volumes.remove(name)
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_a_probe_that_is_killed_leaves_no_file_and_gives_its_space_back(disk: Path, number: signal.Signals) -> None:
    before, names = free(disk), set(disk.iterdir())
    script = "import sys\nfrom pathlib import Path\nfrom orchestrator.host.disk_probe import probe_folder\n"
    script += "probe_folder(Path(sys.argv[1]), size=64 << 20, seconds=1.0)\n"
    with subprocess.Popen([sys.executable, "-c", script, str(disk)]) as probing:
        wait_until(lambda: before - free(disk) > 8 * MIB, deadline=60.0, what="fio writes")
        probing.send_signal(number)
    assert set(disk.iterdir()) == names
    wait_until(lambda: free(disk) == before, deadline=60.0, what="the space is free again")


def test_the_probe_keeps_to_its_size(tmp_path: Path) -> None:
    figures = probe_folder(tmp_path, size=16 * MIB, seconds=0.2)
    assert figures.write_bps is not None
    assert list(tmp_path.iterdir()) == []
