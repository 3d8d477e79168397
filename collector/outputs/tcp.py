"""One exchange over TCP: send all, say that this was all, read until the far end has closed."""

from __future__ import annotations

import contextlib
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from collector.errors import ConfigError
from collector.quantities import Seconds

_READ_SIZE = 65536


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
    """What the far end answers to the payload until it closes.

    The far end's close is an acknowledgement: its kernel resets the connection instead if the program ends, or closes,
    before it has read everything.

    Raises:
        OSError: not connected, reset, or silent for longer than `timeout` seconds.
    """
    with socket.create_connection((address.host, address.port), timeout) as plain:
        if tls is None:
            plain.sendall(payload)
            plain.shutdown(socket.SHUT_WR)
            return _read_to_the_end(plain)
        with tls.wrap_socket(plain, server_hostname=address.host) as connection:
            connection.sendall(payload)
            # Waits for the far end's own notice; one that closes without it has read all, else it would have reset.
            with contextlib.suppress(ssl.SSLEOFError):
                connection.unwrap()
            return b""


def _read_to_the_end(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(_READ_SIZE):
        parts.append(part)
    return b"".join(parts)
