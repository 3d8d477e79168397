"""Sized volumes after the stack went down: unmounted and detached, their files kept."""

from __future__ import annotations

from pathlib import Path

from collector.errors import VdbmonError
from collector.kernelfile import SkippedLines
from collector.mountinfo import parse_mountinfo
from orchestrator.host.command import run_command

MOUNTINFO = Path("/proc/self/mountinfo")


def release_volumes(root: Path) -> list[str]:
    """Unmount every volume below `root` and free its loop device; return a sentence for each that is in use."""
    busy: dict[str, str] = {}
    points = [Path(mount.point) for mount in parse_mountinfo(MOUNTINFO.read_bytes(), SkippedLines())]
    for mountpoint in (point for point in reversed(points) if point.is_relative_to(root)):
        try:
            run_command(["umount", str(mountpoint)])
        except VdbmonError as error:
            busy[mountpoint.name] = f"volume {mountpoint.name} stays mounted: {error.message}"
    for image in root.glob("[!.]*.img"):
        if image.stem in busy:
            continue
        for line in run_command(["losetup", "--associated", str(image)]).splitlines():
            run_command(["losetup", "--detach", line.partition(":")[0]])
    return list(busy.values())
