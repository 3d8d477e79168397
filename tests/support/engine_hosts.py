"""Docker engines as hosts of their own: each in a network namespace, reached by its socket, over TLS, or by ssh.

Every host has a veth pair with the machine, of a /30 out of 198.18.0.0/15, which RFC 2544 keeps for tests.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import trustme

from orchestrator.settings import SshSettings, TlsSettings
from tests.support.dockerd import OwnDockerd, running_dockerd
from tests.support.servers import process
from tests.support.wait import wait_until

TLS_PORT = 2376
SSH_PORT = 2222
_NETWORKS = tuple(IPv4Network("198.18.0.0/15").subnets(new_prefix=30))
_ENGINES_OF_A_PROCESS = 4
_SSHD_FOLDER = Path("/run/sshd")  # Debian's sshd wants it for its unprivileged half
_SSHD_CONFIG = """
Port {port}
ListenAddress {address}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
PidFile none
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """A network namespace, and the address at which this machine reaches it."""

    name: str
    address: IPv4Address

    def command(self, *words: str) -> list[str]:
        """A command that runs in it; `ip netns exec` would hide the cgroups."""
        return ["nsenter", f"--net=/run/netns/{self.name}", *words]


@contextlib.contextmanager
def namespace(number: int) -> Iterator[Namespace]:
    """The namespace of one of this process's hosts, 0 to 3."""
    network = _NETWORKS[(os.getpid() * _ENGINES_OF_A_PROCESS + number) % len(_NETWORKS)]
    here, there = network[1], network[2]
    name = f"vt{os.getpid()}n{number}"
    near, far = f"{name}a", f"{name}b"
    _ip("netns", "add", name)
    try:
        _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", name)
        _ip("address", "add", f"{here}/30", "dev", near)
        _ip("link", "set", near, "up")
        _ip("-n", name, "address", "add", f"{there}/30", "dev", far)
        for link in (far, "lo"):
            _ip("-n", name, "link", "set", link, "up")
        yield Namespace(name=name, address=there)
    finally:
        _ip("netns", "delete", name)  # the pair goes with it


@contextlib.contextmanager
def plain_engine(where: Namespace) -> Iterator[OwnDockerd]:
    """An engine in a namespace that listens on its socket alone."""
    with running_dockerd(where.command("dockerd", "--bridge=none")) as daemon:
        yield daemon


@contextlib.contextmanager
def tls_engine(where: Namespace, folder: Path) -> Iterator[tuple[OwnDockerd, str, TlsSettings]]:
    """An engine that also listens on TCP, for clients with a certificate of its authority."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    for name, identity in (("server", str(where.address)), ("client", "vdbmon@client")):
        leaf = authority.issue_cert(identity)
        leaf.private_key_pem.write_to_path(folder / f"{name}.key")
        leaf.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
        (folder / f"{name}.key").chmod(0o600)
    address = f"tcp://{where.address}:{TLS_PORT}"
    files = (
        f"--tlscacert={folder / 'ca.pem'}",
        f"--tlscert={folder / 'server.pem'}",
        f"--tlskey={folder / 'server.key'}",
    )
    command = where.command("dockerd", "--bridge=none", f"--host={address}", "--tlsverify", *files)
    tls = TlsSettings(ca=folder / "ca.pem", cert=folder / "client.pem", key=folder / "client.key")
    with running_dockerd(command) as daemon:
        yield daemon, address, tls


@contextlib.contextmanager
def ssh_server(where: Namespace, folder: Path) -> Iterator[SshSettings]:
    """An sshd of Debian's in a namespace, which knows one key."""
    _SSHD_FOLDER.mkdir(mode=0o755, exist_ok=True)
    for name in ("host_key", "id"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    (folder / "authorized_keys").write_text((folder / "id.pub").read_text())
    (folder / "known_hosts").write_text(f"[{where.address}]:{SSH_PORT} {(folder / 'host_key.pub').read_text()}")
    config = folder / "sshd_config"
    config.write_text(_SSHD_CONFIG.format(port=SSH_PORT, address=where.address, folder=folder))
    log = folder / "sshd.log"
    with process(where.command("/usr/sbin/sshd", "-D", "-e", "-f", str(config)), log) as started:
        wait_until(
            lambda: "listening" in log.read_text() or started.poll() is not None, deadline=20.0, what="sshd listens"
        )
        assert started.poll() is None, log.read_text()
        yield SshSettings(key=folder / "id", known_hosts=folder / "known_hosts")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
