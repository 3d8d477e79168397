"""One exchange over TCP: send all, say that this was all, read until the far end has closed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import socket
import ssl
import struct
import termios
from dataclasses import dataclass
from urllib.parse import urlsplit

from collector.errors import ConfigError
from collector.quantities import Seconds

_READ_SIZE = 65536
_INT = struct.Struct("i")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str, default_port: int, key: str) -> Address:
    """The address in `host`, `host:port`, `[v6]` or `[v6]:port`; `key` is the setting that it stands in.

    Raises:
        ConfigError: not of that form.
    """
    try:
        url = urlsplit(f"//{text}")
        host, port = url.hostname, url.port or default_port
    except ValueError:
        host = None
    if host is None or url.netloc != text or "@" in text:
        raise ConfigError("config.address", f"{key}: {text!r} is no address", f"write host:{default_port}")
    return Address(host, port)


def exchange(address: Address, payload: bytes, timeout: Seconds, tls: ssl.SSLContext | None = None) -> bytes:
    """What the far end answers to the payload until it closes; over TLS nothing is waited for but the close.

    The far end's close is an acknowledgement: its kernel resets the connection instead if the program ends, or closes,
    before it has read everything.

    Raises:
        OSError: not connected, reset, closed too early, or silent for longer than `timeout` seconds.
    """
    with socket.create_connection((address.host, address.port), timeout) as plain:
        if tls is None:
            plain.sendall(payload)
            return _finish(plain)
        with tls.wrap_socket(plain, server_hostname=address.host) as connection:
            connection.sendall(payload)
            with contextlib.suppress(ssl.SSLEOFError):  # closed without a notice, which says as much
                connection.unwrap()
            return _finish(connection)


def _finish(connection: socket.socket) -> bytes:
    connection.shutdown(socket.SHUT_WR)
    parts = []
    while part := connection.recv(_READ_SIZE):
        parts.append(part)
    # A far end that closes while the payload is on its way ends the stream like any other and resets it afterwards.
    if _unacknowledged(connection) > 1:
        raise ConnectionResetError(errno.ECONNRESET, "closed before it had read everything")
    return b"".join(parts)


def _unacknowledged(connection: socket.socket) -> int:
    """Bytes that the far end's kernel has not got, our own end of the stream counted as one (SIOCOUTQ, tcp(7))."""
    answer = fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(_INT.size))
    return int(_INT.unpack(answer)[0])
