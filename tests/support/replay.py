"""A server on Unix sockets that answers whatever it is asked with what a file holds at that moment."""

from __future__ import annotations

import contextlib
import json
import re
import selectors
import socket
import threading
from collections.abc import Mapping
from pathlib import Path

_ID = re.compile(rb'"id":0\b')
_LARGEST_REQUEST = 1 << 16


class Replay:
    """Serves each socket from its file until it is closed.

    An answer of JSON-RPC is recorded with the id 0 and gets that of the request. Any other file is what the server says
    of itself as soon as somebody connects, as OpenFlow does with its greeting. The connection is half closed then, so
    that whoever waits for the rest of a torn answer learns that there is none.
    """

    def __init__(self, answers: Mapping[Path, Path]) -> None:
        self._selector = selectors.DefaultSelector()
        for path, answer in answers.items():
            path.unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(str(path))
            listener.listen()
            self._selector.register(listener, selectors.EVENT_READ, answer)
        self._wake, self._end = socket.socketpair()
        self._selector.register(self._end, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name="replay", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the server and all its connections."""
        self._wake.close()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._end:
                    return
                assert isinstance(key.fileobj, socket.socket)
                with contextlib.suppress(OSError):
                    self._accept(key.fileobj, key.data) if key.data else self._answer(key.fileobj, None)

    def _accept(self, listener: socket.socket, answer: Path) -> None:
        connection, _ = listener.accept()
        content = answer.read_bytes() if answer.is_file() else b""
        if answer.suffix == ".json":
            content = _ID.sub(b'"id":%d' % json.loads(connection.recv(_LARGEST_REQUEST))["id"], content, count=1)
        self._selector.register(connection, selectors.EVENT_READ)
        self._answer(connection, content)

    def _answer(self, connection: socket.socket, content: bytes | None) -> None:
        """Send an answer; without one, see whether the other side has closed."""
        if content is not None:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
        elif not connection.recv(_LARGEST_REQUEST):
            self._selector.unregister(connection)
            connection.close()
