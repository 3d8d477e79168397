"""Real servers from Debian's packages, each on a free loopback port and in a folder of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.wait import wait_until

READY_DEADLINE = 30.0
STOP_DEADLINE = 20.0


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def http_get(url: str, timeout: float = 5.0) -> str | None:
    """The body of a 200 answer, None for any other or none."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return str(answer.read().decode())
    except (OSError, urllib.error.URLError):
        return None


def http_json(url: str, timeout: float = 5.0) -> Any:
    """The parsed body of a 200 answer, None for any other or none."""
    body = http_get(url, timeout)
    return None if body is None else json.loads(body)


@contextlib.contextmanager
def process(
    command: Sequence[str], log: Path, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own; it, and what it started in that session, is gone afterwards."""
    with log.open("ab") as output:
        started = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
    try:
        yield started
    finally:
        stop(started)


def stop(started: subprocess.Popen[bytes]) -> None:
    """SIGTERM, then SIGKILL to the whole session; a stopped process is continued first."""
    for number in (signal.SIGCONT, signal.SIGTERM):
        with contextlib.suppress(ProcessLookupError):
            os.kill(started.pid, number)
    try:
        started.wait(STOP_DEADLINE)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait(STOP_DEADLINE)


def freeze(pid: int) -> None:
    """SIGSTOP; every thread stands still when this returns."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: _stands_still(pid), deadline=READY_DEADLINE, what=f"process {pid} is stopped")


def _stands_still(pid: int) -> bool:
    states = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that ended meanwhile
            states.append((task / "stat").read_text().rpartition(")")[2].split()[0])
    return set(states) == {"T"}


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers at `url`."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.url.rpartition(":")[2])


@contextlib.contextmanager
def _server(
    command: Sequence[str], port: int, ready: str, log: Path, environment: dict[str, str] | None = None
) -> Iterator[Server]:
    with process(command, log, environment) as started:
        url = f"http://127.0.0.1:{port}"
        wait_until(
            lambda: http_get(url + ready) is not None or started.poll() is not None,
            deadline=READY_DEADLINE,
            what=f"{command[0]} ready",
        )
        assert started.poll() is None, log.read_text()
        yield Server(url, started, log)


@contextlib.contextmanager
def victoria_metrics(folder: Path, port: int | None = None, *more: str) -> Iterator[Server]:
    """VictoriaMetrics, our InfluxDB v2 write endpoint; `-search.latencyOffset=0s` shows new points at once."""
    port = port or free_port()
    command = [
        "victoria-metrics",
        f"-httpListenAddr=127.0.0.1:{port}",
        f"-storageDataPath={folder / 'victoria-metrics'}",
        "-search.latencyOffset=0s",
        "-search.disableCache",
        *more,
    ]
    with _server(command, port, "/health", folder / "victoria-metrics.log") as server:
        yield server


def exported(url: str, selector: str) -> list[tuple[dict[str, str], list[float], list[int]]]:
    """Labels, values and timestamps (ms) of every series that the VictoriaMetrics at `url` has stored."""
    http_get(f"{url}/internal/force_flush")
    text = http_get(f"{url}/api/v1/export?{urllib.parse.urlencode({'match[]': selector})}") or ""
    rows = [json.loads(line) for line in text.splitlines()]
    return [(row["metric"], row["values"], row["timestamps"]) for row in rows]


@contextlib.contextmanager
def influxdb(folder: Path, port: int | None = None, *, more: str = "") -> Iterator[Server]:
    """InfluxDB 1.6; `more` is added to the section [http] of its configuration. It has no database at first."""
    port = port or free_port()
    data = folder / "influxdb"
    config = folder / "influxdb.conf"
    config.write_text(
        f'reporting-disabled = true\nbind-address = "127.0.0.1:{free_port()}"\n'
        f'[meta]\ndir = "{data}/meta"\n[data]\ndir = "{data}/data"\nwal-dir = "{data}/wal"\n'
        f"[monitor]\nstore-enabled = false\n"
        f'[http]\nbind-address = "127.0.0.1:{port}"\nlog-enabled = false\n{more}'
    )
    with _server(["influxd", "-config", str(config)], port, "/ping", folder / "influxdb.log") as server:
        yield server


def influx_query(server: Server, statement: str, database: str = "", **more: str) -> list[dict[str, Any]]:
    """Series of an InfluxQL statement, with `name`, `tags`, `columns`, `values`; times in nanoseconds."""
    words = urllib.parse.urlencode({"q": statement, "db": database, "epoch": "ns", **more})
    request = urllib.request.Request(f"{server.url}/query?{words}", method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        (result,) = json.loads(answer.read())["results"]
    assert "error" not in result, result
    return list(result.get("series", []))


@contextlib.contextmanager
def prometheus(folder: Path, config: str, port: int | None = None, *, more: Sequence[str] = ()) -> Iterator[Server]:
    """Prometheus with this configuration; rule files beside it in `folder` are found by relative name."""
    port = port or free_port()
    (folder / "prometheus.yml").write_text(config)
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-lifecycle",
        "--rules.alert.resend-delay=1s",
        *more,
    ]
    with _server(command, port, "/-/ready", folder / "prometheus.log") as server:
        yield server


@contextlib.contextmanager
def alertmanager(
    folder: Path, config: str, port: int | None = None, *, trusted: Path | None = None
) -> Iterator[Server]:
    """Alertmanager with this configuration, without a cluster; `trusted` are the certificates that it believes."""
    port = port or free_port()
    (folder / "alertmanager.yml").write_text(config)
    command = [
        "prometheus-alertmanager",
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    environment = {} if trusted is None else {"SSL_CERT_FILE": str(trusted)}
    with _server(command, port, "/-/ready", folder / "alertmanager.log", environment) as server:
        yield server


def query(server: Server, expression: str) -> list[dict[str, Any]]:
    """Series of an instant query, with `metric` and `value`; empty while there are none."""
    answer = http_json(f"{server.url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
    return list(answer["data"]["result"]) if answer else []
