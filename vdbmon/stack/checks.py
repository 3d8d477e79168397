"""What `vdbmon doctor` looks at: each check is a function of what it reads, and says how to mend what is wrong."""

from __future__ import annotations

import shutil
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from collector.clock import Clock
from collector.secretfile import others_may_use
from orchestrator.settings import SourceSettings

CGROUP_V1_CONTROLLERS = ("cpu", "cpuacct", "memory", "blkio")
CGROUP_V2_CONTROLLERS = ("cpu", "memory", "io")
PROGRAMS = {
    "mkfs.ext4": "e2fsprogs",
    "losetup": "mount",
    "mount": "mount",
    "umount": "mount",
    "mmdebstrap": "mmdebstrap",
}
DISK_WARNING_BYTES = 20 * 2**30
"""The demonstration takes 2 GB for the image and its data, a placed backup up to its --disk."""

ENGINE_SLOW_SECONDS = 1.0
CLOCK_WARNING_SECONDS = 2.0


class Level(StrEnum):
    """How bad it is: `warn` works with less, `fail` doesn't work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes:
        subject: what was looked at.
        detail: what was found.
        remedy: what to do; empty where all is well.
    """

    level: Level
    subject: str
    detail: str
    remedy: str = ""


def check_root(effective_user: int) -> Check:
    """Cgroups, loop devices and mounts are root's."""
    if effective_user == 0:
        return Check(Level.OK, "user", "root")
    return Check(Level.FAIL, "user", f"uid {effective_user} is not root", "run vdbmon with sudo")


def check_cgroups(root: Path) -> Check:
    """The layout of the cgroup file systems and the controllers that limits and metrics need."""
    subject = "cgroups"
    controllers_file = root / "cgroup.controllers"
    wanted: tuple[str, ...] = CGROUP_V1_CONTROLLERS
    if controllers_file.is_file():
        found, wanted, layout = set(controllers_file.read_text().split()), CGROUP_V2_CONTROLLERS, "v2"
    elif root.is_dir():
        found = {path.name for path in root.iterdir() if (path / "cgroup.procs").exists()}
        layout = "hybrid" if "unified" in found else "v1"
    else:
        return Check(
            Level.FAIL, subject, f"nothing is mounted at {root}", "mount the cgroup file systems (cgroupfs-mount)"
        )
    missing = [name for name in wanted if name not in found]
    if missing:
        return Check(
            Level.FAIL,
            subject,
            f"{layout}, without {', '.join(missing)}",
            "enable them: kernel parameter cgroup_enable=, or cgroup.subtree_control",
        )
    return Check(Level.OK, subject, f"{layout}: {', '.join(wanted)}")


def check_pressure(procfs: Path) -> Check:
    """Pressure stall information, which the pressure alerts read."""
    missing = [name for name in ("cpu", "memory", "io") if not (procfs / "pressure" / name).exists()]
    if missing:
        return Check(
            Level.WARN, "pressure (PSI)", f"no {', '.join(missing)}", "boot with psi=1; the pressure alerts stay silent"
        )
    return Check(Level.OK, "pressure (PSI)", "cpu, memory, io")


def check_loop_devices(device: Path) -> Check:
    """Sized volumes are loop devices."""
    if device.is_char_device():
        return Check(Level.OK, "loop devices", str(device))
    return Check(Level.FAIL, "loop devices", f"no {device}", "modprobe loop; a container needs the device passed in")


def check_programs(find: Callable[[str], str | None] = shutil.which) -> Check:
    """Commands that volumes and images need."""
    missing = {package: name for name, package in PROGRAMS.items() if find(name) is None}
    if missing:
        return Check(
            Level.FAIL, "programs", f"no {', '.join(missing.values())}", f"apt-get install {' '.join(missing)}"
        )
    return Check(Level.OK, "programs", ", ".join(PROGRAMS))


def check_space(folder: Path) -> Check:
    """Room for volumes."""
    existing = next(path for path in (folder, *folder.parents) if path.is_dir())
    free = shutil.disk_usage(existing).free
    detail = f"{free / 2**30:.0f} GiB free for {folder}"
    if free < DISK_WARNING_BYTES:
        return Check(Level.WARN, "disk", detail, "make room, or move volumes.dir to another disk")
    return Check(Level.OK, "disk", detail)


def check_credentials(sources: Sequence[SourceSettings], host: str) -> Iterable[Check]:
    """Option files of this host's sources: there, and nobody else's to read."""
    for source in sources:
        subject, path = f"credentials of {source.name}", source.credentials_file
        if source.host not in {None, host} or path is None:
            continue
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError as error:
            yield Check(Level.WARN, subject, f"{path}: {error.strerror}", "write it before the source is backed up")
            continue
        if others_may_use(mode):
            yield Check(Level.FAIL, subject, f"{path} has mode {mode:04o}", f"chmod 600 {path}")
        else:
            yield Check(Level.OK, subject, f"{path}, mode {mode:04o}")


def check_engine(address: str, ask: Callable[[str], bool], clock: Clock = time.monotonic) -> Check:
    """The engine, and how long it takes to answer."""
    start = clock()
    if not ask(address):
        return Check(
            Level.FAIL, "Docker engine", f"{address} doesn't answer", "see whether dockerd runs: `vdbmon status`"
        )
    seconds = clock() - start
    detail = f"{address} answers in {seconds * 1000:.0f} ms"
    if seconds > ENGINE_SLOW_SECONDS:
        return Check(Level.WARN, "Docker engine", detail, "the daemon is slow: see its load and its log")
    return Check(Level.OK, "Docker engine", detail)


def check_image(tag: str, *, exists: bool) -> Check:
    """The image that backups run in."""
    if exists:
        return Check(Level.OK, "backup image", tag)
    return Check(Level.FAIL, "backup image", f"the engine has no {tag}", "`make up` builds it")


def check_server(name: str, url: str, ask: Callable[[str], bool], remedy: str, *, missing: Level = Level.FAIL) -> Check:
    """A server that answers over HTTP; `missing` is how bad it is if it doesn't."""
    if ask(url):
        return Check(Level.OK, name, url)
    return Check(missing, name, f"{url} doesn't answer", remedy)


def check_clock(prometheus_time: float | None, now: float) -> Check:
    """This host's clock against Prometheus's: ages of telemetry are differences of the two."""
    if prometheus_time is None:
        return Check(Level.WARN, "clock", "Prometheus doesn't say its time", "see Prometheus above")
    apart = abs(now - prometheus_time)
    detail = f"{apart:.1f} s apart from Prometheus"
    if apart > CLOCK_WARNING_SECONDS:
        return Check(Level.WARN, "clock", detail, "synchronise both by NTP (chrony)")
    return Check(Level.OK, "clock", detail)
