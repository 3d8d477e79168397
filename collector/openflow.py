"""How many flows a bridge has, asked by OpenFlow on the socket that ovs-vswitchd keeps for its administrator.

Source: the OpenFlow specifications 1.0 (5.3.5) and 1.3 to 1.5 (7.3.5). Table statistics carry the number of flows of
each table, which the switch knows without walking the flows: 1 ms of its CPU whatever their number. The aggregate of
all flows, which others ask for, walks them: 11 ms at 20,000.
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import NamedTuple

_V10, _V13, _V14, _V15 = 0x01, 0x04, 0x05, 0x06
_VERSIONS = (_V15, _V14, _V13, _V10)  # 1.3 to 1.5 write table statistics alike
_HELLO, _ERROR, _ECHO_REQUEST, _ECHO_REPLY = 0, 1, 2, 3
_TABLE, _MORE = 3, 1

_HEADER = struct.Struct("!BBHI")  # version, type, length, transaction
_BITMAP = struct.Struct("!HHI")  # hello element: type 1, length 8, one bit for each version


class _Format(NamedTuple):
    """How table statistics are asked for and told; `active` is the field of an entry that holds the flows."""

    request: int
    reply: int
    head: struct.Struct
    entry: struct.Struct
    active: int


_FORMAT_10 = _Format(16, 17, struct.Struct("!HH"), struct.Struct("!B3x32xIIIQQ"), active=3)
_FORMAT_13 = _Format(18, 19, struct.Struct("!HH4x"), struct.Struct("!B3xIQQ"), active=1)


def flow_count(path: Path, timeout: float) -> int:
    """Flows of the bridge behind a management socket (`RUN_DIR/BRIDGE.mgmt`).

    Raises:
        OSError: nobody is there, or no answer within `timeout` seconds between two pieces of it.
        ValueError: an answer that is no OpenFlow, or an error.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        connection.connect(str(path))
        bits = sum(1 << version for version in _VERSIONS)
        _send(connection, _VERSIONS[0], _HELLO, _BITMAP.pack(1, _BITMAP.size, bits))
        version = _negotiated(connection)
        layout = _format(version)
        _send(connection, version, layout.request, layout.head.pack(_TABLE, 0))
        return _count(connection, version)


def active_flows(version: int, entries: bytes) -> int:
    """The sum over the entries of a table statistics reply.

    Raises:
        ValueError: torn.
    """
    layout = _format(version)
    if len(entries) % layout.entry.size:
        raise ValueError(f"table statistics of {len(entries)} bytes are torn")
    return sum(int(values[layout.active]) for values in layout.entry.iter_unpack(entries))


def _format(version: int) -> _Format:
    return _FORMAT_10 if version == _V10 else _FORMAT_13


def _negotiated(connection: socket.socket) -> int:
    """The highest version that both know: by their bitmaps, or where the other sends none the lower of the two."""
    theirs, kind, body = _receive(connection)
    if kind != _HELLO:
        raise ValueError(f"message {kind} instead of a hello")
    if len(body) >= _BITMAP.size and body[:2] == b"\0\1":
        bits = _BITMAP.unpack_from(body)[2]
        common = [version for version in _VERSIONS if bits >> version & 1]
    else:
        common = [version for version in _VERSIONS if version <= theirs]
    if not common:
        raise ValueError("no OpenFlow version in common")
    return common[0]


def _count(connection: socket.socket, version: int) -> int:
    layout, total = _format(version), 0
    while True:
        _, kind, body = _receive(connection)
        if kind == _ECHO_REQUEST:
            _send(connection, version, _ECHO_REPLY, body)
        elif kind == _ERROR:
            raise ValueError(f"refused: {body[:4].hex()}")
        elif kind == layout.reply:
            what, flags = layout.head.unpack_from(body.ljust(layout.head.size, b"\0"))
            if what != _TABLE:
                raise ValueError(f"statistics of kind {what}")
            total += active_flows(version, body[layout.head.size :])
            if not flags & _MORE:
                return total


def _send(connection: socket.socket, version: int, kind: int, body: bytes) -> None:
    connection.sendall(_HEADER.pack(version, kind, _HEADER.size + len(body), 1) + body)


def _receive(connection: socket.socket) -> tuple[int, int, bytes]:
    version, kind, length, _ = _HEADER.unpack(_exactly(connection, _HEADER.size))
    if length < _HEADER.size:
        raise ValueError(f"a message of {length} bytes")
    return version, kind, _exactly(connection, length - _HEADER.size)


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ConnectionResetError("closed in the middle of a message")
        data += part
    return data
