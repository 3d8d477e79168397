import os
import socket
from pathlib import Path

import pytest

from collector.errors import VdbmonError
from vdbmon.stack.ports import check_ports, is_free, listeners
from vdbmon.stack.programs import Address

FILE = Path("/etc/vdbmon/vdbmon.toml")


def listen(host: str = "127.0.0.1") -> socket.socket:
    held = socket.socket()
    held.bind((host, 0))
    held.listen()
    return held


def address_of(held: socket.socket, key: str = "prometheus.url") -> Address:
    return Address(host="127.0.0.1", port=held.getsockname()[1], key=key)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 - what Debian's services do
def test_a_held_port_is_refused_with_holder_and_setting(host: str) -> None:
    with listen(host) as held:
        address = address_of(held)
        with pytest.raises(VdbmonError) as caught:
            check_ports([address], FILE, lambda _: False)
    assert caught.value.code == "stack.port_held"
    for part in (f"port {address.port} ", f"(pid {os.getpid()})", "prometheus.url", str(FILE)):
        assert part in str(caught.value)


def test_all_held_ports_are_told_at_once() -> None:
    with listen() as first, listen() as second:
        addresses = [address_of(first), address_of(second, "agent.listen")]
        with pytest.raises(VdbmonError) as caught:
            check_ports(addresses, FILE, lambda _: False)
    assert len(str(caught.value).splitlines()) == 2


def test_our_own_listener_is_no_obstacle() -> None:
    with listen() as held:
        check_ports([address_of(held)], FILE, lambda pid: pid == os.getpid())


def test_a_port_is_free_again_when_its_holder_is_gone() -> None:
    with listen() as held:
        address = address_of(held)
        assert not is_free(address)
        assert listeners(address.port) == [os.getpid()]
    assert is_free(address)
    assert listeners(address.port) == []


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(VdbmonError, match=r"agent\.listen: can't listen on 192\.0\.2\.1:9273"):
        is_free(Address(host="192.0.2.1", port=9273, key="agent.listen"))
