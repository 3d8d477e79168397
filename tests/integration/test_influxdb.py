"""The whole way of points, through filter, spool and delivery, into a real InfluxDB 1.6."""

import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from collector.agent.outputs import Outputs
from collector.outputs.influxdb import InfluxOutput
from collector.outputs.settings import InfluxSettings, OutputSettings
from collector.outputs.sink import OutputError
from collector.projections.point import FieldValue, Point
from collector.settings import AgentSettings
from tests.support.servers import Server, free_port, influx_query, influxdb
from tests.support.wait import wait_until

PATIENCE = 30.0
COLLECTIONS = 60  # ten minutes, one every ten seconds
SERIES = 50
SECOND = 10**9
HOSTILE = (
    "plain",
    "with space",
    "comma,equals=",
    'quote"d',
    "back\\slash",
    "ünïcode ☃",
    "{braces}",
    "#hash",
    "'single'",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with influxdb(tmp_path_factory.mktemp("influxdb")) as running:
        influx_query(running, "CREATE DATABASE telegraf")
        yield running


def agent(folder: Path) -> AgentSettings:
    return AgentSettings(buffer_directory=folder / "spool", flush_interval=0.05)


def outputs_to(url: str, folder: Path, *, database: str = "telegraf") -> Outputs:
    return Outputs(agent(folder), OutputSettings(influxdb=(InfluxSettings(urls=(url,), database=database),)))


def queued(outputs: Outputs) -> int:
    (state,) = outputs.states().values()
    return state.queued


def rows(server: Server, statement: str) -> list[list[FieldValue]]:
    found = influx_query(server, statement, "telegraf")
    return found[0]["values"] if found else []


def deliver(server: Server, folder: Path, points: Sequence[Point]) -> None:
    outputs = outputs_to(server.url, folder)
    outputs.start()
    outputs.put(points)
    wait_until(lambda: queued(outputs) == 0, deadline=PATIENCE, what="all is delivered")
    (state,) = outputs.states().values()
    outputs.close(PATIENCE)
    assert (state.written, sum(state.dropped.values())) == (len(points), 0)


def test_ten_minutes_of_outage_and_a_restart_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    first = int(time.time()) * SECOND - 600 * SECOND
    collections = [
        [
            Point("outage", (("container_name", f"c{series}"),), {"value": moment * SERIES + series}, when)
            for series in range(SERIES)
        ]
        for moment in range(COLLECTIONS)
        for when in [first + moment * 10 * SECOND]
    ]
    before_restart = outputs_to(url, tmp_path)
    before_restart.start()
    for points in collections[: COLLECTIONS // 2]:
        before_restart.put(points)
    before_restart.close(PATIENCE)
    outputs = outputs_to(url, tmp_path)
    outputs.start()
    for points in collections[COLLECTIONS // 2 :]:
        outputs.put(points)
    (state,) = outputs.states().values()
    assert (state.queued, sum(state.dropped.values())) == (COLLECTIONS * SERIES, 0)
    with influxdb(tmp_path, port) as server:
        influx_query(server, "CREATE DATABASE telegraf")
        wait_until(lambda: queued(outputs) == 0, deadline=120, what="the backlog is delivered")
        found = influx_query(server, 'SELECT "value" FROM outage GROUP BY container_name', "telegraf")
        (state,) = outputs.states().values()
        outputs.close(PATIENCE)
    stored = {series["tags"]["container_name"]: series["values"] for series in found}
    assert stored == {
        f"c{series}": [[first + moment * 10 * SECOND, moment * SERIES + series] for moment in range(COLLECTIONS)]
        for series in range(SERIES)
    }
    assert state.written == COLLECTIONS * SERIES
    assert state.errors > 0, "it did try in vain"


def test_hostile_tags_come_back_as_they_were(server: Server, tmp_path: Path) -> None:
    now = time.time_ns()
    points = [
        Point("hostile_tags", (("a", text), (f"key {text}", "x"), ("z", "end")), {"value": number}, now)
        for number, text in enumerate(HOSTILE)
    ]
    deliver(server, tmp_path, points)
    found = influx_query(server, "SELECT value FROM hostile_tags GROUP BY *", "telegraf")
    tags = [{name: text for name, text in series["tags"].items() if text} for series in found]
    stored = {text["a"]: (text, series["values"]) for text, series in zip(tags, found, strict=True)}
    assert stored == {
        text: ({"a": text, f"key {text}": "x", "z": "end"}, [[now, number]]) for number, text in enumerate(HOSTILE)
    }


def test_hostile_measurements_and_fields_come_back_as_they_were(server: Server, tmp_path: Path) -> None:
    now = time.time_ns()
    names = [text for text in HOSTILE if not text.startswith("#")]  # a line that begins with # is a comment
    fields: dict[str, FieldValue] = {f"field {text}": f'{text} "said"\\' for text in HOSTILE}
    deliver(server, tmp_path, [Point(f"m{text}", (), fields, now) for text in names])
    measured = {str(row[0]) for row in rows(server, "SHOW MEASUREMENTS")}
    assert {f"m{text}" for text in names} <= measured
    (series,) = influx_query(server, "SELECT * FROM mplain", "telegraf")
    assert dict(zip(series["columns"], series["values"][0], strict=True)) == {"time": now, **fields}


def test_numbers_come_back_as_they_were(server: Server, tmp_path: Path) -> None:
    now = time.time_ns()
    fields: dict[str, FieldValue] = {
        "largest": 2**63 - 1,
        "beyond": 2**64,
        "smallest": -(2**63),
        "tiny": 5e-324,
        "huge": 1.7e308,
        "third": 1 / 3,
        "whole": 3.0,
        "yes": True,
        "nan": math.nan,
        "inf": math.inf,
    }
    deliver(server, tmp_path, [Point("numbers", (), fields, now)])
    (series,) = influx_query(server, "SELECT * FROM numbers", "telegraf")
    found = dict(zip(series["columns"], series["values"][0], strict=True))
    kept = {name: value for name, value in fields.items() if name not in {"nan", "inf", "beyond"}}
    assert found == {"time": now, **kept, "beyond": 2**63 - 1}


def test_text_with_line_ends_stays_in_its_point(server: Server, tmp_path: Path) -> None:
    now = time.time_ns()
    points = [Point("lines", (("t", "a\nb\r"),), {"s": "first\nsecond\r\n", "n": 1}, now)]
    deliver(server, tmp_path, points)
    # The format has no escape for a line end in a tag: like telegraf, we spell it out.
    assert rows(server, "SELECT n, s, t FROM lines") == [[now, 1, "first\\nsecond\\r\\n", "a\\nb\\r"]]


def test_a_line_that_the_server_refuses_loses_itself_alone(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = time.time_ns()
    points = [Point("mixed", (("n", str(number)),), {"value": number}, now) for number in range(1000)]
    points[700] = Point("mixed", (("n", "700"),), {"value": "a string where numbers are"}, now)
    outputs = outputs_to(server.url, tmp_path)
    with caplog.at_level(logging.WARNING):
        outputs.start()
        outputs.put(points)
        wait_until(lambda: queued(outputs) == 0, deadline=PATIENCE, what="all is done with")
        (state,) = outputs.states().values()
        outputs.close(PATIENCE)
    assert rows(server, 'SELECT count("value") FROM mixed')[0][1] == 999
    assert (state.written, state.dropped["rejected"]) == (999, 1)
    (said,) = [record.getMessage() for record in caplog.records]
    assert "1 of 1000 points refused and given up" in said
    assert "field type conflict" in said


def test_points_wait_for_a_database_that_does_not_exist_yet(server: Server, tmp_path: Path) -> None:
    outputs = outputs_to(server.url, tmp_path, database="later")
    outputs.start()
    outputs.put([Point("m", (), {"value": 1}, 1000)])

    def errors() -> int:
        (state,) = outputs.states().values()
        return state.errors

    wait_until(lambda: errors() >= 1, deadline=PATIENCE, what="a refusal")
    assert queued(outputs) == 1
    influx_query(server, "CREATE DATABASE later")
    wait_until(lambda: queued(outputs) == 0, deadline=PATIENCE, what="the point is delivered")
    outputs.close(PATIENCE)
    assert influx_query(server, "SELECT value FROM m", "later")[0]["values"] == [[1000, 1]]


def test_user_and_password(tmp_path: Path) -> None:
    secret = "colon: and blank"  # noqa: S105 - of a server that lives for a second
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text(f"{secret}\n")
    user = {"u": "writer", "p": secret}
    settings = [
        InfluxSettings(urls=("",), username="writer", password_file=password),
        InfluxSettings(urls=("",)),
    ]
    with influxdb(tmp_path, more="auth-enabled = true\n") as server:
        influx_query(server, f"CREATE USER writer WITH PASSWORD '{secret}' WITH ALL PRIVILEGES")
        influx_query(server, "CREATE DATABASE telegraf", **user)
        allowed, refused = (InfluxOutput(replace(one, urls=(server.url,))) for one in settings)
        allowed.write([b"m value=1i 1000"])
        stored = influx_query(server, "SELECT value FROM m", "telegraf", **user)
        with pytest.raises(OutputError, match=r"answered 401.*check username and password_file") as caught:
            refused.write([b"m value=1i 1000"])
    assert stored[0]["values"] == [[1000, 1]]
    assert caught.value.retryable
