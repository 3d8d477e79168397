"""Lines through the queue and influxdb-client into a real VictoriaMetrics."""

import json
import math
import time
import urllib.parse
from pathlib import Path

import pytest

from collector.catalogue import cgroup
from collector.outputs.influxdb_v2 import InfluxV2Output
from collector.outputs.push import Backoff, Flush, Pusher
from collector.outputs.settings import InfluxV2Settings
from collector.outputs.sink import OutputError
from collector.outputs.spool import Spool
from collector.projections.line_protocol import encode
from collector.projections.point import Point
from collector.projections.telegraf import TelegrafProjection
from tests.support.servers import Server, free_port, freeze, http_get, victoria_metrics
from tests.support.wait import wait_until

PATIENCE = 20.0
HOSTILE = (
    "plain",
    "with space",
    "comma,equals=",
    'quote"d',
    "back\\slash",
    "back\\,comma",
    "back\\\\slashes",
    "ünïcode ☃",
    "{braces}",
    "#hash",
)


def output_to(server: Server, timeout: float = 5.0) -> InfluxV2Output:
    return InfluxV2Output(InfluxV2Settings(urls=(server.url,), timeout=timeout))


def exported(server: Server, name: str) -> list[tuple[dict[str, str], list[float], list[int]]]:
    """Labels, values and timestamps (ms) of every series of this name, as they are stored."""
    http_get(f"{server.url}/internal/force_flush")
    text = http_get(f"{server.url}/api/v1/export?{urllib.parse.urlencode({'match[]': name})}") or ""
    rows = [json.loads(line) for line in text.splitlines()]
    return [(row["metric"], row["values"], row["timestamps"]) for row in rows]


def now_ms() -> int:
    return time.time_ns() // 10**6


def test_a_container_is_found_under_telegrafs_name(tmp_path: Path) -> None:
    taken = now_ms()
    sample = cgroup.CPU_USAGE.sample(12.5, "backup-1", "mariadb:10.11", "total")
    with victoria_metrics(tmp_path) as server:
        points = TelegrafProjection("host-1").project([sample], taken * 10**6)
        output_to(server).write(list(encode(points)))
        found = wait_until(
            lambda: exported(server, "docker_container_cpu_usage_total"), deadline=PATIENCE, what="the series"
        )
    labels = {
        "__name__": "docker_container_cpu_usage_total",
        "container_name": "backup-1",
        "container_image": "mariadb",
        "container_version": "10.11",
        "cpu": "cpu-total",
        "engine_host": "host-1",
        "host": "host-1",
    }
    assert found == [(labels, [12_500_000_000], [taken])]


def test_hostile_tags_come_back_as_they_were(tmp_path: Path) -> None:
    taken = now_ms()
    points = [
        Point("hostile", (("a", text), ("z", "end")), {"value": number}, taken * 10**6)
        for number, text in enumerate(HOSTILE)
    ]
    with victoria_metrics(tmp_path) as server:
        output_to(server).write(list(encode(points)))
        wait_until(lambda: len(exported(server, "hostile_value")) >= len(HOSTILE), deadline=PATIENCE, what="all series")
        found = exported(server, "hostile_value")
    assert {labels["a"]: values for labels, values, _ in found} == {
        text: [number] for number, text in enumerate(HOSTILE)
    }
    assert {labels["z"] for labels, _, _ in found} == {"end"}


def test_text_with_line_ends_costs_no_other_field(tmp_path: Path) -> None:
    taken = now_ms()
    points = [Point("lines", (("t", "a\nb\r"),), {"s": "first\nsecond", "n": 1, "nan": math.nan}, taken * 10**6)]
    with victoria_metrics(tmp_path) as server:
        output_to(server).write(list(encode(points)))
        found = wait_until(lambda: exported(server, "lines_n"), deadline=PATIENCE, what="the number")
    assert found == [({"__name__": "lines_n", "t": "a\\nb\\r"}, [1], [taken])]


def test_what_was_measured_during_an_outage_arrives_with_its_own_time(tmp_path: Path) -> None:
    port, first = free_port(), now_ms() - 60_000
    collections = [[f"outage value={number}i {(first + number * 1000) * 10**6}".encode()] for number in range(5)]
    output = InfluxV2Output(InfluxV2Settings(urls=(f"http://127.0.0.1:{port}",)))
    spool = Spool(tmp_path / "spool", limit=2**20)
    pusher = Pusher("vm", output.write, spool, Flush(interval=0.05), Backoff(first=0.05, limit=0.2))
    pusher.start()
    try:
        with victoria_metrics(tmp_path, port) as server:
            pusher.put(collections[0])
            wait_until(lambda: pusher.stats().written == 1, deadline=PATIENCE, what="the first collection is written")
        for lines in collections[1:]:
            pusher.put(lines)
        wait_until(lambda: pusher.stats().errors >= 2, deadline=PATIENCE, what="attempts while the server is away")
        assert (pusher.stats().up, pusher.stats().written, pusher.stats().waiting.records) == (False, 1, 4)
        with victoria_metrics(tmp_path, port) as server:
            wait_until(lambda: pusher.stats().written == 5, deadline=PATIENCE, what="all collections are written")
            found = wait_until(
                lambda: [row for row in exported(server, "outage_value") if len(row[1]) == 5],
                deadline=PATIENCE,
                what="all points",
            )
    finally:
        pusher.close(PATIENCE)
    assert [(values, times) for _, values, times in found] == [
        ([0, 1, 2, 3, 4], [first + number * 1000 for number in range(5)])
    ]
    assert (pusher.stats().up, pusher.stats().waiting.records) == (True, 0)


def test_a_server_that_hangs_is_left_after_the_timeout(tmp_path: Path) -> None:
    with victoria_metrics(tmp_path) as server:
        output = output_to(server, timeout=0.3)
        freeze(server.process.pid)
        with pytest.raises(OutputError, match="no answer") as caught:
            output.write([b"m value=1i 1"])
    assert caught.value.retryable
