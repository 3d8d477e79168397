"""A far end that answers as a test tells it: no real server answers 429, or nothing, at a given moment."""

from __future__ import annotations

import contextlib
import gzip
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATIENCE = 30.0


@dataclass(frozen=True)
class Answer:
    """A status with headers; `silent` sends none at all until the test ends."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    silent: bool = False


class FarEnd:
    """Answers with `answers`, one after the other, then with 204; keeps the lines that it accepted.

    Lines that contain `poison` are refused with 400, those of bodies larger than `largest` with 413.
    """

    def __init__(self, *answers: Answer, poison: bytes | None = None, largest: int = 2**30) -> None:
        self._answers = iter(answers)
        self._poison = poison
        self._largest = largest
        self._lock = threading.Lock()
        self.ended = threading.Event()
        self.requests: list[int] = []
        self.lines: list[bytes] = []

    def come_back(self) -> None:
        """Accept from now on."""
        with self._lock:
            self._answers = iter(())

    def answer(self, lines: list[bytes]) -> Answer:
        """What is said to these lines."""
        with self._lock:
            answer = next(self._answers, Answer())
            accepts = 200 <= answer.status < 300 and not answer.silent
            if accepts and self._poison is not None and any(self._poison in line for line in lines):
                answer = Answer(400)
            elif accepts and sum(map(len, lines)) > self._largest:
                answer = Answer(413)
            elif accepts:
                self.lines += lines
            self.requests.append(0 if answer.silent else answer.status)
            return answer


@contextlib.contextmanager
def serve(far_end: FarEnd) -> Iterator[str]:
    """The URL where it answers."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
            answer = far_end.answer(body.splitlines())
            if answer.silent:
                far_end.ended.wait(PATIENCE)
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        far_end.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
