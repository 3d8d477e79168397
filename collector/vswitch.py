"""The rows of the Open_vSwitch database as typed data; pure.

Source: ovs-vswitchd.conf.db(5). A row or a value of another type than that page says is skipped and counted; keys of
maps that are not known are left alone: every release adds some.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from collector.kernelfile import SkippedLines, is_number
from collector.ovsdb import Row, atoms, optional, pairs

COLUMNS: dict[str, tuple[str, ...]] = {
    "Open_vSwitch": ("cur_cfg", "next_cfg"),
    "Bridge": ("name", "datapath_type", "ports"),
    "Port": ("_uuid", "name", "interfaces", "tag", "qos"),
    "Interface": (
        "_uuid",
        "name",
        "type",
        "external_ids",
        "ingress_policing_rate",
        "ingress_policing_burst",
        "error",
        "admin_state",
        "link_state",
        "link_speed",
        "link_resets",
        "mtu",
        "statistics",
    ),
    "QoS": ("_uuid", "type", "other_config", "queues"),
    "Queue": ("_uuid", "other_config"),
}
"""What is read, and no more: a column costs the server and the reader."""

_COUNTS = 2**64  # as many as a counter of the switch has

SYSTEM = "system"
"""The type that an empty one stands for, of interfaces and of datapaths alike."""


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface. What only ovs-vswitchd knows is None where it has said nothing.

    Attributes:
        container: what `external_ids:container_id` holds, an id or a name (ovs-docker(1)); empty without one.
        policing_rate: kbit/s that may come in; 0 for no limit. `policing_burst` in kbit.
        faulty: Open vSwitch could not set the interface up, for example because its device is gone.
        link_speed: bit/s.
        statistics: counters by the database's own keys.
    """

    uuid: str
    name: str
    type: str
    container: str
    policing_rate: int
    policing_burst: int
    faulty: bool
    admin_state: str | None
    link_state: str | None
    link_speed: int | None
    link_resets: int | None
    mtu: int | None
    statistics: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Port:
    """A port: one interface, or several of a bond. `tag` is the VLAN of an access port."""

    uuid: str
    name: str
    interfaces: tuple[str, ...]
    tag: int | None
    qos: str | None


@dataclass(frozen=True, slots=True)
class Bridge:
    """A bridge and the UUIDs of its ports."""

    name: str
    datapath_type: str
    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Qos:
    """What a port may send: `max_rate` in bit/s, None where it isn't limited; UUIDs of queues by number."""

    uuid: str
    type: str
    max_rate: int | None
    queues: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue's guarantee and limit in bit/s."""

    uuid: str
    min_rate: int | None
    max_rate: int | None


@dataclass(frozen=True, slots=True)
class Switch:
    """All of it, by UUID but for the bridges. `pending` are configuration changes that ovs-vswitchd hasn't made yet."""

    pending: int | None
    bridges: tuple[Bridge, ...]
    ports: Mapping[str, Port]
    interfaces: Mapping[str, Interface]
    qos: Mapping[str, Qos]
    queues: Mapping[str, Queue]


Parsed = TypeVar("Parsed")


def parse_switch(tables: Mapping[str, Iterable[Row]], skipped: SkippedLines) -> Switch:
    """The database's rows, as `COLUMNS` asks for them."""

    def rows(table: str, parse: Callable[[Row, SkippedLines], Parsed]) -> list[Parsed]:
        parsed = []
        for row in tables.get(table, ()):
            try:
                parsed.append(parse(row, skipped))
            except (TypeError, ValueError, KeyError, AttributeError):
                skipped.add()
        return parsed

    return Switch(
        pending=next(iter(rows("Open_vSwitch", _pending)), None),
        bridges=tuple({bridge.name: bridge for bridge in rows("Bridge", _bridge)}.values()),
        ports={port.uuid: port for port in rows("Port", _port)},
        interfaces={interface.uuid: interface for interface in rows("Interface", _interface)},
        qos={qos.uuid: qos for qos in rows("QoS", _qos)},
        queues={queue.uuid: queue for queue in rows("Queue", _queue)},
    )


def _pending(row: Row, _skipped: SkippedLines) -> int:
    return max(_count(row["next_cfg"]) - _count(row["cur_cfg"]), 0)


def _bridge(row: Row, _skipped: SkippedLines) -> Bridge:
    return Bridge(_text(row["name"]), _text(row["datapath_type"]) or SYSTEM, tuple(map(_text, atoms(row["ports"]))))


def _port(row: Row, _skipped: SkippedLines) -> Port:
    return Port(
        uuid=_text(optional(row["_uuid"])),
        name=_text(row["name"]),
        interfaces=tuple(map(_text, atoms(row["interfaces"]))),
        tag=_maybe(_count, row["tag"]),
        qos=_maybe(_text, row["qos"]),
    )


def _interface(row: Row, skipped: SkippedLines) -> Interface:
    return Interface(
        uuid=_text(optional(row["_uuid"])),
        name=_text(row["name"]),
        type=_text(row["type"]) or SYSTEM,
        container=_text(pairs(row["external_ids"]).get("container_id", "")),
        policing_rate=_count(row["ingress_policing_rate"]),
        policing_burst=_count(row["ingress_policing_burst"]),
        faulty=optional(row["error"]) is not None,
        admin_state=_maybe(_text, row["admin_state"]),
        link_state=_maybe(_text, row["link_state"]),
        link_speed=_maybe(_count, row["link_speed"]),
        link_resets=_maybe(_count, row["link_resets"]),
        mtu=_maybe(_count, row["mtu"]),
        statistics=_counters(pairs(row["statistics"]), skipped),
    )


def _qos(row: Row, skipped: SkippedLines) -> Qos:
    return Qos(
        uuid=_text(optional(row["_uuid"])),
        type=_text(row["type"]),
        max_rate=_rate(pairs(row["other_config"]), "max-rate", skipped),
        queues={_count(number): _text(uuid) for number, uuid in pairs(row["queues"]).items()},
    )


def _queue(row: Row, skipped: SkippedLines) -> Queue:
    config = pairs(row["other_config"])
    return Queue(
        uuid=_text(optional(row["_uuid"])),
        min_rate=_rate(config, "min-rate", skipped),
        max_rate=_rate(config, "max-rate", skipped),
    )


def _counters(values: Mapping[object, object], skipped: SkippedLines) -> dict[str, int]:
    """Counters that are counters: one bad value costs itself."""
    counters = {
        key: value
        for key, value in values.items()
        if type(value) is int and 0 <= value < _COUNTS and isinstance(key, str)
    }
    for _ in range(len(values) - len(counters)):
        skipped.add()
    return counters


def _rate(config: Mapping[object, object], key: str, skipped: SkippedLines) -> int | None:
    """A rate of `other_config`, whose values are strings; one that is no number is skipped and counted."""
    text = config.get(key)
    if text is None:
        return None
    if isinstance(text, str) and is_number(text.encode(errors="replace")):
        return int(text)
    skipped.add()
    return None


def _maybe(parse: Callable[[object], Parsed], value: object) -> Parsed | None:
    element = optional(value) if isinstance(value, list) else value
    return None if element is None else parse(element)


def _count(value: object) -> int:
    # JSON's true is an int to Python. The repr of a number of many digits would itself be a ValueError.
    if type(value) is not int or not 0 <= value < _COUNTS:
        raise ValueError("no count")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"no text: {value!r}")  # noqa: TRY004 - the other side's mistake, as all that is skipped
    return value
