import pytest

from collector.errors import ConfigError
from collector.outputs.tcp import Address, parse_address


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
