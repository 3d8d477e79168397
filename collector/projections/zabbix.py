"""Points as Zabbix item values, and what low-level discovery has to know, in the keys of telegraf's outputs.zabbix.

A field of a point is the value of item `prefix measurement.field[value,...]`, the values of all tags but the host's in
the order of the tags' names. For every measurement and set of tags there is a discovery rule
`prefix lld.measurement.tag.tag` whose rows hold the tags' values as macros `{#TAG}`, so that an item prototype
`prefix measurement.field[{#TAG},...]` becomes the item that the value belongs to. Text stays text, a boolean is `true`
or `false`; numbers that are not finite are left out.

Sources: Zabbix manual 6.0, "Item key" (quoting of parameters) and "Low-level discovery"; the server quotes a macro's
value in a key as `zbx_quote_key_param` does, and so does `_parameter`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from collector.projections.point import FieldValue, Point
from collector.projections.text import well_formed
from collector.quantities import Seconds

KEY_PREFIX = "telegraf."  # unless the settings say otherwise
BETWEEN_VALUES = b","  # in a record, so that records joined by it are the list of a request
_NANOSECONDS = 10**9
_NOT_IN_KEY = re.compile(r"[^0-9a-zA-Z_.\-]")
_NOT_IN_MACRO = re.compile(r"[^0-9A-Z_.]")
_NEEDS_QUOTES = re.compile(r'["\[ ]|.*[],]', re.DOTALL)

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True, order=True)
class DiscoveryRule:
    """What a rule in Zabbix is known by.

    Attributes:
        tags: names of the tags whose values its rows hold, sorted, without the host's.
    """

    host: str
    measurement: str
    tags: tuple[str, ...]

    def key(self, prefix: str) -> str:
        """The key of the rule in Zabbix."""
        return _name(f"{prefix}lld.{'.'.join((self.measurement, *self.tags))}")

    def data(self, rows: Iterable[Row]) -> str:
        """The rows as Zabbix wants them."""
        macros = [macro(tag) for tag in self.tags]
        return json.dumps({"data": [dict(zip(macros, row, strict=True)) for row in sorted(rows)]})


@dataclass(slots=True)
class Discovery:
    """What has been seen since discovery data was last sent, and what Zabbix has been told.

    The clock is that of the points. The first collection is told at once, for an agent that has just started doesn't
    know what its predecessor told.
    """

    send_interval: Seconds
    clear_interval: Seconds
    _seen: dict[DiscoveryRule, set[Row]] = field(default_factory=dict)
    _told: dict[DiscoveryRule, set[Row]] = field(default_factory=dict)
    _send_at: float = 0.0
    _clear_at: float = 0.0

    def see(self, rule: DiscoveryRule, row: Row) -> None:
        """Remember one series."""
        self._seen.setdefault(rule, set()).add(row)

    def due(self, now: float) -> dict[DiscoveryRule, set[Row]]:
        """The rules whose rows have changed, if it is time to tell; all rules if it is time for that."""
        if not self._seen or not _is_over(now, self._send_at, self.send_interval):
            return {}
        gone: dict[DiscoveryRule, set[Row]] = {rule: set() for rule in self._told.keys() - self._seen.keys()}
        tells_all = _is_over(now, self._clear_at, self.clear_interval)
        known = {} if tells_all else self._told
        changed = {rule: rows for rule, rows in self._seen.items() if rows != known.get(rule)}
        if tells_all:
            self._clear_at = now + self.clear_interval
        self._send_at = now + self.send_interval
        self._told, self._seen = self._seen, {}
        return changed | gone


def _is_over(now: float, end: float, interval: Seconds) -> bool:
    """Whether an interval is over; one that has not begun yet is, for the clock was set back."""
    return not end - interval <= now < end


class ZabbixEncoder:
    """Turns points into the item values of requests `sender data` and `agent data`.

    Args:
        host_tag: the tag that holds the host's name in Zabbix.
        default_host: the name where a point has no such tag.
    """

    def __init__(self, key_prefix: str, host_tag: str, default_host: str, discovery: Discovery) -> None:
        self._prefix = key_prefix
        self._host_tag = host_tag
        self._default_host = default_host
        self._discovery = discovery

    def encode(self, points: Iterable[Point]) -> Iterator[bytes]:
        """The values of each point, joined by `BETWEEN_VALUES`; then discovery data, if it is due."""
        latest = 0
        for point in points:
            latest = max(latest, point.timestamp_ns)
            if record := self._values(point):
                yield record
        for rule, rows in sorted(self._discovery.due(latest / _NANOSECONDS).items()):
            data = json.dumps(rule.data(rows))
            yield _value(json.dumps(rule.host), rule.key(self._prefix), data, _moment(latest)).encode()

    def _values(self, point: Point) -> bytes:
        tags = dict(point.tags)
        host = _text(tags.pop(self._host_tag, self._default_host))
        row = tuple(_parameter_value(value) for value in tags.values())
        if row:
            self._discovery.see(DiscoveryRule(host, point.measurement, tuple(tags)), row)
        parameters = json.dumps(f"[{','.join(map(_parameter, row))}]" if row else "")[1:-1]
        moment, quoted_host = _moment(point.timestamp_ns), json.dumps(host)
        return BETWEEN_VALUES.join(
            _value(quoted_host, item_key(self._prefix, point.measurement, name) + parameters, text, moment).encode()
            for name, value in point.fields.items()
            if (text := _quoted(value)) is not None
        )


def item_key(prefix: str, measurement: str, field_name: str) -> str:
    """The key of a field's item, without parameters."""
    return _name(f"{prefix}{measurement}.{field_name}")


def macro(tag: str) -> str:
    """The macro that stands for a tag's value: `{#CONTAINER_NAME}`."""
    return f"{{#{_NOT_IN_MACRO.sub('_', tag.upper())}}}"


def _value(host: str, key: str, text: str, moment: str) -> str:
    """One value of a request; host and text are quoted, the key has no character that JSON would escape."""
    return f'{{"host":{host},"key":"{key}","value":{text},{moment}}}'


def _moment(timestamp_ns: int) -> str:
    seconds, rest = divmod(timestamp_ns, _NANOSECONDS)
    return f'"clock":{seconds},"ns":{rest}'


def _quoted(value: FieldValue) -> str | None:
    if isinstance(value, bool):
        return '"true"' if value else '"false"'
    if isinstance(value, str):
        return json.dumps(_text(value))
    return f'"{value!r}"' if math.isfinite(value) else None


def _name(text: str) -> str:
    return text if _NOT_IN_KEY.search(text) is None else _NOT_IN_KEY.sub("_", text)


def _text(text: str) -> str:
    """Zabbix reads no further than a NUL."""
    return well_formed(text).replace("\0", "")


def _parameter_value(text: str) -> str:
    """A value that can stand in a key: one that needs quotes must not end in a backslash."""
    cleaned = _text(text)
    return cleaned.rstrip("\\") if _NEEDS_QUOTES.match(cleaned) else cleaned


def _parameter(text: str) -> str:
    if _NEEDS_QUOTES.match(text) is None:
        return text
    quoted = text.replace('"', '\\"')
    return f'"{quoted}"'
