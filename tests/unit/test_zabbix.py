import json
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zabbix_utils import ItemValue

from collector.projections.point import FieldValue, Point
from collector.projections.zabbix import Discovery, ZabbixEncoder

SECOND = 10**9
NOW = 1_700_000_000 * SECOND + 5
_TEXT = st.text(st.one_of(st.sampled_from('\\,[]" {}'), st.characters(exclude_categories=["Cs"])), max_size=8)


def encoder(send_interval: float = 600.0, clear_interval: float = 3600.0) -> ZabbixEncoder:
    return ZabbixEncoder("telegraf.", "host", "fallback", Discovery(send_interval, clear_interval))


def values(zabbix: ZabbixEncoder, *points: Point) -> list[dict[str, Any]]:
    return list(json.loads(b"[" + b",".join(zabbix.encode(points)) + b"]"))


def items(found: list[dict[str, Any]]) -> dict[str, str]:
    return {value["key"]: value["value"] for value in found if ".lld." not in value["key"]}


def discovered(found: list[dict[str, Any]]) -> dict[str, list[dict[str, str]]]:
    return {value["key"]: json.loads(value["value"])["data"] for value in found if ".lld." in value["key"]}


def net(name: str, seconds: int = 0) -> Point:
    tags = (("container_name", name), ("host", "h"), ("network", "eth0"))
    return Point("docker_container_net", tags, {"rx_bytes": 5}, NOW + seconds * SECOND)


def test_keys_and_discovery_rules_are_telegrafs() -> None:
    found = values(encoder(), net("dr-1"), Point("mem", (("host", "h"),), {"used": 1, "used_percent": 2.5}, NOW))
    assert items(found) == {
        "telegraf.docker_container_net.rx_bytes[dr-1,eth0]": "5",
        "telegraf.mem.used": "1",
        "telegraf.mem.used_percent": "2.5",
    }
    assert discovered(found) == {
        "telegraf.lld.docker_container_net.container_name.network": [
            {"{#CONTAINER_NAME}": "dr-1", "{#NETWORK}": "eth0"}
        ]
    }
    assert {(value["host"], value["clock"], value["ns"]) for value in found} == {("h", 1_700_000_000, 5)}


def test_a_value_is_what_zabbix_own_library_makes_of_it() -> None:
    (found,) = values(encoder(), Point("mem", (("host", "h"),), {"used": 7}, NOW))
    assert found == ItemValue("h", "telegraf.mem.used", "7", 1_700_000_000, 5).to_json()


def test_a_point_without_the_host_tag_belongs_to_this_machine() -> None:
    assert [value["host"] for value in values(encoder(), Point("m", (), {"a": 1}, NOW))] == ["fallback"]


@pytest.mark.parametrize(
    ("value", "expected"), [(True, ["true"]), ("two\nlines", ["two\nlines"]), (math.nan, []), (math.inf, [])]
)
def test_text_is_sent_and_what_is_no_number_is_not(value: FieldValue, expected: list[str]) -> None:
    assert [found["value"] for found in values(encoder(), Point("m", (), {"a": value}, NOW))] == expected


@given(st.lists(_TEXT, min_size=1, max_size=3), _TEXT)
def test_a_discovered_item_has_the_key_of_the_value(tags: list[str], text: str) -> None:
    point = Point("m", (*((f"t{number}", tag) for number, tag in enumerate(tags)), ("z", "end")), {"f": text}, NOW)
    found = values(encoder(), point)
    ((key, value),) = items(found).items()
    ((row,),) = discovered(found).values()
    assert parameters(key) == list(row.values())
    assert value == text.replace("\0", "")
    for sent, given_text in zip(row.values(), tags, strict=False):
        assert sent.rstrip("\\") == given_text.replace("\0", "").rstrip("\\")


def parameters(key: str) -> list[str]:
    """The parameters of an item key, read as the manual describes them."""
    inner = key[key.index("[") + 1 : -1]
    assert key.endswith("]")
    found, rest = [], inner
    while True:
        quoted = re.match(r' *"((?:\\"|[^"])*)" *(?=,|$)', rest)
        plain = re.match(r'(?![ "\[])[^],]*', rest)
        match = quoted or plain
        assert match, key
        found.append(match[1].replace('\\"', '"') if quoted else match[0])
        if match.end() == len(rest):
            return found
        assert rest[match.end()] == ","
        rest = rest[match.end() + 1 :]


def test_discovery_is_sent_when_it_has_changed_and_it_is_time() -> None:
    zabbix, key = encoder(), "telegraf.lld.docker_container_net.container_name.network"

    def told(*names: str, after: int) -> list[str] | None:
        rows = discovered(values(zabbix, *(net(name, after) for name in names))).get(key)
        return None if rows is None else [row["{#CONTAINER_NAME}"] for row in rows]

    assert told("a", after=0) == ["a"]
    assert told("a", "b", after=10) is None
    assert told("a", "b", after=600) == ["a", "b"]
    assert told("a", "b", after=1200) is None
    assert told("b", after=1800) == ["b"]
    assert told("b", after=3600) == ["b"], "all is told again after lld_clear_interval"


def test_discovery_goes_on_when_the_clock_is_set_back() -> None:
    zabbix = encoder()
    assert discovered(values(zabbix, net("a", 10**6)))
    assert discovered(values(zabbix, net("b", 0)))
    assert not discovered(values(zabbix, net("c", 10)))
    assert discovered(values(zabbix, net("c", 600)))


def test_a_rule_of_which_nothing_is_left_gets_no_rows() -> None:
    zabbix, mem = encoder(), Point("mem", (("host", "h"), ("kind", "x")), {"used": 1}, NOW + 1200 * SECOND)
    values(zabbix, net("a"))
    assert discovered(values(zabbix, mem)) == {
        "telegraf.lld.docker_container_net.container_name.network": [],
        "telegraf.lld.mem.kind": [{"{#KIND}": "x"}],
    }
