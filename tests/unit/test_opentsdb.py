"""Data points, and what OpenTSDB answers. It runs on HBase, so a stand-in gives its documented answers here."""

import gzip
import json
import math
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import ConfigError
from collector.outputs.opentsdb import OpenTsdbOutput
from collector.outputs.settings import OpenTsdbSettings
from collector.outputs.sink import OutputError
from collector.projections.opentsdb import BETWEEN_DATA_POINTS, encode
from collector.projections.point import FieldValue, Point

NOW = 1_700_000_000_987_654_321
_TAGS = st.dictionaries(st.text(min_size=1, max_size=6), st.text(max_size=8), max_size=4)
_VALUES = st.one_of(st.booleans(), st.integers(-(2**64), 2**64), st.floats(), st.text(max_size=4))


def data_points(point: Point, prefix: str = "", separator: str = "_") -> list[dict[str, Any]]:
    return [
        json.loads(data_point)
        for record in encode([point], prefix, separator)
        for data_point in record.split(BETWEEN_DATA_POINTS)
    ]


def test_names_are_telegrafs() -> None:
    point = Point("disk", (("host", "h 1"), ("path", "/var/lib:x@y"), ("z", "")), {"free": 5, "used_percent": 1.5}, NOW)
    tags = {"host": "h_1", "path": "/var/lib_x-y", "z": "_"}
    assert data_points(point, prefix="dr.") == [
        {"metric": "dr.disk_free", "value": 5, "timestamp": 1_700_000_000, "tags": tags},
        {"metric": "dr.disk_used_percent", "value": 1.5, "timestamp": 1_700_000_000, "tags": tags},
    ]


@given(st.text(min_size=1, max_size=8), _TAGS, st.text(min_size=1, max_size=8), _VALUES)
def test_opentsdb_would_store_every_data_point(
    measurement: str, tags: dict[str, str], field: str, value: FieldValue
) -> None:
    for found in data_points(Point(measurement, tuple(tags.items()), {field: value}, NOW)):
        words = [found["metric"], *found["tags"], *found["tags"].values()]
        assert all(is_valid(word) for word in words)
        assert math.isclose(found["value"], float(value))
        assert isinstance(found["value"], float) or -(2**63) <= found["value"] < 2**63


def is_valid(word: str) -> bool:
    """As OpenTSDB's Tags.validateString: by UTF-16 units, of which a letter beyond the first plane has none."""
    return word != "" and all(
        (c.isascii() and c.isalnum()) or c in "-_./" or (not c.isascii() and c.isalpha() and ord(c) < 2**16)
        for c in word
    )


@pytest.mark.parametrize("value", ["text", True, math.nan, math.inf])
def test_what_opentsdb_can_not_store_is_left_out(value: FieldValue) -> None:
    assert list(encode([Point("m", (("host", "h"),), {"a": value}, NOW)], "", "_")) == []


class StandIn:
    """Answers every put with the next of `answers` and keeps what was put."""

    def __init__(self, *answers: tuple[int, str]) -> None:
        self.puts: list[tuple[str, list[Any]]] = []
        remaining = iter(answers)
        puts = self.puts

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
                puts.append((self.path, json.loads(body)))
                status, text = next(remaining)
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def output(self, http_batch_size: int = 50) -> OpenTsdbOutput:
        return OpenTsdbOutput(
            OpenTsdbSettings(
                host="http://127.0.0.1", port=self.server.server_port, http_batch_size=http_batch_size, timeout=5.0
            )
        )


@pytest.fixture
def batch() -> list[bytes]:
    return list(encode([Point("m", (("host", "h"),), {"a": n, "b": -n}, NOW) for n in range(3)], "", "_"))


def errors(*words: str) -> str:
    return json.dumps({"errors": [{"error": word} for word in words], "failed": len(words), "success": 9})


def test_a_batch_is_put_in_requests_of_the_size_that_opentsdb_takes(batch: list[bytes]) -> None:
    with StandIn((200, '{"success":4,"failed":0,"errors":[]}'), (204, "")) as opentsdb:
        opentsdb.output(http_batch_size=4).write(batch)
    assert [(path, len(put)) for path, put in opentsdb.puts] == [
        ("/api/put?details&sync", 4),
        ("/api/put?details&sync", 2),
    ]
    assert [point["value"] for _, put in opentsdb.puts for point in put] == [0, 0, 1, -1, 2, -2]


def test_data_points_called_wrong_are_counted_and_not_put_again(
    batch: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    with StandIn((400, errors("Unknown metric", "Unknown metric"))) as opentsdb:
        output = opentsdb.output()
        output.write(batch)
    assert output.rejected == 2
    assert "2 data points called wrong" in caplog.text


@pytest.mark.parametrize(
    ("status", "answer", "retryable"),
    [
        (400, errors("Unknown metric", "Storage exception: region moved"), True),
        (400, errors("Write timedout"), True),
        (400, "cannot parse JSON", False),
        (400, '{"error":{"code":400,"message":"Chunked request not supported."}}', True),
        (413, "too large", False),
        (404, "no such page", True),
        (429, "slower", True),
        (503, "", True),
    ],
)
def test_what_an_answer_means_for_the_batch(batch: list[bytes], status: int, answer: str, retryable: bool) -> None:  # noqa: FBT001
    with StandIn((status, answer)) as opentsdb, pytest.raises(OutputError) as caught:
        opentsdb.output().write(batch)
    assert caught.value.retryable is retryable


def test_no_answer_is_tried_again(batch: list[bytes]) -> None:
    with StandIn() as opentsdb:
        output = opentsdb.output()
    with pytest.raises(OutputError, match="refused") as caught:
        output.write(batch)
    assert caught.value.retryable


@pytest.mark.parametrize(
    "host", ["tsdb.example.com", "tcp://tsdb.example.com", "http://", "http://[::1", "http://me:secret@tsdb"]
)
def test_only_http_is_spoken(host: str) -> None:
    with pytest.raises(ConfigError, match="no http or https address"):
        OpenTsdbOutput(OpenTsdbSettings(host=host))
