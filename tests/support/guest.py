"""A Debian kernel with pure cgroup v2 in QEMU, which runs one Python job and gives back what it wrote.

Emulated without KVM, so that it runs wherever the tests do, on machines that are guests themselves too.
"""

from __future__ import annotations

import compileall
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.guest_image import GuestImage

RUN_SECONDS = 120
OUT_SIZE = 32 * 2**20
SCRATCH_SIZE = 64 * 2**20
_SECTOR = 512

_MACHINE = (
    *("-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "512"),
    *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"),
    *("-append", "console=ttyS0 quiet panic=-1 psi=1 cgroup_no_v1=all random.trust_cpu=on"),
)


@dataclass(frozen=True, slots=True)
class GuestRun:
    """What the guest left: the folder of the job's files, its output, its exit status, the kernel's console."""

    out: Path
    log: str
    status: int
    console: str


def run(image: GuestImage, job: Path, folder: Path) -> GuestRun:
    """Boot, run `job.py` of the folder `job` and wait until the guest has switched itself off.

    In the guest `job.py` runs in a copy of `job`, as root; $OUT is the folder whose files come back, $SCRATCH a disk of
    64 MiB that it may write on. `folder` takes the disks and the result; `job` gets compiled modules.

    Raises:
        AssertionError: the guest didn't reach the end of its job.
        subprocess.TimeoutExpired: it didn't end in time.
    """
    job_disk, out_disk, scratch = (folder / name for name in ("job.tar", "out.tar", "scratch.img"))
    compileall.compile_dir(job, quiet=1)  # a python3 of another version than the guest's makes files that it ignores
    with tarfile.open(job_disk, "w") as archive:
        archive.add(job, ".")
    for disk, size in ((job_disk, _whole_sectors(job_disk)), (out_disk, OUT_SIZE), (scratch, SCRATCH_SIZE)):
        with disk.open("ab") as file:
            file.truncate(size)
    disks = (f"{image.root_disk},snapshot=on", f"{job_disk},readonly=on", str(out_disk), str(scratch))
    booted = subprocess.run(
        [
            "qemu-system-x86_64",
            *_MACHINE,
            *("-kernel", str(image.kernel), "-initrd", str(image.initramfs)),
            *(word for disk in disks for word in ("-drive", f"format=raw,if=virtio,cache=unsafe,file={disk}")),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=RUN_SECONDS,
        check=False,
    )
    console = booted.stdout.decode(errors="replace").replace("\r", "")
    out = folder / "out"
    out.mkdir()
    subprocess.run(["tar", "-xf", str(out_disk), "-C", str(out)], check=False)
    assert (out / "status").exists(), f"the guest did not end its job; its console:\n{console[-2000:]}"
    return GuestRun(out, (out / "log").read_text(), int((out / "status").read_text()), console)


def _whole_sectors(path: Path) -> int:
    return -(-path.stat().st_size // _SECTOR) * _SECTOR
