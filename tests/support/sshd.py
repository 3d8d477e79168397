"""An ssh server of a test's own, with a key that its clients know it by."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.servers import free_port, process
from tests.support.wait import wait_until


@dataclass(frozen=True, slots=True)
class Sshd:
    """A running server on loopback; `known_hosts` names its key."""

    port: int
    known_hosts: Path


def ssh_key(path: Path) -> Path:
    """A new private key; the public one is beside it, `.pub`."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@contextlib.contextmanager
def sshd(folder: Path, authorized: str, *, address: str = "127.0.0.1", before: tuple[str, ...] = ()) -> Iterator[Sshd]:
    """A server that lets in whom the lines of `authorized` name; `before` goes before its command."""
    port, host = free_port(), ssh_key(folder / "host")
    (folder / "authorized").write_text(authorized)
    (folder / "config").write_text(
        f"Port {port}\nListenAddress {address}\nHostKey {host}\nAuthorizedKeysFile {folder}/authorized\n"
        "PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        "Subsystem sftp internal-sftp\n"
    )
    known_hosts, log = folder / "known", folder / "log"
    known_hosts.write_text(f"[{address}]:{port} {(folder / 'host.pub').read_text()}")
    Path("/run/sshd").mkdir(exist_ok=True)
    with process([*before, "/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "config")], log) as server:
        wait_until(lambda: "listening" in log.read_text(), deadline=20, what="sshd listens")
        assert server.poll() is None
        yield Sshd(port, known_hosts)
