"""The guest's kernel, first file system and root disk, made once from Debian's packages.

All packages are unpacked and none is installed: the guest needs files, not maintainer scripts, and the kernel's own
would build an initramfs for half a minute. This file is the recipe; its digest names the folder of the result.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.made_once import made_once

SUITE = "bookworm"
PACKAGES = (
    *("busybox-static", "coreutils", "dash", "iproute2", "mount", "python3", "tar", "util-linux"),
    "linux-image-cloud-amd64",
)
# In the order in which they depend on each other; ext4 is part of this kernel.
DISK_MODULES = ("virtio_ring", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio", "virtio_pci", "virtio_blk")
OTHER_MODULES = ("veth",)
ROOT_SIZE = "400M"
PREPARE_SECONDS = 170

# Compiled here, because the guest's processor is emulated.
COMPILED = "import contextlib, dataclasses, datetime, functools, json, pathlib, socket, subprocess, threading, typing"

NEW_ROOT = "/root"  # in the initramfs: where the root disk is mounted
# The kernel starts this in the initramfs; it goes on to /init of the root disk.
FIRST_INIT = f"""\
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in {" ".join(DISK_MODULES)}; do /bin/busybox insmod /modules/$module.ko; done
tries=0
while [ ! -e /dev/vda ] && [ $tries -lt 100 ]; do /bin/busybox sleep 0.1; tries=$((tries + 1)); done
/bin/busybox mount -t ext4 /dev/vda {NEW_ROOT}
/bin/busybox mount --move /dev {NEW_ROOT}/dev
exec /bin/busybox switch_root {NEW_ROOT} /init
"""

# The disks after the root: the job as a tar file, what it leaves as a tar file, one to write on.
GUEST_INIT = f"""\
#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mount -t cgroup2 -o nsdelegate cgroup /sys/fs/cgroup
for module in {" ".join(OTHER_MODULES)}; do busybox insmod /lib/modules/$(uname -r)/$module.ko; done
ip link set lo up
mkdir /tmp/job /tmp/out
cd /tmp/job && tar xf /dev/vdb
OUT=/tmp/out SCRATCH=/dev/vdd python3 job.py >/tmp/out/log 2>&1
echo $? >/tmp/out/status
tar cf /dev/vdc -C /tmp/out .
sync
echo o >/proc/sysrq-trigger
sleep 60
"""


@dataclass(frozen=True, slots=True)
class GuestImage:
    """What QEMU boots."""

    kernel: Path
    initramfs: Path
    root_disk: Path


def prepare(cache: Path) -> GuestImage:
    """The guest of this recipe, made first if the cache doesn't hold it.

    Raises:
        AssertionError: a package can't be fetched or a tool failed; the message holds its last lines.
    """
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    return _image(made_once(cache, recipe[:16], _make))


def _image(folder: Path) -> GuestImage:
    return GuestImage(folder / "vmlinuz", folder / "initramfs.gz", folder / "root.ext4")


def _make(folder: Path) -> None:
    root, image = folder.parent / "root", _image(folder)
    _unpack(root)
    shutil.move(next((root / "boot").glob("vmlinuz-*")), image.kernel)
    modules = next((root / "lib/modules").iterdir())
    image.initramfs.write_bytes(_initramfs(folder.parent / "initramfs", root / "bin/busybox", modules))
    for name in OTHER_MODULES:
        shutil.move(_module(modules, name), modules / f"{name}.ko")
    for path in (modules / "kernel", root / "boot"):
        shutil.rmtree(path)
    _script(root / "init", GUEST_INIT)
    for name in ("dev", "proc", "run", "sys", "tmp"):
        (root / name).mkdir(exist_ok=True)
    _run("chroot", str(root), "/usr/bin/env", "-i", "/usr/bin/python3", "-c", COMPILED)
    _run("truncate", f"--size={ROOT_SIZE}", str(image.root_disk))
    _run("mkfs.ext4", "-q", "-d", str(root), str(image.root_disk))


def _unpack(root: Path) -> None:
    without = ("/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*")
    _run(
        "mmdebstrap",
        "--variant=extract",
        f"--include={','.join(PACKAGES)}",
        '--aptopt=APT::Install-Recommends "false"',
        *(f"--dpkgopt=path-exclude={path}" for path in without),
        SUITE,
        str(root),
    )


def _initramfs(folder: Path, busybox: Path, modules: Path) -> bytes:
    for name in ("bin", "modules", "dev", "root"):
        (folder / name).mkdir(parents=True)
    shutil.copy(busybox, folder / "bin/busybox")
    for name in DISK_MODULES:
        shutil.copy(_module(modules, name), folder / "modules")
    _script(folder / "init", FIRST_INIT)
    names = "\n".join(str(path.relative_to(folder)) for path in sorted(folder.rglob("*")))
    archive = subprocess.run(
        [str(folder / "bin/busybox"), "cpio", "-o", "-H", "newc"],
        cwd=folder,
        input=names.encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    ).stdout
    return gzip.compress(archive, 1)


def _module(modules: Path, name: str) -> Path:
    return next(modules.rglob(f"{name}.ko"))


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _run(*command: str) -> None:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PREPARE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout[-2000:]}"
