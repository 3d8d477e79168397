"""A Docker daemon of the test's own, that may be stopped, killed and frozen."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

import docker
import psutil

from tests.support.servers import STOP_DEADLINE, freeze, process
from tests.support.wait import wait_until

READY_DEADLINE = 60.0
BUSYBOX = Path("/bin/busybox")
TINY_IMAGE = "vdbmon-test/busybox:1"
_BRIDGES = tuple(IPv4Network("169.254.0.0/17").subnets(new_prefix=28))
"""Of these each daemon's bridge has one, so that its containers reach what listens on this machine."""


@dataclass(slots=True)
class OwnDockerd:
    """A running daemon; `root` is its data root."""

    address: str
    root: Path
    process: subprocess.Popen[bytes]

    def client(self, timeout: int = 10) -> docker.DockerClient:
        """A new client of it."""
        return docker.DockerClient(base_url=self.address, timeout=timeout)

    def freeze(self) -> None:
        """Make it hang, as the real ones did: it accepts connections and answers nothing."""
        freeze(self.process.pid)

    def freeze_containerd(self) -> None:
        """Make it hang on its containers alone: what needs containerd waits, all else is answered."""
        for child in self._containerd():
            child.suspend()

    def thaw(self) -> None:
        """Let them go on."""
        self.process.send_signal(signal.SIGCONT)
        for child in self._containerd():
            child.resume()

    def _containerd(self) -> list[psutil.Process]:
        """The one that it started; none once it is gone."""
        try:
            children = psutil.Process(self.process.pid).children()
        except psutil.NoSuchProcess:
            return []
        return [child for child in children if child.name() == "containerd"]


@contextlib.contextmanager
def own_dockerd() -> Iterator[OwnDockerd]:
    """A daemon without any network.

    In a network namespace of its own: with --bridge=none a daemon deletes the docker0 that it finds.
    """
    with running_dockerd(["unshare", "--net", "dockerd", "--bridge=none"]) as daemon:
        yield daemon


@contextlib.contextmanager
def own_dockerd_online() -> Iterator[OwnDockerd]:
    """A daemon whose builds reach what the machine reaches, for those that install packages."""
    bridge = f"vdbmon{secrets.token_hex(4)}"  # a bridge of another name leaves docker0 alone
    gateway = secrets.choice(_BRIDGES)[1]
    subprocess.run(["ip", "link", "add", bridge, "type", "bridge"], check=True)
    try:
        subprocess.run(["ip", "address", "add", f"{gateway}/28", "dev", bridge], check=True)
        with running_dockerd(["dockerd", f"--bridge={bridge}"]) as daemon:
            yield daemon
    finally:
        subprocess.run(["ip", "link", "delete", bridge], check=True)


@contextlib.contextmanager
def running_dockerd(start: list[str]) -> Iterator[OwnDockerd]:
    """The daemon that this command starts, in a short temporary folder: socket paths hold 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="vdbmon-dockerd-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        address = f"unix://{folder / 'docker.sock'}"
        command = [
            *start,
            f"--data-root={folder / 'root'}",
            f"--exec-root={folder / 'exec'}",
            f"--pidfile={folder / 'dockerd.pid'}",
            f"--host={address}",
            "--iptables=false",
            "--log-level=warn",
        ]
        with process(command, folder / "dockerd.log") as started:
            wait_until(
                lambda: _answers(address) or started.poll() is not None, deadline=READY_DEADLINE, what="dockerd answers"
            )
            assert started.poll() is None, (folder / "dockerd.log").read_text()
            daemon = OwnDockerd(address, folder / "root", started)
            try:
                yield daemon
            finally:
                with contextlib.suppress(ProcessLookupError):
                    daemon.thaw()
                remove_containers(daemon)
        _unmount(folder)


def import_busybox(client: docker.DockerClient) -> str:
    """An image of one static busybox, made on the spot; its name."""
    if not client.images.list(TINY_IMAGE):
        with tempfile.TemporaryDirectory() as name:
            rootfs = Path(name)
            (rootfs / "bin").mkdir()
            (rootfs / "bin/busybox").write_bytes(BUSYBOX.read_bytes())
            (rootfs / "bin/busybox").chmod(0o755)
            for applet in ("sh", "sleep", "cat", "dd", "true", "false", "echo", "mkdir"):
                (rootfs / "bin" / applet).symlink_to("busybox")
            for folder in ("tmp", "proc", "sys", "dev", "etc"):
                (rootfs / folder).mkdir()
            archive = rootfs.with_suffix(".tar")
            subprocess.run(["tar", "-C", str(rootfs), "-cf", str(archive), "."], check=True)
            repository, _, tag = TINY_IMAGE.partition(":")
            client.api.import_image_from_file(str(archive), repository=repository, tag=tag)
            archive.unlink()
    return TINY_IMAGE


def remove_containers(daemon: OwnDockerd) -> None:
    """Remove all containers of a daemon, if it lives."""
    if daemon.process.poll() is not None:
        return
    with contextlib.closing(daemon.client(int(STOP_DEADLINE))) as client:
        for container in client.containers.list(all=True):
            container.remove(force=True)


def _answers(address: str) -> bool:
    try:
        with contextlib.closing(docker.APIClient(base_url=address, version="auto", timeout=5)) as client:
            return bool(client.ping())
    except (docker.errors.DockerException, OSError):
        return False


def _unmount(folder: Path) -> None:
    """What a killed daemon leaves mounted, deepest first; and its orphaned shims."""
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        if line.split()[1].startswith(f"{folder}/"):
            subprocess.run(["umount", "-l", line.split()[1]], check=False)
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in entry.read_bytes():
                os.kill(int(entry.parent.name), signal.SIGKILL)
