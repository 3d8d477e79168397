"""Is every port free, or held by this very stack? Asked before anything starts."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from collector.errors import VdbmonError
from vdbmon.stack.programs import Address

IsOurs = Callable[[int], bool]


def check_ports(addresses: Iterable[Address], config_file: Path, is_ours: IsOurs) -> None:
    """Refuse to start where another program holds a port.

    Args:
        addresses: where the stack's programs are to listen.
        config_file: the file that an error names.
        is_ours: whether a process belongs to this stack.

    Raises:
        VdbmonError: `stack.port_held`, names for each such port the holder and the key to change.
    """
    sentences = []
    for address in addresses:
        if is_free(address):
            continue
        holders = listeners(address.port)
        if not holders or not all(is_ours(pid) for pid in holders):
            remedy = f"stop that, or change {address.key} in {config_file}"
            sentences.append(f"port {address.port} is held by {_describe(holders)}; {remedy}")
    if sentences:
        raise VdbmonError("stack.port_held", "\n".join(sentences))


def is_free(address: Address) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise VdbmonError(
                "stack.address",
                f"{address.key}: can't listen on {address}: {error.strerror}",
                "choose another address",
            ) from error
    return True


def listeners(port: int) -> list[int]:
    """Process ids that listen on a TCP port; a process of another namespace isn't seen."""
    connections = psutil.net_connections(kind="tcp")
    found = {c.pid for c in connections if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port}
    return sorted(pid for pid in found if pid is not None)


def _describe(pids: list[int]) -> str:
    names = []
    for pid in pids:
        try:
            names.append(f"{psutil.Process(pid).name()} (pid {pid})")
        except psutil.NoSuchProcess:
            continue
    return ", ".join(names) or "a process that can't be seen from here"
