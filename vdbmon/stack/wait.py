"""Waiting for a condition, with a deadline; and the one HTTP question whose answer is a condition."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Callable
from typing import TypeVar

from collector.clock import Clock

Found = TypeVar("Found")

POLL_SECONDS = 0.2
OK = 200


def wait_for(
    condition: Callable[[], Found | None],
    seconds: float,
    *,
    poll: float = POLL_SECONDS,
    clock: Clock = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Found | None:
    """The condition's first true value, or None when `seconds` are over; it is asked at least once."""
    deadline = clock() + seconds
    while True:
        value = condition()
        if value:
            return value
        if clock() >= deadline:
            return None
        sleep(poll)


def http_status(
    host: str, port: int, path: str, *, method: str = "GET", timeout: float = 2.0, tls: ssl.SSLContext | None = None
) -> tuple[int, str]:
    """Status and body of an answer, over TLS if there is a context; no proxy is ever asked.

    Raises:
        OSError: no server, or no answer in time.
    """
    connection = (
        http.client.HTTPConnection(host, port, timeout=timeout)
        if tls is None
        else http.client.HTTPSConnection(host, port, timeout=timeout, context=tls)
    )
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except http.client.HTTPException as error:
        raise OSError(f"{host}:{port} doesn't speak HTTP: {error!r}") from error
    finally:
        connection.close()


def answers_ok(host: str, port: int, path: str) -> bool:
    """Whether a server answers 200."""
    try:
        return http_status(host, port, path)[0] == OK
    except OSError:
        return False
