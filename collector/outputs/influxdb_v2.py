"""Writes line protocol to an InfluxDB v2 API: InfluxDB 2, InfluxDB from 1.8, VictoriaMetrics.

influxdb-client does the request. Its own batching and retries stay off: the queue (`collector.outputs.push`) must know
what became of every batch.

Guarantee of the sink: InfluxDB stores a point that arrives twice once; VictoriaMetrics may store it twice with the same
timestamp and value, which changes no rate and no gauge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus

from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException
from urllib3.exceptions import HTTPError

from collector.errors import ConfigError
from collector.outputs.settings import InfluxV2Settings
from collector.outputs.sink import OutputError
from collector.projections.line_protocol import encode
from collector.projections.point import Point
from collector.secretfile import read_secret

# Answers that say that the batch is bad. All others are about the endpoint or its settings (a wrong token, a missing
# bucket): there every batch would be refused alike, and giving them up one by one would lose all without any gain.
_BAD_BATCH = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY})
_REMEDIES = {
    HTTPStatus.UNAUTHORIZED: "check token_file",
    HTTPStatus.FORBIDDEN: "check that the token may write to the bucket",
    HTTPStatus.NOT_FOUND: "check urls, organization and bucket",
}
_ANSWER_LIMIT = 200  # characters of the server's words in a message


class InfluxV2Output:
    """One write endpoint.

    Raises:
        ConfigError: no url, or the token file can't be read, or others can read it too (`secrets.mode`).
    """

    def __init__(self, settings: InfluxV2Settings) -> None:
        if not settings.urls:
            raise ConfigError("config.urls", "[[outputs.influxdb_v2]] urls is empty", "name the server to write to")
        self.url = settings.urls[0]
        self._bucket = settings.bucket
        self._organization = settings.organization
        self._client = InfluxDBClient(
            url=self.url,
            token=read_secret(settings.token_file, "token_file") if settings.token_file else "",
            org=settings.organization,
            timeout=int(settings.timeout * 1000),
            enable_gzip=True,
        )
        self._api = self._client.write_api(write_options=SYNCHRONOUS)

    @property
    def name(self) -> str:
        """Kind and address."""
        return f"influxdb_v2:{self.url}"

    def encode(self, points: Iterable[Point]) -> Iterator[bytes]:
        """One line per point."""
        return encode(points)

    def write(self, lines: Sequence[bytes]) -> None:
        """Write lines with nanosecond timestamps in one request.

        Raises:
            OutputError: not accepted; says whether the same lines may be tried again.
        """
        try:
            self._api.write(bucket=self._bucket, org=self._organization, record=b"\n".join(lines))
        except ApiException as error:
            raise _refused(self.url, error) from error
        except (HTTPError, OSError) as error:
            raise OutputError(
                f"{self.url}: no answer: {_one_line(str(error))}", "check that it runs and urls name it", retryable=True
            ) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()  # type: ignore[no-untyped-call]


def _refused(url: str, error: ApiException) -> OutputError:
    words = error.body.decode(errors="replace") if isinstance(error.body, bytes) else str(error.body or error.reason)
    return OutputError(
        f"{url}: answered {error.status}: {_one_line(words)}",
        _REMEDIES.get(error.status, ""),
        retryable=error.status not in _BAD_BATCH,
    )


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _ANSWER_LIMIT else line[:_ANSWER_LIMIT] + "..."
