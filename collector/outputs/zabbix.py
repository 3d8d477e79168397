"""Sends item values to a Zabbix server or proxy: trapper items, or those of an active agent.

A request is JSON behind a header of 13 bytes (`ZBXD`, flags, length of what follows, length before compression), packed
by zlib; the server answers how many values it processed and how many failed, and closes.

A value fails for good: Zabbix has no such host or item, or the item is of another type. It says which of them only in
its log. Failed values are counted, not sent again; a template that takes only some of the measurements makes the others
fail, so let the output pass only what has items (`namepass`).

Guarantee of the sink: at least once, into the server's history cache, which it writes to its database when it is
stopped, but not when it is killed. A value that arrives twice has the same clock and ns: Zabbix 6 stores it once.

zabbix_utils is not used for it: its sender formats every request for its debug log, 42 ms per 1,000 values (measured),
and takes 7 MB; the tests have it as the other side.

Source: Zabbix manual 6.0, "Header and data length", "Trapper items", "Active agent autoregistration".
"""

from __future__ import annotations

import json
import logging
import re
import socket
import struct
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from collector.clock import Clock
from collector.outputs.settings import ZabbixSettings
from collector.outputs.sink import OutputError
from collector.outputs.tcp import exchange, parse_address
from collector.projections.point import Point
from collector.projections.zabbix import BETWEEN_VALUES, Discovery, ZabbixEncoder

logger = logging.getLogger(__name__)

_PORT = 10051
_HEADER = struct.Struct("<4sBII")
_PROTOCOL = b"ZBXD"
_ZABBIX, _COMPRESSED = 0x01, 0x02  # flags
_FAST = 1  # zlib's level: 15 times smaller in 1 ms per 1,000 values
_COUNTS = re.compile(r"processed: (\d+); failed: (\d+)")


class ZabbixOutput:
    """One Zabbix server or proxy.

    Args:
        clock: monotonic seconds.

    Attributes:
        rejected: values that Zabbix had no item for, since the start.

    Raises:
        ConfigError: `address` is none.
    """

    def __init__(self, settings: ZabbixSettings, clock: Clock = time.monotonic) -> None:
        self.rejected = 0
        self._settings = settings
        self._address = parse_address(settings.address, _PORT, "[[outputs.zabbix]] address")
        self._request = "agent data" if settings.agent_active else "sender data"
        discovery = Discovery(settings.lld_send_interval, settings.lld_clear_interval)
        self._encoder = ZabbixEncoder(settings.key_prefix, settings.host_tag, socket.gethostname(), discovery)
        self._clock = clock
        self._register_at = clock()
        self._lacks_items = False

    @property
    def name(self) -> str:
        """Kind and address."""
        return f"zabbix:{self._address}"

    def encode(self, points: Iterable[Point]) -> Iterator[bytes]:
        """One record per point, and one per discovery rule that has changed."""
        return self._encoder.encode(points)

    def write(self, batch: Sequence[bytes]) -> None:
        """Send the values in one request.

        Raises:
            OutputError: no answer, or one that speaks of all values; says whether to try again.
        """
        if self._settings.autoregister and self._clock() >= self._register_at:
            self._register(_hosts(batch))
        values = BETWEEN_VALUES.join(batch)
        answer = self._ask(b'{"request":"%b","data":[%b]}' % (self._request.encode(), values))
        counts = _COUNTS.search(str(answer.get("info")))
        if answer.get("response") != "success" or counts is None:
            raise OutputError(f"{self.name}: refused: {answer.get('info') or answer}", retryable=False)
        self._count(processed=int(counts[1]), failed=int(counts[2]))

    def close(self) -> None:
        """Nothing is held open."""

    def _count(self, *, processed: int, failed: int) -> None:
        self.rejected += failed
        if failed and not self._lacks_items:
            logger.log(
                logging.INFO if processed else logging.WARNING,
                "output %s: %d of %d values have no item in Zabbix",
                self.name,
                failed,
                processed + failed,
            )
        self._lacks_items = bool(failed)

    def _register(self, hosts: Iterable[str]) -> None:
        """Ask for active checks: Zabbix then lets its autoregistration actions see a host that it doesn't know."""
        for host in hosts:
            request = {"request": "active checks", "host": host, "host_metadata": self._settings.autoregister}
            self._ask(json.dumps(request).encode())
        self._register_at = self._clock() + self._settings.autoregister_resend_interval

    def _ask(self, request: bytes) -> dict[str, Any]:
        try:
            answer = _unpacked(exchange(self._address, _packed(request), self._settings.timeout))
        except (OSError, ValueError, zlib.error) as error:
            raise OutputError(
                f"{self.name}: no answer: {error}", "check that it runs and address names it", retryable=True
            ) from error
        return answer


def _hosts(batch: Sequence[bytes]) -> set[str]:
    return {value["host"] for value in json.loads(b"[%b]" % BETWEEN_VALUES.join(batch))}


def _packed(request: bytes) -> bytes:
    compressed = zlib.compress(request, _FAST)
    return _HEADER.pack(_PROTOCOL, _ZABBIX | _COMPRESSED, len(compressed), len(request)) + compressed


def _unpacked(packet: bytes) -> dict[str, Any]:
    """The answer in a packet.

    Raises:
        ValueError, zlib.error: cut off, or not Zabbix' protocol.
    """
    if len(packet) < _HEADER.size:
        raise ValueError("closed without one")
    protocol, flags, length, _ = _HEADER.unpack_from(packet)
    body = packet[_HEADER.size :]
    if protocol != _PROTOCOL or len(body) != length:
        raise ValueError("cut off, or not Zabbix")
    answer = json.loads(zlib.decompress(body) if flags & _COMPRESSED else body)
    if not isinstance(answer, dict):
        raise ValueError(f"not one that Zabbix gives: {answer!r}")  # noqa: TRY004 - it is the server's fault
    return answer
