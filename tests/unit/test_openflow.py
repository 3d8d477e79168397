import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.openflow import active_flows, flow_count

PATIENCE = 10.0
V10, V11, V13 = 1, 2, 4


def message(version: int, kind: int, body: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("!BBHI", version, kind, length or 8 + len(body), 1) + body


def tables_13(*flows: int) -> bytes:
    return b"".join(struct.pack("!B3xIQQ", number, count, 9, 9) for number, count in enumerate(flows))


def tables_10(*flows: int) -> bytes:
    return b"".join(struct.pack("!B3x32sIIIQQ", 0, b"classifier", 0, 10**6, count, 9, 9) for count in flows)


def switch(folder: Path, *pieces: bytes) -> Path:
    """A switch that sends what it is told, whatever it is asked, and closes when the other side does."""
    path = folder / "br0.mgmt"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            for piece in pieces:
                connection.sendall(piece)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass

    threading.Thread(target=serve, daemon=True).start()
    return path


def hello(version: int, *versions: int) -> bytes:
    body = struct.pack("!HHI", 1, 8, sum(1 << known for known in versions)) if versions else b""
    return message(version, 0, body)


def test_the_flows_of_all_tables_are_added_up_over_all_parts(tmp_path: Path) -> None:
    more = message(V13, 19, struct.pack("!HH4x", 3, 1) + tables_13(5, 0, 2))
    last = message(V13, 19, struct.pack("!HH4x", 3, 0) + tables_13(100))
    path = switch(tmp_path, hello(6, 1, 4), message(V13, 2, b"probe"), more, last)
    assert flow_count(path, PATIENCE) == 107


def test_a_switch_without_a_bitmap_speaks_its_own_version(tmp_path: Path) -> None:
    path = switch(tmp_path, hello(V10), message(V10, 17, struct.pack("!HH", 3, 0) + tables_10(3, 4)))
    assert flow_count(path, PATIENCE) == 7


@pytest.mark.parametrize(
    ("pieces", "error"),
    [
        ((hello(V11, V11),), "version in common"),
        ((message(V13, 1, b"\0\1\0\2"),), "instead of a hello"),
        ((hello(6, 4), message(V13, 1, b"\0\1\0\2")), "refused: 00010002"),
        ((hello(6, 4), message(V13, 19, struct.pack("!HH4x", 3, 0) + tables_13(1)[:-3])), "torn"),
        ((hello(6, 4), message(V13, 19, struct.pack("!HH4x", 5, 0))), "statistics of kind 5"),
        ((message(V13, 0, length=3),), "message of 3 bytes"),
    ],
)
def test_what_is_no_answer_is_refused(tmp_path: Path, pieces: tuple[bytes, ...], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        flow_count(switch(tmp_path, *pieces), PATIENCE)


def test_a_connection_that_ends_early_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="in the middle"):
        flow_count(switch(tmp_path, hello(6, 4), message(V13, 19)[:5]), PATIENCE)


@pytest.mark.parametrize("write", [tables_13, tables_10])
@given(flows=st.lists(st.integers(0, 2**32 - 1), max_size=20))
def test_tables_are_read_as_written(write: Callable[..., bytes], flows: list[int]) -> None:
    assert active_flows(V13 if write is tables_13 else V10, write(*flows)) == sum(flows)


@given(st.sampled_from([V10, V13]), st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(version: int, data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert active_flows(version, data) >= 0
