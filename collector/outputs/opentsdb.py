"""Writes data points to OpenTSDB's HTTP API (`/api/put`): OpenTSDB 2, VictoriaMetrics.

A put is asked to wait for the storage (`sync`) and to say what became of each data point (`details`). What OpenTSDB
calls wrong (a name, a value, a tag too many) would be wrong for ever: it is left, counted and logged, and the rest of
the put has been stored. What failed in the storage is put again, with the whole batch.

Guarantee of the sink: at least once. OpenTSDB stores a data point that arrives twice once; VictoriaMetrics may store it
twice with the same timestamp and value, drops data points that it can't parse without saying so, and does not wait for
its disk.
"""

from __future__ import annotations

import gzip
import http.client
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from collector.errors import ConfigError
from collector.outputs.http_answer import refused
from collector.outputs.settings import OpenTsdbSettings
from collector.outputs.sink import OutputError
from collector.projections.opentsdb import BETWEEN_DATA_POINTS, encode
from collector.projections.point import Point
from collector.urls import split_url

logger = logging.getLogger(__name__)

_GZIP_LEVEL = 1
_HEADERS = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
_TOO_LARGE = "Chunked request not supported"  # OpenTSDB's words for a request of more than 4 KiB
# How OpenTSDB's details begin where the data point is good and the storage is not (tsd/PutDataPointRpc).
_STORAGE_FAILURES = ("Storage exception", "Write timedout")
_ANSWER_LIMIT = 200  # characters of the server's words in a message


class OpenTsdbOutput:
    """One OpenTSDB.

    Attributes:
        rejected: data points that the far end called wrong, since the start.

    Raises:
        ConfigError: `host` is no http or https address.
    """

    def __init__(self, settings: OpenTsdbSettings) -> None:
        self.rejected = 0
        self._settings = settings
        self._connection = _connection(settings)

    @property
    def name(self) -> str:
        """Kind and address."""
        return f"opentsdb:{self._connection.host}:{self._connection.port}"

    def encode(self, points: Iterable[Point]) -> Iterator[bytes]:
        """One record per point: its data points."""
        return encode(points, self._settings.prefix, self._settings.separator)

    def write(self, batch: Sequence[bytes]) -> None:
        """Put the data points, `http_batch_size` in a request.

        Raises:
            OutputError: no answer, or one that speaks of all data points; says whether to try again.
        """
        data_points = BETWEEN_DATA_POINTS.join(batch).split(BETWEEN_DATA_POINTS)
        size = self._settings.http_batch_size
        try:
            for start in range(0, len(data_points), size):
                self._put(b"[" + b",".join(data_points[start : start + size]) + b"]")
        finally:
            self._connection.close()  # kept until the next batch, the server might have closed it meanwhile

    def close(self) -> None:
        """Nothing is held open."""

    def _put(self, body: bytes) -> None:
        try:
            self._connection.request(
                "POST", f"{self._settings.http_path}?details&sync", gzip.compress(body, _GZIP_LEVEL), _HEADERS
            )
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise OutputError(
                f"{self.name}: no answer: {str(error) or type(error).__name__}",
                "check that it runs and host and port name it",
                retryable=True,
            ) from error
        if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
            self._not_accepted(response.status, answer, dict(response.headers))

    def _not_accepted(self, status: int, answer: bytes, headers: Mapping[str, str]) -> None:
        details = _details(answer)
        if details is None:
            raise self._refused(status, answer.decode(errors="replace"), headers)
        errors = [str(error.get("error")) for error in details.get("errors", [])]
        storage = [error for error in errors if error.startswith(_STORAGE_FAILURES)]
        if storage:
            raise OutputError(f"{self.name}: {len(storage)} data points not stored: {storage[0]}", retryable=True)
        self.rejected += int(details["failed"])
        logger.warning(
            "output %s: %s data points called wrong, the first: %s", self.name, details["failed"], _first(details)
        )

    def _refused(self, status: int, words: str, headers: Mapping[str, str]) -> OutputError:
        if _TOO_LARGE in words:
            # About every batch alike, and about the settings.
            remedy = "lower http_batch_size, or set tsd.http.request.enable_chunked in OpenTSDB"
            return OutputError(f"{self.name}: answered {status}: {_TOO_LARGE}", remedy, retryable=True)
        return refused(self.name, status, words, headers, {HTTPStatus.NOT_FOUND: "check host, port and http_path"})


def _connection(settings: OpenTsdbSettings) -> http.client.HTTPConnection:
    try:
        url = split_url(settings.host)
    except ValueError as error:
        raise ConfigError(
            "config.host",
            f"[[outputs.opentsdb]] host = {settings.host!r} is no http or https address",
            "write http://host; the telnet API, which acknowledges nothing, is not spoken",
        ) from error
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    return kind(url.hostname or "", settings.port, timeout=settings.timeout)


def _details(answer: bytes) -> dict[str, Any] | None:
    """The counts and errors of `details`; None where the answer is another one."""
    try:
        details = json.loads(answer)
    except ValueError:
        return None
    return details if isinstance(details, dict) and "failed" in details else None


def _first(details: dict[str, Any]) -> str:
    return json.dumps((details.get("errors") or [None])[0], ensure_ascii=False)[:_ANSWER_LIMIT]
