"""Block devices of a test's own: files behind loop devices."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Disk:
    """A device with an ext4 that is mounted at `point`."""

    device: str
    point: Path


@contextlib.contextmanager
def loop_disk(folder: Path, size: int = 64 * MIB) -> Iterator[Disk]:
    """A disk whose file and mount point are in the folder, which must be there; gone afterwards."""
    image, point = folder / "disk", folder / "mounted"
    point.mkdir()
    with image.open("wb") as file:
        file.truncate(size)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    attach: list[str | Path] = ["losetup", "--find", "--show", image]
    device = subprocess.run(attach, check=True, capture_output=True, text=True).stdout.strip()
    try:
        subprocess.run(["mount", device, point], check=True)
        yield Disk(device, point)
    finally:
        subprocess.run(["umount", "--lazy", point], check=False)
        subprocess.run(["losetup", "--detach", device], check=True)
