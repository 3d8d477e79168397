"""Writes line protocol to InfluxDB 1.x: `POST /write?db=...&rp=...&precision=ns` (InfluxDB 1.8, HTTP API reference).

urllib3 does the request: influxdb-client knows `/api/v2/write` alone, which InfluxDB has from 1.8 on.

Guarantee of the sink: InfluxDB stores a point that arrives twice once, because series and timestamp are the same.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from urllib.parse import urlencode

import urllib3
from urllib3.exceptions import HTTPError

from collector.errors import ConfigError
from collector.outputs.http_answer import refused, unanswered
from collector.outputs.settings import InfluxSettings
from collector.projections.line_protocol import LineEncoder
from collector.projections.point import Point
from collector.secretfile import read_secret

GZIP_LEVEL = 1  # a fourth of the CPU time of level 9, and a seventh more to send
_REMEDIES: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "check username and password_file",
    HTTPStatus.FORBIDDEN: "check that the user may write to the database",
    HTTPStatus.NOT_FOUND: "check urls, database and retention_policy; the database must exist",
}


class InfluxOutput:
    """One write endpoint.

    Raises:
        ConfigError: a user name without password file or the other way round; the password file can't be read, or
            others can read it too (`secrets.mode`).
    """

    def __init__(self, settings: InfluxSettings) -> None:
        self._lines = LineEncoder()
        self.url = settings.urls[0].rstrip("/")
        words = {"db": settings.database, "rp": settings.retention_policy, "precision": "ns"}
        self._address = f"{self.url}/write?{urlencode({key: word for key, word in words.items() if word})}"
        self._headers = {
            "Content-Type": "text/plain; charset=utf-8",
            "Content-Encoding": "gzip",
            **_authorization(settings),
        }
        self._pool = urllib3.PoolManager(maxsize=1, retries=False, timeout=urllib3.Timeout(total=settings.timeout))

    @property
    def name(self) -> str:
        """Kind and address."""
        return f"influxdb:{self.url}"

    def encode(self, points: Iterable[Point]) -> Iterator[bytes]:
        """One line per point."""
        return self._lines.encode(points)

    def write(self, batch: Sequence[bytes]) -> None:
        """Write lines with nanosecond timestamps in one request.

        Raises:
            OutputError: not accepted; says whether the same lines may be tried again.
        """
        body = gzip.compress(b"\n".join(batch), GZIP_LEVEL, mtime=0)
        try:
            answer = self._pool.request("POST", self._address, body=body, headers=self._headers)
        except (HTTPError, OSError) as error:
            raise unanswered(self.url, error) from error
        if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            words = answer.data.decode(errors="replace") or answer.reason or ""
            raise refused(self.url, answer.status, words, answer.headers, _REMEDIES)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()


def _authorization(settings: InfluxSettings) -> dict[str, str]:
    if settings.username is None and settings.password_file is None:
        return {}
    if settings.username is None or settings.password_file is None:
        raise ConfigError(
            "config.password",
            "[[outputs.influxdb]] has one of username and password_file",
            "give both, or none where the server asks for none",
        )
    password = read_secret(settings.password_file, "password_file")
    return urllib3.make_headers(basic_auth=f"{settings.username}:{password}")
