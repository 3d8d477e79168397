"""Plaintext into real servers: carbon and VictoriaMetrics."""

import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.errors import ConfigError
from collector.outputs.graphite import GraphiteOutput
from collector.outputs.settings import GraphiteSettings
from collector.outputs.sink import OutputError
from collector.projections.graphite import TagSanitizeMode
from collector.projections.point import Point
from tests.support.carbon import carbon
from tests.support.delivery import deliver, stored_across_restart
from tests.support.servers import exported, free_port, freeze, victoria_metrics
from tests.support.wait import wait_until

PATIENCE = 20.0
HOSTILE = (
    "plain",
    "with space",
    "comma,equals=",
    'quote"d',
    "back\\slash",
    "semi;colon",
    "~tilde",
    "ünïcode ☃",
    "new\nline",
    "../../etc/passwd",
    "{braces}[0]*",
    "\udcff",
)


def output(port: int, **settings: object) -> GraphiteOutput:
    defaults = {"servers": (f"127.0.0.1:{port}",), "timeout": 5.0}
    return GraphiteOutput(GraphiteSettings(**(defaults | settings)))  # type: ignore[arg-type]


def hostile_points(seconds: int) -> list[Point]:
    return [
        Point(
            "hostile", (("a", text), ("host", "h"), (f"tag {text}", "z")), {"value": number, text: 0.5}, seconds * 10**9
        )
        for number, text in enumerate(HOSTILE)
    ]


@pytest.mark.parametrize("settings", [{}, {"graphite_tag_support": True}])
def test_victoriametrics_takes_paths_and_tags(tmp_path: Path, settings: dict[str, bool]) -> None:
    port, seconds = free_port(), int(time.time())
    tags = (("container_name", "dr-1"), ("host", "db.example"))
    point = Point(
        "docker_container_mem", tags, {"usage": 2**53, "usage_percent": 12.5, "state": "text"}, seconds * 10**9
    )
    with victoria_metrics(tmp_path, None, f"-graphiteListenAddr=127.0.0.1:{port}") as server:
        sink = output(port, **settings)
        deliver(sink, list(sink.encode([point])))
        found = wait_until(lambda: exported(server.url, '{__name__!=""}'), deadline=PATIENCE, what="the series")
    names = ("usage", 2**53), ("usage_percent", 12.5)
    if settings:
        expected = [{"__name__": f"docker_container_mem.{name}", **dict(tags)} for name, _ in names]
    else:
        expected = [{"__name__": f"db_example.dr-1.docker_container_mem.{name}"} for name, _ in names]
    assert sorted(found, key=str) == sorted(
        [(labels, [value], [seconds * 1000]) for labels, (_, value) in zip(expected, names, strict=True)], key=str
    )


@pytest.mark.parametrize("mode", TagSanitizeMode)
def test_victoriametrics_gives_hostile_tags_back_as_they_were_written(tmp_path: Path, mode: TagSanitizeMode) -> None:
    port, seconds = free_port(), int(time.time())
    with victoria_metrics(tmp_path, None, f"-graphiteListenAddr=127.0.0.1:{port}") as server:
        sink = output(port, graphite_tag_support=True, graphite_tag_sanitize_mode=mode)
        batch = list(sink.encode(hostile_points(seconds)))
        deliver(sink, batch)
        found = wait_until(
            lambda: [row for row in exported(server.url, '{host="h"}') if row[0]["__name__"] == "hostile"],
            deadline=PATIENCE,
            what="the series",
        )
    by_value = {values[0]: labels for labels, values, _ in found}
    assert set(by_value) == set(range(len(HOSTILE)))
    kept = [text for number, text in enumerate(HOSTILE) if by_value[number]["a"] == text]
    compatible = ["plain", "comma,equals=", 'quote"d', "back\\slash", "../../etc/passwd", "{braces}[0]*"]
    assert kept == (compatible if mode is TagSanitizeMode.COMPATIBLE else ["plain"])


@pytest.mark.parametrize("settings", [{}, {"graphite_tag_support": True}])
def test_carbon_stores_every_line(tmp_path: Path, settings: dict[str, bool]) -> None:
    seconds = int(time.time())
    with carbon(tmp_path / "carbon") as server:
        sink = output(server.port, **settings)
        batch = list(sink.encode(hostile_points(seconds)))
        deliver(sink, batch)
        lines = [line.rsplit(" ", 2) for record in batch for line in record.decode().split("\n")]
        assert len(lines) == 2 * len(HOSTILE)
        for path, value, _ in lines:
            found = wait_until(lambda path=path: server.values(path), deadline=PATIENCE, what=path)  # type: ignore[misc]
            assert found == {seconds: float(value)}
    outside = [file for file in tmp_path.rglob("*.wsp") if not file.is_relative_to(tmp_path / "carbon" / "whisper")]
    assert outside == []


def test_what_a_server_has_not_read_when_it_dies_is_written_again(tmp_path: Path) -> None:
    port, seconds = free_port(), int(time.time())
    folder = tmp_path / "carbon"
    sink = output(port, timeout=0.5)
    batch = list(sink.encode([Point("m", (("host", "h"),), {"a": 1}, seconds * 10**9)]))
    with carbon(folder, port) as server:
        freeze(server.pid)  # the kernel goes on to take connections and bytes
        with pytest.raises(OutputError, match=r"has not read everything within 0.5 s") as caught:
            sink.write(batch)
        os.killpg(server.pid, signal.SIGKILL)
    assert caught.value.retryable
    with pytest.raises(OutputError, match="refused"):
        sink.write(batch)
    with carbon(folder, port) as server:
        deliver(sink, batch)
        wait_until(lambda: server.values("h.m.a") == {seconds: 1.0}, deadline=PATIENCE, what="the value")


def test_nothing_is_lost_when_the_far_end_is_restarted(tmp_path: Path) -> None:
    port, first = free_port(), int(time.time()) - 100
    sink = output(port, graphite_tag_support=True)
    batches = [
        list(sink.encode(Point("m", (("n", str(n)),), {"value": second}, second * 10**9) for n in range(200)))
        for second in range(first, first + 60)
    ]
    rows = stored_across_restart(tmp_path, f"-graphiteListenAddr=127.0.0.1:{port}", sink, batches, "m")
    assert len(rows) == 200
    seconds = tuple(range(first * 1000, (first + 60) * 1000, 1000))
    assert {tuple(dict.fromkeys(times)) for _, _, times in rows} == {seconds}


def test_the_next_server_is_taken_where_one_is_away(tmp_path: Path) -> None:
    seconds = int(time.time())
    with carbon(tmp_path / "carbon") as server:
        sink = output(0, servers=(f"127.0.0.1:{free_port()}", f"127.0.0.1:{server.port}"))
        for number in range(5):
            sink.write(list(sink.encode([Point("m", (), {"a": number}, (seconds - number) * 10**9)])))
        wait_until(lambda: len(server.values("m.a")) == 5, deadline=PATIENCE, what="all values")


@pytest.fixture
def tls_files(tmp_path: Path) -> tuple[Path, Path]:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*request, *names, *files], check=True, capture_output=True)
    key.chmod(0o600)
    return certificate, key


@pytest.fixture
def tls_server(tls_files: tuple[Path, Path]) -> Iterator[tuple[int, list[bytes]]]:
    """Reads one connection to its end; asks the client for its certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tls_files[0])
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(*tls_files)
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            plain, _ = listener.accept()
            with context.wrap_socket(plain, server_side=True) as connection:
                while part := connection.recv(4096):
                    received.append(part)
                connection.unwrap()

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], received
        thread.join(PATIENCE)


def test_tls_with_a_certificate_of_our_own(tls_files: tuple[Path, Path], tls_server: tuple[int, list[bytes]]) -> None:
    certificate, key = tls_files
    port, received = tls_server
    servers = (f"localhost:{port}",)
    sink = output(port, servers=servers, tls_ca=certificate, tls_cert=certificate, tls_key=key)
    sink.write([b"m.a 1 5"])
    assert b"".join(received) == b"m.a 1 5\n"


def test_a_key_that_others_can_read_is_refused(tls_files: tuple[Path, Path]) -> None:
    certificate, key = tls_files
    key.chmod(0o640)
    with pytest.raises(ConfigError, match="has mode 0640"):
        output(2003, tls_cert=certificate, tls_key=key)
    key.chmod(0o600)
    key.write_text("no key")
    with pytest.raises(ConfigError, match=r"\[\[outputs.graphite\]\] tls_cert .*cert.pem: "):
        output(2003, tls_cert=certificate, tls_key=key)
