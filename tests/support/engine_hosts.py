"""Docker engines as hosts of their own: each in a network namespace, reached by its socket, over TLS, or by ssh.

Every host has a veth pair with the machine, of a /30 out of 198.18.0.0/15, which RFC 2544 keeps for tests.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import trustme

from orchestrator.settings import SshSettings, TlsSettings
from tests.support.dockerd import OwnDockerd, running_dockerd
from tests.support.sshd import ssh_key, sshd

TLS_PORT = 2376
_WIRE = "wire"
_WIRE_NETWORK = IPv4Network("10.213.7.0/30")
_NETWORKS = tuple(IPv4Network("198.18.0.0/15").subnets(new_prefix=30))
_ENGINES_OF_A_PROCESS = 4


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
        with contextlib.suppress(subprocess.CalledProcessError):  # it may be the pair that could not be made
            _ip("link", "delete", near)  # a namespace ends some time after it is deleted, and would keep the name
        _ip("netns", "delete", name)


@contextlib.contextmanager
def plain_engine(where: Namespace, *, bridge: IPv4Interface | None = None) -> Iterator[OwnDockerd]:
    """An engine in a namespace that listens on its socket alone; `bridge` is the address of its own bridge there."""
    network = "--bridge=none" if bridge is None else f"--bip={bridge}"
    with running_dockerd(where.command("dockerd", network)) as daemon:
        yield daemon


def wire(first: Namespace, second: Namespace) -> tuple[IPv4Address, IPv4Address]:
    """A link between two namespaces; the address of each at it. It goes with either of them."""
    _ip("-n", first.name, "link", "add", _WIRE, "type", "veth", "peer", "name", _WIRE, "netns", second.name)
    ends = _WIRE_NETWORK[1], _WIRE_NETWORK[2]
    for where, address in zip((first, second), ends, strict=True):
        _ip("-n", where.name, "address", "add", f"{address}/{_WIRE_NETWORK.prefixlen}", "dev", _WIRE)
        _ip("-n", where.name, "link", "set", _WIRE, "up")
    return ends


def route(where: Namespace, network: IPv4Network, by: IPv4Address) -> None:
    """A route in a namespace."""
    _ip("-n", where.name, "route", "add", str(network), "via", str(by))


def cut_power(where: Namespace) -> None:
    """Lose a host: all that runs in the namespace is killed, and no packet comes in or out any more."""
    found = subprocess.run(["ip", "netns", "pids", where.name], check=True, capture_output=True, text=True)
    for pid in found.stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    links = subprocess.run(["ip", "-n", where.name, "-o", "link"], check=True, capture_output=True, text=True)
    for line in links.stdout.splitlines():
        _ip("-n", where.name, "link", "set", line.split()[1].rstrip(":").partition("@")[0], "down")


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
def ssh_server(where: Namespace, folder: Path) -> Iterator[tuple[int, SshSettings]]:
    """An sshd of Debian's in a namespace, which knows one key; its port, and how it is reached."""
    key = ssh_key(folder / "id")
    authorized = key.with_suffix(".pub").read_text()
    with sshd(folder, authorized, address=str(where.address), before=tuple(where.command())) as server:
        yield server.port, SshSettings(key=key, known_hosts=server.known_hosts)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
