import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from collector.errors import ConfigError
from collector.outputs.tcp import Address, exchange, parse_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("graphite.example", Address("graphite.example", 2003)),
        ("10.0.0.1:2013", Address("10.0.0.1", 2013)),
        ("[fe80::1]", Address("fe80::1", 2003)),
        ("[::1]:9", Address("::1", 9)),
    ],
)
def test_an_address_has_a_host_and_perhaps_a_port(text: str, expected: Address) -> None:
    assert parse_address(text, 2003, "servers") == expected
    assert parse_address(str(expected), 1, "servers") == expected


@pytest.mark.parametrize("text", ["", ":2003", "host:port", "host:70000", "tcp://host:2003", "a@b:1", "host:1/path"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"servers: .* is no address; write host:2003"):
        parse_address(text, 2003, "servers")


@contextmanager
def far_end(handle: Callable[[socket.socket], object], receive_buffer: int = 65536) -> Iterator[Address]:
    """Hands every connection to `handle` and closes it then."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    handle(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Address("127.0.0.1", listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_what_is_said_until_the_far_end_closes_is_the_answer() -> None:
    def echo(connection: socket.socket) -> None:
        while part := connection.recv(1000):
            connection.sendall(part)

    with far_end(echo) as address:
        assert exchange(address, b"x" * 100_000, 5.0) == b"x" * 100_000


LOST = r"reset|closed before|Broken pipe|not connected"


@pytest.mark.parametrize("size", [1, 1_000_000])
def test_a_close_before_the_end_is_no_acknowledgement(size: int) -> None:
    with far_end(lambda _connection: None) as address:
        for _ in range(50):
            with pytest.raises(OSError, match=LOST):
                exchange(address, b"x" * size, 5.0)


def test_a_far_end_that_reads_a_part_has_not_read_everything() -> None:
    with far_end(lambda connection: connection.recv(10)) as address, pytest.raises(OSError, match=LOST):
        exchange(address, b"x" * 1_000_000, 5.0)


def test_an_end_that_comes_while_the_payload_is_on_its_way_is_no_acknowledgement() -> None:
    asked = threading.Event()

    def end_unread(connection: socket.socket) -> None:
        connection.shutdown(socket.SHUT_WR)
        asked.wait(5.0)

    with far_end(end_unread, receive_buffer=4096) as address:
        with pytest.raises(ConnectionResetError, match="closed before it had read everything"):
            exchange(address, b"x" * 200_000, 5.0)
        asked.set()
