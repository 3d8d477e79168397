"""Far ends that refuse, ask to wait or say nothing, and a disk that is full: what becomes of the points."""

import contextlib
import logging
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collector.outputs.influxdb import InfluxOutput
from collector.outputs.influxdb_v2 import InfluxV2Output
from collector.outputs.push import Backoff, Flush, Pusher
from collector.outputs.settings import InfluxSettings, InfluxV2Settings
from collector.outputs.spool import MEMORY_LIMIT, Cause, Spool
from tests.support.far_end import Answer, FarEnd, serve
from tests.support.servers import free_port
from tests.support.wait import wait_until

PATIENCE = 30.0
QUICK = Backoff(first=0.01, limit=0.05)
SINKS: dict[str, Callable[[str], InfluxOutput | InfluxV2Output]] = {
    "influxdb": lambda url: InfluxOutput(InfluxSettings(urls=(url,), timeout=0.5)),
    "influxdb_v2": lambda url: InfluxV2Output(InfluxV2Settings(urls=(url,), timeout=0.5)),
}


@contextlib.contextmanager
def delivering(folder: Path, far_end: FarEnd, sink: str = "influxdb", batch_size: int = 100) -> Iterator[Pusher]:
    with serve(far_end) as url:
        output = SINKS[sink](url)
        pusher = Pusher(
            "far", output.write, Spool(folder, limit=2**20), Flush(batch_size=batch_size, interval=0.01), QUICK
        )
        pusher.start()
        try:
            yield pusher
        finally:
            far_end.ended.set()
            pusher.close(PATIENCE)
            output.close()


def lines(*numbers: int) -> list[bytes]:
    return [b"m value=%di %d" % (number, number + 1) for number in numbers]


def wait_for_lines(far_end: FarEnd, count: int) -> None:
    wait_until(lambda: len(far_end.lines) >= count, deadline=PATIENCE, what=f"{count} lines")


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 500, 503])
def test_an_answer_about_the_endpoint_keeps_the_points(tmp_path: Path, sink: str, status: int) -> None:
    far_end = FarEnd(Answer(status), Answer(status))
    with delivering(tmp_path, far_end, sink) as pusher:
        pusher.put(lines(*range(250)))
        wait_for_lines(far_end, 250)
    assert far_end.requests == [status, status, 204, 204, 204]
    assert far_end.lines == lines(*range(250)), "in order, none twice"
    stats = pusher.stats()
    assert (stats.written, stats.errors, sum(stats.waiting.dropped.values())) == (250, 2, 0)


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize("status", [429, 503])
def test_the_server_says_when_to_come_back(tmp_path: Path, sink: str, status: int) -> None:
    far_end = FarEnd(Answer(status, {"Retry-After": "1"}))
    with delivering(tmp_path, far_end, sink) as pusher:
        begin = time.monotonic()
        pusher.put(lines(1))
        wait_for_lines(far_end, 1)
        assert time.monotonic() - begin >= 1.0
    assert far_end.requests == [status, 204]


@pytest.mark.parametrize("sink", SINKS)
def test_a_server_that_says_nothing_gets_the_points_again(tmp_path: Path, sink: str) -> None:
    far_end = FarEnd(Answer(silent=True))
    with delivering(tmp_path, far_end, sink) as pusher:
        pusher.put(lines(*range(10)))
        wait_for_lines(far_end, 10)
    assert far_end.requests == [0, 204]
    assert far_end.lines == lines(*range(10))


@pytest.mark.parametrize("sink", SINKS)
def test_400_loses_the_bad_line_alone(tmp_path: Path, sink: str, caplog: pytest.LogCaptureFixture) -> None:
    far_end = FarEnd(poison=b"value=42i")
    with caplog.at_level(logging.WARNING), delivering(tmp_path, far_end, sink) as pusher:
        pusher.put(lines(*range(100)))
        wait_for_lines(far_end, 99)
    assert far_end.lines == lines(*(number for number in range(100) if number != 42))
    assert pusher.stats().waiting.dropped[Cause.REJECTED] == 1
    assert [record.getMessage().partition(": ")[0] for record in caplog.records] == ["output far"]
    assert "1 of 100 points refused and given up: http" in caplog.text


def test_413_makes_the_batches_smaller(tmp_path: Path) -> None:
    far_end = FarEnd(largest=400)
    with delivering(tmp_path, far_end) as pusher:
        pusher.put(lines(*range(100)))
        wait_for_lines(far_end, 100)
    assert far_end.lines == lines(*range(100))
    assert set(far_end.requests) == {204, 413}
    assert sum(pusher.stats().waiting.dropped.values()) == 0


def test_nobody_listens_and_then_somebody_does(tmp_path: Path) -> None:
    output = InfluxOutput(InfluxSettings(urls=(f"http://127.0.0.1:{free_port()}",)))
    pusher = Pusher("far", output.write, Spool(tmp_path, limit=2**20), Flush(interval=0.01), QUICK)
    pusher.put(lines(*range(10)))
    pusher.start()
    wait_until(lambda: pusher.stats().errors >= 2, deadline=PATIENCE, what="two attempts")
    pusher.close(PATIENCE)
    far_end = FarEnd()
    with delivering(tmp_path, far_end):
        wait_for_lines(far_end, 10)
    assert far_end.lines == lines(*range(10))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(folder: Path) -> Path:
    """Take all room that is left."""
    path = folder / "full"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    return path


def test_on_a_full_disk_delivery_goes_on(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    far_end = FarEnd()
    fill(small_disk)
    with caplog.at_level(logging.WARNING), delivering(small_disk / "spool", far_end) as pusher:
        for number in range(20):
            pusher.put(lines(number))
            wait_for_lines(far_end, number + 1)
    assert far_end.lines == lines(*range(20))
    assert sum(pusher.stats().waiting.dropped.values()) == 0
    assert [record.getMessage().count("No space left on device") for record in caplog.records] == [1], "said once"


def test_a_disk_that_fills_up_and_is_freed_again(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    far_end = FarEnd(*[Answer(503)] * 10_000)
    large = [b"m value=%di" % number + b" " * 1000 for number in range(10)]
    with delivering(small_disk / "spool", far_end) as pusher:
        pusher.put(large)
        blocker = fill(small_disk)
        for _ in range(5):
            pusher.put(large)
        blocker.unlink()
        pusher.put(lines(1, 2))
        assert pusher.stats().waiting.records == 62
        assert sum(pusher.stats().waiting.dropped.values()) == 0
        far_end.come_back()
        wait_for_lines(far_end, 62)
    assert far_end.lines == large * 6 + lines(1, 2), "in order"
    assert caplog.text.count("No space left on device") == 1


def test_memory_is_bounded_while_the_disk_is_full(small_disk: Path) -> None:
    fill(small_disk)
    spool = Spool(small_disk / "spool", limit=2**30)
    for number in range(20):
        spool.put([b"%02d" % number + b"x" * (MEMORY_LIMIT // 10)])
    stats = spool.stats()
    batch = spool.take(100)
    spool.close()
    assert stats.dropped[Cause.DISK] == 20 - stats.records == 11
    assert stats.size <= MEMORY_LIMIT
    assert batch is not None
    assert batch.records[0].startswith(b"11"), "the oldest were dropped"


def test_what_was_delivered_on_a_full_disk_is_not_delivered_again(small_disk: Path) -> None:
    far_end = FarEnd()
    with delivering(small_disk / "spool", far_end) as pusher:
        pusher.put(lines(1))
        wait_for_lines(far_end, 1)
        fill(small_disk)
        pusher.put(lines(2))
        wait_for_lines(far_end, 2)
    with delivering(small_disk / "spool", far_end) as pusher:
        pusher.put(lines(3))
        wait_for_lines(far_end, 3)
    assert far_end.lines == lines(1, 2, 3)
