"""Addresses of engines: `unix://`, `tcp://` with TLS client certificates, `ssh://`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from orchestrator.settings import HostSettings

KNOWN = "write for example unix:///var/run/docker.sock, tcp://10.0.0.12:2376 or ssh://vdbmon@10.0.0.13"


def engine_faults(hosts: Iterable[HostSettings]) -> Iterator[str]:
    """A sentence for each engine address that can't be used as it stands."""
    for host in hosts:
        if host.docker is not None:
            fault = _fault(host, host.docker)
            if fault:
                yield f"hosts {host.name}: docker = {host.docker!r}: {fault}"


def is_local(address: str | None) -> bool:
    """Whether the engine is on the machine that runs this; None is the usual one."""
    return address is None or urlsplit(address).scheme == "unix"


def is_over_ssh(address: str) -> bool:
    """Whether ssh has to log in before the engine can be asked."""
    return address.startswith("ssh://")


def _fault(host: HostSettings, address: str) -> str | None:
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        return f"{error}; {KNOWN}"
    match parts.scheme:
        case "unix":
            return None if parts.path.startswith("/") and not parts.netloc else f"no path of a socket; {KNOWN}"
        case "tcp":
            if not parts.hostname or port is None:
                return f"host or port is missing; {KNOWN}"
            if host.tls is None and not _is_loopback(parts):
                return "whoever reaches it is root there; give [hosts.tls] with ca, cert and key"
            return None
        case "ssh":
            if not parts.hostname or parts.hostname.startswith("-"):
                return f"no host; {KNOWN}"
            if parts.password:
                return "it holds a password; give [hosts.ssh] with a key"
            return None if host.ssh is not None else "give [hosts.ssh] with a key"
        case _:
            return f"vdbmon doesn't know that kind; {KNOWN}"


def _is_loopback(parts: SplitResult) -> bool:
    if parts.hostname == "localhost":
        return True
    try:
        return ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
