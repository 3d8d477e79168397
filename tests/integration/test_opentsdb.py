"""Data points into VictoriaMetrics' port for OpenTSDB."""

import time
from pathlib import Path

import pytest

from collector.outputs.opentsdb import OpenTsdbOutput
from collector.outputs.settings import OpenTsdbSettings
from collector.outputs.sink import OutputError
from collector.projections.point import FieldValue, Point
from tests.support.delivery import deliver, stored_across_restart
from tests.support.servers import exported, free_port, freeze, victoria_metrics
from tests.support.wait import wait_until

PATIENCE = 20.0
HOSTILE = {
    "plain": "plain",
    "with space": "with_space",
    "comma,equals=": "comma_equals_",
    'quote"d': "quote_d",
    "back\\slash": "back_slash",
    "ünïcode/é": "ünïcode/é",
    "snow☃": "snow_",
    "new\nline": "new_line",
    "not unicode \udcff": "not_unicode__",
    "": "_",
}


def output(port: int, http_batch_size: int = 50, timeout: float = 5.0) -> OpenTsdbOutput:
    return OpenTsdbOutput(
        OpenTsdbSettings(host="http://127.0.0.1", port=port, http_batch_size=http_batch_size, timeout=timeout)
    )


def test_values_come_back_with_their_names_tags_and_seconds(tmp_path: Path) -> None:
    port, seconds = free_port(), int(time.time())
    tags = (("container_name", "dr-1"), ("host", "db.example"))
    fields: dict[str, FieldValue] = {
        "usage": 2**53,
        "usage_percent": 12.5,
        "state": "text",
        "ok": True,
        "nan": float("nan"),
    }
    with victoria_metrics(tmp_path, None, f"-opentsdbHTTPListenAddr=127.0.0.1:{port}") as server:
        sink = output(port)
        deliver(sink, list(sink.encode([Point("docker_container_mem", tags, fields, seconds * 10**9 + 5)])))
        found = wait_until(lambda: exported(server.url, '{__name__!=""}'), deadline=PATIENCE, what="the series")
    assert sorted(found, key=str) == [
        ({"__name__": "docker_container_mem_usage", **dict(tags)}, [2**53], [seconds * 1000]),
        ({"__name__": "docker_container_mem_usage_percent", **dict(tags)}, [12.5], [seconds * 1000]),
    ]


def test_hostile_tags_are_stored_each(tmp_path: Path) -> None:
    port, seconds = free_port(), int(time.time())
    points = [
        Point("hostile", (("a", text), ("host", "h"), (f"t{text}", "z")), {"value": number, text: 0.5}, seconds * 10**9)
        for number, text in enumerate(HOSTILE)
    ]
    with victoria_metrics(tmp_path, None, f"-opentsdbHTTPListenAddr=127.0.0.1:{port}") as server:
        sink = output(port, http_batch_size=7)
        deliver(sink, list(sink.encode(points)))
        found = wait_until(lambda: exported(server.url, "hostile_value"), deadline=PATIENCE, what="the series")
    stored = {values[0]: labels["a"] for labels, values, _ in found}
    assert stored == dict(enumerate(HOSTILE.values()))


def test_nothing_is_lost_when_the_far_end_is_restarted(tmp_path: Path) -> None:
    port, first = free_port(), int(time.time()) - 100
    sink = output(port)
    batches = [
        list(sink.encode(Point("m", (("n", str(n)),), {"v": second}, second * 10**9) for n in range(100)))
        for second in range(first, first + 40)
    ]
    rows = stored_across_restart(tmp_path, f"-opentsdbHTTPListenAddr=127.0.0.1:{port}", sink, batches, "m_v")
    assert len(rows) == 100
    seconds = tuple(range(first * 1000, (first + 40) * 1000, 1000))
    assert {tuple(dict.fromkeys(times)) for _, _, times in rows} == {seconds}


def test_a_server_that_hangs_is_left_after_the_timeout(tmp_path: Path) -> None:
    port = free_port()
    with victoria_metrics(tmp_path, None, f"-opentsdbHTTPListenAddr=127.0.0.1:{port}") as server:
        freeze(server.process.pid)
        with pytest.raises(OutputError, match="no answer: timed out") as caught:
            output(port, timeout=0.3).write([b"{}"])
    assert caught.value.retryable


def test_what_the_server_can_not_read_is_not_tried_again(tmp_path: Path) -> None:
    port = free_port()
    with (
        victoria_metrics(tmp_path, None, f"-opentsdbHTTPListenAddr=127.0.0.1:{port}"),
        pytest.raises(OutputError, match=r"answered 400: .*cannot parse JSON") as caught,
    ):
        output(port).write([b"{no json"])
    assert not caught.value.retryable
