"""The hang that started it all: `docker ps` and `docker info` hang, `docker images` and `docker volume ls` answer.

No daemon hangs so on demand, so the endpoint is a server that speaks the Engine API and keeps some answers to itself;
the client, the probes and the deadlines are the real ones.
"""

import contextlib
import functools
import json
import socketserver
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from collector.docker_api import connect
from collector.inputs.docker import HANG_PATTERN, PROBE_SUCCESS, DockerInput
from tests.support.wait import wait_until

TIMEOUT = 0.5
VERSION = {"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12"}


class Engine(socketserver.ThreadingUnixStreamServer):
    """An engine that answers all but the paths in `hanging`."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, path: Path) -> None:
        self.hanging: tuple[str, ...] = ()
        self.ended = threading.Event()
        super().__init__(str(path), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Engine

    def address_string(self) -> str:
        return "unix"

    def do_GET(self) -> None:
        endpoint = self.path.partition("?")[0].rsplit("/v1.41", maxsplit=1)[-1]
        if endpoint in self.server.hanging:
            self.server.ended.wait(60)
            return
        body = json.dumps(VERSION if endpoint.endswith("/version") else []).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@contextlib.contextmanager
def engine(path: Path) -> Iterator[Engine]:
    server = Engine(path)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()


def test_the_pattern_is_seen_and_goes_when_the_daemon_answers_again(tmp_path: Path) -> None:
    skipped = [0.0]  # seconds
    address = f"unix://{tmp_path / 'e.sock'}"
    source = DockerInput(
        functools.partial(connect, address, TIMEOUT),
        TIMEOUT,
        tuple,
        dict,
        lambda: 1.0,
        monotonic=lambda: time.monotonic() + skipped[0],
    )

    def verdicts() -> dict[str, float]:
        samples = source.gather()
        shown = [sample for sample in samples if sample.metric in (PROBE_SUCCESS, HANG_PATTERN)]
        return {(*sample.labels, "pattern")[0]: sample.value for sample in shown}

    with engine(tmp_path / "e.sock") as server:
        well = {"ping": 1, "containers": 1, "info": 1, "volumes": 1, "networks": 1, "images": 1, "pattern": 0}
        wait_until(lambda: verdicts() == well, deadline=20, what="all answer")
        server.hanging = ("/containers/json", "/info")
        skipped[0] += 100
        hung = {**well, "containers": 0, "info": 0, "pattern": 1}
        wait_until(lambda: verdicts() == hung, deadline=20, what="the pattern")
        server.hanging = ()
        server.ended.set()
        skipped[0] += 100
        wait_until(lambda: verdicts() == well, deadline=20, what="all answer again")
    skipped[0] += 100
    stopped = dict.fromkeys(well, 0)
    wait_until(lambda: verdicts() == stopped, deadline=20, what="a daemon that is gone is no pattern")
