"""`/metrics` over HTTP or HTTPS, for Prometheus to scrape.

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
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from collector.errors import ConfigError, VdbmonError
from collector.outputs.basic_auth import BasicAuth, Verdict
from collector.outputs.negotiation import accepts_gzip, choose_format
from collector.outputs.web_config import WebConfig
from collector.projections.prometheus import TextFormat
from collector.quantities import Seconds

logger = logging.getLogger(__name__)

GZIP_LEVEL = 1  # measured: 5,000 samples, 0.6 MB, shrink to 6 % in 1 ms; level 9 reaches 4 % in 12 ms
_PLAIN = "text/plain; charset=utf-8"
_NO_TLS = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\n\r\nthis port speaks TLS: use https\n"

Scrape = Callable[[TextFormat], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What clients may hold.

    Attributes:
        silence: longest wait for the next bytes of a request, and for an answer to be taken.
        connection: how long a connection may last; above any sensible `scrape_timeout`.
        connections: open at once; a further one is closed unanswered.
        scrapes: rendered at once; a further one is answered 503.
    """

    silence: Seconds = 10.0
    connection: Seconds = 30.0
    connections: int = 32
    scrapes: int = 4


class PrometheusServer:
    """Serves `scrape()` on an address; `start` returns at once, `close` frees the port.

    Args:
        listen: `host:port`, `[v6]:port` or `:port`; port 0 takes a free one.
        scrape: renders the exposition; called in the threads of the server, a few at a time.
        limits: what clients may hold.
        web_config: TLS and users; None for plain HTTP to everybody.

    Raises:
        ConfigError: `listen` is no address of this host.
        VdbmonError: code `agent.port_held`, something else listens there.
    """

    def __init__(
        self, listen: str, scrape: Scrape, limits: Limits = Limits(), web_config: WebConfig | None = None
    ) -> None:
        self._server = _Server(*parse_listen(listen), scrape, limits, web_config)
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics-http", daemon=True)

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
        """Stop answering and free the port; scrapes under way are not waited for."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


def parse_listen(listen: str) -> tuple[str, int]:
    """Host and port of `host:port`, `[v6]:port` or `:port` (all addresses).

    Raises:
        ConfigError: not of that form.
    """
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 0xFFFF:  # noqa: PLR2004 - the highest port
        raise ConfigError("config.listen", f"[agent] listen = {listen!r} is no address", "write host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # a scrape that hangs in the kernel must not keep the agent from ending

    def __init__(self, host: str, port: int, scrape: Scrape, limits: Limits, web_config: WebConfig | None) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.scrape = scrape
        self.limits = limits
        self.auth = BasicAuth()
        self.web_config = web_config
        self.scrapes = threading.BoundedSemaphore(limits.scrapes)
        self._since: dict[socket.socket, float] = {}
        try:
            super().__init__((host, port), _Handler)
        except (OSError, UnicodeError) as error:
            raise _bind_error(f"{host}:{port}", error) from error

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


def _bind_error(address: str, error: OSError | UnicodeError) -> VdbmonError:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return VdbmonError(
            "agent.port_held",
            f"{address} is held by another program",
            "stop that one, or set another port as [agent] listen",
        )
    reason = error.strerror if isinstance(error, OSError) else error
    return ConfigError(
        "config.listen",
        f"[agent] listen: {address} can't be listened on: {reason}",
        "use an address of this host, for example 127.0.0.1:9273",
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
        path = self.path.partition("?")[0]
        if verdict is Verdict.BUSY:
            self._answer(HTTPStatus.TOO_MANY_REQUESTS, b"too many wrong passwords at once: try again\n")
        elif verdict is Verdict.DENIED:
            self._answer(HTTPStatus.UNAUTHORIZED, b"user and password are needed, or wrong\n")
        elif path == "/metrics":
            self._metrics()
        elif path == "/":
            self._answer(HTTPStatus.OK, b"vdbmon agent: metrics are at /metrics\n")
        elif path == "/-/healthy":
            self._answer(HTTPStatus.OK, b"healthy\n")
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"no such page: metrics are at /metrics\n")

    def _judge(self) -> Verdict:
        web_config = self.server.web_config
        users = web_config.protection.users if web_config else {}
        if not users:
            return Verdict.ALLOWED
        return self.server.auth.judge(users, self.headers.get("Authorization", ""), self.client_address[0])

    def _metrics(self) -> None:
        if not self.server.scrapes.acquire(blocking=False):
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, b"too many scrapes at once\n")
            return
        text_format = choose_format(self.headers.get("Accept", ""))
        try:
            body = self.server.scrape(text_format)
        except Exception as error:
            logger.error("scrape failed: %r", error, exc_info=logger.isEnabledFor(logging.DEBUG))  # noqa: TRY400
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, b"scrape failed: the agent's log says why\n")
            return
        finally:
            self.server.scrapes.release()
        self._answer(HTTPStatus.OK, body, text_format)

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str = _PLAIN) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        if status is HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", 'Basic realm="vdbmon"')
        elif status is HTTPStatus.TOO_MANY_REQUESTS:
            self.send_header("Retry-After", "1")
        if accepts_gzip(self.headers.get("Accept-Encoding", "")):
            body = gzip.compress(body, GZIP_LEVEL, mtime=0)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the signature is http.server's
        logger.debug("%s %s", self.address_string(), format % args)
