"""Writes Graphite's plaintext over TCP: carbon, its relays, VictoriaMetrics.

Graphite acknowledges nothing: what is written into a connection is lost without a word if the server ends before it has
read it. So every batch has a connection of its own, which is closed for writing at its end. A server that reads to the
end closes its side then, and only that counts as delivered; one that ends before resets the connection.

Guarantee of the sink: at least once, up to the far end's memory. What it does not know is what the server refused (a
line that carbon can't parse is left out and logged there) and what a relay, or carbon's cache, lost afterwards. A point
that arrives twice is stored once by carbon; VictoriaMetrics may store it twice with the same timestamp and value.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence

from collector.client_tls import client_context
from collector.outputs.settings import GraphiteSettings
from collector.outputs.sink import OutputError
from collector.outputs.tcp import Address, exchange, parse_address
from collector.projections.graphite import Paths, TaggedPaths, TemplatePaths, encode
from collector.projections.point import Point

_PORT = 2003


class GraphiteOutput:
    """One Graphite, reached by any of several servers.

    Raises:
        ConfigError: no such address, or a TLS file that can't be used (`secrets.mode`: others can read the key too).
    """

    def __init__(self, settings: GraphiteSettings) -> None:
        self._servers = [parse_address(text, _PORT, "[[outputs.graphite]] servers") for text in settings.servers]
        self._timeout = settings.timeout
        # Made where a file is named, as in telegraf.
        named = settings.tls_ca, settings.tls_cert, settings.tls_key
        self._tls = client_context(settings, "[[outputs.graphite]]") if any(named) else None
        self._paths = _paths(settings)

    @property
    def name(self) -> str:
        """Kind and first address."""
        return f"graphite:{self._servers[0]}"

    def encode(self, points: Iterable[Point]) -> Iterator[bytes]:
        """One record per point: its lines."""
        return encode(points, self._paths)

    def write(self, batch: Sequence[bytes]) -> None:
        """Write to one of the servers, to the next if it can't be reached, in an order that spreads the load.

        Raises:
            OutputError: none of them has read everything.
        """
        payload = b"\n".join(batch) + b"\n"
        failures = []
        for server in random.sample(self._servers, len(self._servers)):
            try:
                exchange(server, payload, self._timeout, self._tls)
            except OSError as error:
                failures.append(_said(server, error, self._timeout))
            else:
                return
        raise OutputError("; ".join(failures), "check that it runs and servers name it", retryable=True)

    def close(self) -> None:
        """Nothing is held open."""


def _paths(settings: GraphiteSettings) -> Paths:
    if settings.graphite_tag_support:
        return TaggedPaths(settings.prefix, settings.graphite_tag_sanitize_mode)
    return TemplatePaths(settings.prefix, settings.template)


def _said(server: Address, error: OSError, timeout: float) -> str:
    if isinstance(error, TimeoutError):
        return f"{server}: has not read everything within {timeout:g} s"
    return f"{server}: {error.strerror or error}"
