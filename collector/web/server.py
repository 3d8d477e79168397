"""Pages over HTTP or HTTPS for Prometheus and other programs to read.

Python's own server is enough: one short GET every few seconds. What it lacks is added here: bounds on what slow or many
clients can hold, and one-line errors. Every connection carries one request (HTTP/1.0), so none is held open between
scrapes. TLS handshakes are made in the thread of their connection: one that hangs holds up no other.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from collector.errors import ConfigError, VdbmonError
from collector.quantities import Seconds
from collector.web.basic_auth import BasicAuth, Verdict
from collector.web.negotiation import accepts_gzip
from collector.web.web_config import WebConfig

logger = logging.getLogger(__name__)

GZIP_LEVEL = 1  # measured: 5,000 samples, 0.6 MB, shrink to 6 % in 1 ms; level 9 reaches 4 % in 12 ms
PLAIN = "text/plain; charset=utf-8"
_NO_TLS = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\n\r\nthis port speaks TLS: use https\n"


@dataclass(frozen=True, slots=True)
class Request:
    """A GET: the query as it stands in the address, and the `Accept` header."""

    query: str
    accept: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A page."""

    body: bytes
    content_type: str = PLAIN
    status: HTTPStatus = HTTPStatus.OK


Page = Callable[[Request], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What clients may hold.

    Attributes:
        silence: longest wait for the next bytes of a request, and for an answer to be taken.
        connection: how long a connection may last; above any sensible `scrape_timeout`.
        connections: open at once; a further one is closed unanswered.
        scrapes: of one page rendered at once; a further one is answered 503.
    """

    silence: Seconds = 10.0
    connection: Seconds = 30.0
    connections: int = 32
    scrapes: int = 4


DEFAULT_LIMITS = Limits()


class WebServer:
    """Serves pages on an address; `start` returns at once, `close` frees the port.

    Args:
        listen: `host:port`, `[v6]:port` or `:port`; port 0 takes a free one.
        pages: by their path; called in the threads of the server, a few at a time each.
        section: of the configuration that has `listen`; errors name it.
        limits: what clients may hold.
        web_config: TLS and users; None for plain HTTP to everybody.

    Raises:
        ConfigError: `listen` is no address of this host.
        VdbmonError: code `<section>.port_held`, something else listens there.
    """

    def __init__(
        self,
        listen: str,
        pages: Mapping[str, Page],
        *,
        section: str,
        limits: Limits = DEFAULT_LIMITS,
        web_config: WebConfig | None = None,
    ) -> None:
        host, port = parse_listen(listen, section)
        try:
            self._server = _Server(host, port, pages, limits, web_config)
        except (OSError, UnicodeError) as error:
            raise _bind_error(f"{host}:{port}", section, error) from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_address[1])

    def protect(self, web_config: WebConfig | None) -> None:
        """Ask for what this file says from the next connection on."""
        self._server.web_config = web_config

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def close(self) -> None:
        """Stop answering and free the port; answers under way are not waited for."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


def parse_listen(listen: str, section: str) -> tuple[str, int]:
    """Host and port of `host:port`, `[v6]:port` or `:port` (all addresses).

    Raises:
        ConfigError: not of that form; names `section`.
    """
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 0xFFFF:  # noqa: PLR2004 - the highest port
        raise ConfigError("config.listen", f"[{section}] listen = {listen!r} is no address", "write host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # a page that hangs in the kernel must not keep the process from ending

    def __init__(
        self, host: str, port: int, pages: Mapping[str, Page], limits: Limits, web_config: WebConfig | None
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.pages = pages
        self.limits = limits
        self.auth = BasicAuth()
        self.web_config = web_config
        self.slots = {path: threading.BoundedSemaphore(limits.scrapes) for path in pages}
        self._since: dict[socket.socket, float] = {}
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Bind without HTTPServer's reverse lookup of the address, which can hang on a slow name server."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def get_request(self) -> tuple[socket.socket, Any]:
        """The next connection; it speaks TLS from the first byte on, but no byte is waited for here."""
        connection, address = super().get_request()
        web_config = self.web_config
        tls = web_config.refresh().tls if web_config else None
        if tls is not None:
            connection = tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Take a connection, unless as many as are allowed are open."""
        if len(self._since) >= self.limits.connections:
            logger.debug("connection of %s refused: %d are open", client_address, len(self._since))
            return False
        self._since[request] = time.monotonic()
        return True

    def shutdown_request(self, request: Any) -> None:
        self._since.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """End connections that last too long: a client may send a byte just often enough to look alive."""
        oldest = time.monotonic() - self.limits.connection
        for connection, since in list(self._since.items()):
            if since < oldest:
                with contextlib.suppress(OSError):
                    # Past TLS, whose state belongs to the thread of the connection.
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the signature is socketserver's
        """A client that went away or fell silent is no fault of ours."""
        logger.debug("connection of %s broken", client_address)


def _bind_error(address: str, section: str, error: OSError | UnicodeError) -> VdbmonError:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return VdbmonError(
            f"{section}.port_held",
            f"{address} is held by another program",
            f"stop that one, or set another port as [{section}] listen",
        )
    reason = error.strerror if isinstance(error, OSError) else error
    return ConfigError(
        "config.listen",
        f"[{section}] listen: {address} can't be listened on: {reason}",
        "use an address of this host, for example 127.0.0.1",
    )


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "vdbmon"
    sys_version = ""

    def setup(self) -> None:
        self.request.settimeout(self.server.limits.silence)
        if isinstance(self.request, ssl.SSLSocket):
            try:
                self.request.do_handshake()
            except ssl.SSLError as error:
                if error.reason == "HTTP_REQUEST":
                    socket.socket.sendall(self.request, _NO_TLS)
                raise
        super().setup()

    def do_GET(self) -> None:
        verdict = self._judge()
        path, _, query = self.path.partition("?")
        if verdict is Verdict.BUSY:
            self._say(HTTPStatus.TOO_MANY_REQUESTS, "too many wrong passwords at once: try again")
        elif verdict is Verdict.DENIED:
            self._say(HTTPStatus.UNAUTHORIZED, "user and password are needed, or wrong")
        elif path in self.server.pages:
            self._page(path, query)
        else:
            self._say(HTTPStatus.NOT_FOUND, f"no such page: there are {', '.join(self.server.pages)}")

    def _judge(self) -> Verdict:
        web_config = self.server.web_config
        users = web_config.protection.users if web_config else {}
        if not users:
            return Verdict.ALLOWED
        return self.server.auth.judge(users, self.headers.get("Authorization", ""), self.client_address[0])

    def _page(self, path: str, query: str) -> None:
        slots = self.server.slots[path]
        if not slots.acquire(blocking=False):
            self._say(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests for this page at once")
            return
        try:
            answer = self.server.pages[path](Request(query, self.headers.get("Accept", "")))
        except Exception as error:
            logger.error("%s failed: %r", path, error, exc_info=logger.isEnabledFor(logging.DEBUG))  # noqa: TRY400
            self._say(HTTPStatus.INTERNAL_SERVER_ERROR, f"{path} failed: the log says why")
            return
        finally:
            slots.release()
        self._answer(answer)

    def _say(self, status: HTTPStatus, text: str) -> None:
        self._answer(Answer(f"{text}\n".encode(), status=status))

    def _answer(self, answer: Answer) -> None:
        body = answer.body
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        if answer.status is HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", 'Basic realm="vdbmon"')
        elif answer.status is HTTPStatus.TOO_MANY_REQUESTS:
            self.send_header("Retry-After", "1")
        if accepts_gzip(self.headers.get("Accept-Encoding", "")):
            body = gzip.compress(body, GZIP_LEVEL, mtime=0)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the signature is http.server's
        logger.debug("%s %s", self.address_string(), format % args)
