"""Agents over HTTP: each is asked by a thread of its own, so that one that hangs costs its own row.

Every question ends: by an answer, by a timeout of the socket, or, where a server sends just often enough to look alive,
because its connection is shut. What can't be ended is a name server that doesn't answer: that agent is then reported
overdue and not asked again before its thread has come back.
"""

from __future__ import annotations

import contextlib
import http.client
import queue
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from collector.clock import Clock
from collector.errors import ConfigError
from collector.urls import split_url
from vdbmon.top.access import Access
from vdbmon.top.exposition import parse_exposition
from vdbmon.top.measure import SELECTION, Reading

LARGEST_ANSWER = 64 * 1024 * 1024  # bytes, unpacked; hundreds of containers take 10
_CHUNK = 256 * 1024
_GZIP = 16 + zlib.MAX_WBITS
_HEADERS = {"Accept": "text/plain;version=0.0.4", "Accept-Encoding": "gzip", "User-Agent": "vdbmon-top"}


@dataclass(frozen=True, slots=True)
class Agent:
    """Where an agent answers.

    Attributes:
        url: of its metrics, path included.
        name: of its host in the configuration; empty where only the URL is known.
        access: what it asks for before it answers.
    """

    url: str
    name: str = ""
    access: Access = field(default_factory=Access, repr=False)

    @property
    def address(self) -> str:
        """Host and port."""
        return urlsplit(self.url).netloc


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question: a reading or a problem in a few words."""

    url: str
    reading: Reading | None
    problem: str = ""


def agent_at(text: str, name: str = "") -> Agent:
    """The agent at `http://host:port`, with or without a path, or at `host:port`.

    Raises:
        ConfigError: no such address.
    """
    try:
        parts = split_url(text if "://" in text else f"http://{text}")
    except ValueError as error:
        raise ConfigError(
            "top.agent", f"{text!r} is no address of an agent", "write for example http://10.0.0.11:9273"
        ) from error
    path = parts.path if parts.path.strip("/") else "/metrics"
    return Agent(f"{parts.scheme}://{parts.netloc}{path}", name)


class Questions:
    """Asks agents, a thread each; an agent whose last question is still open isn't asked again.

    Args:
        deadline: seconds for an answer, all in all.
        ready: called in a thread of the question when an answer lies in `answers`.
    """

    def __init__(self, deadline: float, ready: Callable[[], None], monotonic: Clock = time.monotonic) -> None:
        self._deadline = deadline
        self._ready = ready
        self._monotonic = monotonic
        self._open: dict[str, _Question] = {}
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()

    def ask(self, agents: Iterable[Agent]) -> None:
        """Ask all of them at the same time."""
        for agent in agents:
            if agent.url not in self._open:
                question = self._open[agent.url] = _Question(agent, self._monotonic(), self._deadline)
                threading.Thread(target=self._run, args=(question,), name=f"ask {agent.url}", daemon=True).start()

    def answers(self) -> Iterator[Answer]:
        """What has come since the last time, and what is overdue."""
        with contextlib.suppress(queue.Empty):
            while True:
                answer = self._answers.get_nowait()
                question = self._open.pop(answer.url)
                if not question.given_up:
                    yield answer
        for question in self._open.values():
            if not question.given_up and self._monotonic() - question.began > self._deadline:
                question.give_up()
                yield Answer(question.agent.url, None, question.too_late)

    @property
    def pending(self) -> bool:
        """Whether an answer may still come in time."""
        return any(not question.given_up for question in self._open.values())

    def _run(self, question: _Question) -> None:
        answer = question.answer(self._monotonic)
        self._answers.put(answer)
        self._ready()


class _Question:
    """One GET under a deadline."""

    def __init__(self, agent: Agent, began: float, deadline: float) -> None:
        self.agent = agent
        self.began = began
        self.given_up = False
        self._deadline = deadline
        self._socket: socket.socket | None = None

    @property
    def too_late(self) -> str:
        return f"no answer within {self._deadline:g} s"

    def give_up(self) -> None:
        """Make the thread come back, if the connection is made already."""
        self.given_up = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def answer(self, monotonic: Clock) -> Answer:
        """Ask and read."""
        try:
            text = self._get()
            return Answer(self.agent.url, Reading(parse_exposition(text, SELECTION), monotonic()))
        except TimeoutError:
            return Answer(self.agent.url, None, self.too_late)
        except _RefusedError as refused:
            return Answer(self.agent.url, None, str(refused))
        except (OSError, http.client.HTTPException, zlib.error, UnicodeError) as error:
            return Answer(self.agent.url, None, _words(error))

    def _get(self) -> str:
        parts = urlsplit(self.agent.url)
        access = self.agent.access
        login = {} if access.authorization is None else {"Authorization": access.authorization}
        with contextlib.closing(_connection(self.agent, self._deadline)) as connection:
            connection.connect()
            self._socket = connection.sock
            connection.request("GET", parts.path, headers=_HEADERS | login)
            response = connection.getresponse()
            if response.status != http.client.OK:
                raise _RefusedError(f"answered {response.status} {response.reason}")
            packed = response.getheader("Content-Encoding") == "gzip"
            return b"".join(_unpacked(response, packed=packed)).decode()


class _RefusedError(Exception):
    """An answer without metrics; the text says which."""


def _connection(agent: Agent, timeout: float) -> http.client.HTTPConnection:
    parts = urlsplit(agent.url)
    if parts.scheme == "https":
        return http.client.HTTPSConnection(parts.netloc, timeout=timeout, context=agent.access.context)
    return http.client.HTTPConnection(parts.netloc, timeout=timeout)


def _unpacked(response: http.client.HTTPResponse, *, packed: bool) -> Iterator[bytes]:
    unpack = zlib.decompressobj(_GZIP) if packed else None
    size = 0
    while chunk := response.read1(_CHUNK):
        data = unpack.decompress(chunk, LARGEST_ANSWER) if unpack else chunk
        size += len(data)
        if size > LARGEST_ANSWER or (unpack and unpack.unconsumed_tail):
            raise _RefusedError(f"answered more than {LARGEST_ANSWER >> 20} MiB")
        yield data


def _words(error: Exception) -> str:
    """`Connection refused` instead of `[Errno 111] Connection refused`."""
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (words or type(error).__name__).lower()
