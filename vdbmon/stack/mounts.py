"""Sized volumes after the stack went down: unmounted and detached, their files kept."""

from __future__ import annotations

from pathlib import Path

from collector.errors import VdbmonError
from orchestrator.volumes import read_mounts, run_command

MOUNTINFO = Path("/proc/self/mountinfo")


def release_volumes(root: Path) -> list[str]:
    """Unmount every volume below `root` and free its loop device; return a sentence for each that is in use."""
    busy = []
    mounts = [m.mountpoint for m in read_mounts(MOUNTINFO.read_text()) if m.mountpoint.is_relative_to(root)]
    for mountpoint in reversed(mounts):
        try:
            run_command(["umount", str(mountpoint)])
        except VdbmonError as error:
            busy.append(f"volume {mountpoint.name} stays mounted: {error.message}")
    kept = {sentence.split()[1] for sentence in busy}
    for image in root.glob("[!.]*.img"):
        if image.stem in kept:
            continue
        for line in run_command(["losetup", "--associated", str(image)]).splitlines():
            run_command(["losetup", "--detach", line.partition(":")[0]])
    return busy
