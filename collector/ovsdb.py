"""Connections to Open vSwitch's daemons, and the notation of its database.

The database (RFC 7047, The Open vSwitch Database Management Protocol) and the control sockets of the daemons (unixctl)
speak the same JSON-RPC 1.0 over a Unix socket. Messages, sockets and the state machine of the back-off are those of the
PyPI library `ovs`; the reading is ours, for three reasons that were measured or met:

- Its JSON parser is Python and takes a character at a time where no C extension was built (the PyPI package has none):
  20 ms of CPU for a reply with 50 interfaces, 0.4 ms with the standard library's. Its IDL reads through that parser
  too: every 5 s all statistics, whether anybody asks or not.
- Its blocking calls have no deadline.
- Its poller is select(2), which fails on a descriptor above 1023; an agent with 100 containers has as many.
"""

from __future__ import annotations

import errno
import json
import os
import select
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ovs.jsonrpc import Message
from ovs.reconnect import CONNECT, Reconnect
from ovs.stream import Stream

from collector.clock import Clock
from collector.errors import VdbmonError

DATABASE = "Open_vSwitch"
VSWITCHD = "ovs-vswitchd"

_CHUNK = 256 * 1024
_LARGEST = 64 * 1024 * 1024
_MILLISECONDS = 1000
_BACKOFF = (1 * _MILLISECONDS, 15 * _MILLISECONDS)

_decode = json.JSONDecoder().raw_decode


class JsonRpc:
    """A connection that is kept, and made anew with back-off when it was lost. Not for several threads at once.

    Args:
        find: path of the socket, asked at each connecting; its OSError means that nobody is there.
        timeout: seconds that one call may take.
    """

    def __init__(self, find: Callable[[], Path], timeout: float, clock: Clock = time.monotonic) -> None:
        self._find = find
        self._timeout = timeout
        self._clock = clock
        self._stream: Any = None
        self._input = b""
        self._why = ""
        self._reconnect = self._fresh_state()

    def call(self, method: str, *params: Any) -> Any:
        """The result of one call.

        Raises:
            VdbmonError: `ovs.not_connected`, nobody is there, or the last attempt was just made; `ovs.lost`, no whole
                answer in time; `ovs.refused`, the answer is an error. After the first two the connection is closed.
        """
        deadline = self._clock() + self._timeout
        stream = self._connected()
        request = Message.create_request(method, list(params))
        try:
            self._send(stream, request, deadline)
            reply = self._receive(stream, request.id, deadline)
        except (OSError, ValueError, RecursionError) as error:
            self._lose(error)
            raise VdbmonError("ovs.lost", f"{stream.name}: {method}: {error}", "see that daemon's log") from error
        if reply.error is not None:
            raise VdbmonError("ovs.refused", f"{stream.name}: {method}: {reply.error}", "see that daemon's log")
        return reply.result

    def close(self) -> None:
        """Close the connection; the next call makes a new one, at once."""
        self._drop()
        self._reconnect = self._fresh_state()

    def _fresh_state(self) -> Any:
        state = Reconnect(self._now())
        state.set_backoff(*_BACKOFF)
        state.set_probe_interval(0)
        state.enable(self._now())
        return state

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _connected(self) -> Any:
        if self._stream is not None:
            return self._stream
        if self._reconnect.run(self._now()) != CONNECT:
            raise VdbmonError("ovs.not_connected", self._why, "it is tried again within seconds")
        self._reconnect.connecting(self._now())
        try:
            self._stream, self._input = _open(self._find()), b""
        except OSError as error:
            self._why = str(error)
            self._reconnect.connect_failed(self._now(), error.errno or 0)
            raise VdbmonError("ovs.not_connected", self._why, "see whether Open vSwitch runs") from error
        self._reconnect.connected(self._now())
        return self._stream

    def _lose(self, error: Exception) -> None:
        self._drop()
        self._why = str(error)
        self._reconnect.disconnected(self._now(), 0)

    def _send(self, stream: Any, message: Any, deadline: float) -> None:
        data = json.dumps(message.to_json()).encode()
        while data:
            sent = stream.send(data)
            if sent >= 0:
                data = data[sent:]
            elif sent == -errno.EAGAIN:
                self._wait(stream, select.POLLOUT, deadline)
            else:
                raise OSError(-sent, os.strerror(-sent))

    def _receive(self, stream: Any, request_id: int, deadline: float) -> Any:
        """The answer to one request. The server's own echo requests, its probes, are answered meanwhile."""
        while True:
            for message in self._messages():
                if message.type == Message.T_REQUEST and message.method == "echo":
                    self._send(stream, Message.create_reply(message.params, message.id), deadline)
                elif message.type in (Message.T_REPLY, Message.T_ERROR) and message.id == request_id:
                    self._reconnect.activity(self._now())
                    return message
            self._wait(stream, select.POLLIN, deadline)
            error, data = stream.recv(_CHUNK)
            if error and error != errno.EAGAIN:
                raise OSError(error, os.strerror(error))
            if not error and not data:
                raise ConnectionResetError(errno.ECONNRESET, "closed by the other side")
            if not error:
                self._input += data
            if len(self._input) > _LARGEST:
                raise ValueError(f"an answer of more than {_LARGEST} bytes")

    def _messages(self) -> Iterator[Any]:
        """The whole messages that have come. Only a closing brace can end one: nothing else stands between them."""
        while self._input.endswith(b"}"):
            text = self._input.decode()
            try:
                document, end = _decode(text)
            except json.JSONDecodeError:
                return
            self._input = text[end:].lstrip().encode()
            message = Message.from_json(document)
            if not isinstance(message, Message):
                raise ValueError(str(message))  # noqa: TRY004 - the other side's mistake
            yield message

    def _wait(self, stream: Any, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(stream.socket, event)
        if not poll.poll(max(deadline - self._clock(), 0.0) * _MILLISECONDS):
            raise TimeoutError(errno.ETIMEDOUT, f"no answer within {self._timeout} s")

    def _now(self) -> int:
        return int(self._clock() * _MILLISECONDS)


def _open(path: Path) -> Any:
    error, stream = Stream.open(f"unix:{path}")
    if error:
        raise OSError(error, os.strerror(error), str(path))
    return stream


def control_socket(run_dir: Path) -> Path:
    """The control socket of ovs-vswitchd, which is named after its process id.

    Raises:
        OSError: there is no pid file: it doesn't run.
    """
    pid = (run_dir / f"{VSWITCHD}.pid").read_text(encoding="ascii", errors="replace").strip()
    return run_dir / f"{VSWITCHD}.{pid}.ctl"


Row = dict[str, Any]


def select_rows(database: JsonRpc, tables: dict[str, tuple[str, ...]]) -> dict[str, list[Row]]:
    """These columns of all rows of these tables, in one transaction (RFC 7047, 5.2.2).

    Raises:
        VdbmonError: as `JsonRpc.call`; `ovs.reply`, the answer has another shape.
    """
    operations = [
        {"op": "select", "table": table, "where": [], "columns": list(columns)} for table, columns in tables.items()
    ]
    results = database.call("transact", DATABASE, *operations)
    try:
        return {table: list(result["rows"]) for table, result in zip(tables, results, strict=True)}
    except (TypeError, KeyError, ValueError) as error:
        answer = json.dumps(results)[:200]
        raise VdbmonError("ovs.reply", f"{DATABASE}: {answer}", "is that database Open vSwitch's?") from error


def atoms(value: Any) -> list[Any]:
    """The elements of a set (RFC 7047, 5.1): a set of one is written as that one, a UUID as a pair.

    Raises:
        ValueError: it is a map.
    """
    if not isinstance(value, list):
        return [value]
    match value:
        case ["set", [*elements]]:
            return [_atom(element) for element in elements]
        case ["uuid", str() as uuid]:
            return [uuid]
    raise ValueError(f"no set: {value!r}")


def optional(value: Any) -> Any:
    """The element of a set of at most one; None where it is empty.

    Raises:
        ValueError: there are several.
    """
    if not isinstance(value, list):
        return value
    elements = atoms(value)
    if len(elements) > 1:
        raise ValueError(f"{len(elements)} elements instead of one")
    return elements[0] if elements else None


def pairs(value: Any) -> dict[Any, Any]:
    """A map (RFC 7047, 5.1).

    Raises:
        ValueError: it is none.
    """
    match value:
        case ["map", [*found]]:
            elements = {}
            for pair in found:
                if type(pair) is not list or len(pair) != 2:  # noqa: PLR2004 - key and value
                    raise ValueError(f"no pair: {pair!r}")
                key, element = pair  # strings and integers nearly always: a statistic of an interface each
                elements[key if type(key) is str else _atom(key)] = element if type(element) is int else _atom(element)
            return elements
    raise ValueError(f"no map: {value!r}")


def _atom(value: Any) -> Any:
    match value:
        case ["uuid", str() as uuid]:
            return uuid
        case str() | int() | float():
            return value
    raise ValueError(f"no atom: {value!r}")
