"""The server behind TLS and passwords, by sockets."""

import base64
import http.client
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collector.outputs.prometheus import PrometheusServer
from collector.web.server import Limits
from collector.web.web_config import WebConfig
from tests.support.web_site import TLS, USERS, write_certificate, write_web_config

TEXT = b"node_load1 0.5\n"
MUTUAL = (
    "tls_server_config: {cert_file: cert.pem, key_file: key.pem, min_version: TLS13,"
    " client_ca_file: ca.pem, client_auth_type: RequireAndVerifyClientCert}\n"
)
QUICK = Limits(silence=0.2, connection=5.0)
Serve = Callable[..., PrometheusServer]


class Site:
    """A folder with the certificates of a site."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = write_certificate(folder)

    def issue(self, name: str) -> None:
        write_certificate(self.folder, name, self.authority)

    def config(self, text: str) -> WebConfig:
        return WebConfig(write_web_config(self.folder, text))

    def client(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def serve(site: Site) -> Iterator[Serve]:
    started: list[PrometheusServer] = []

    def start(text: str, limits: Limits = QUICK) -> PrometheusServer:
        server = PrometheusServer("127.0.0.1:0", lambda _: TEXT, limits, site.config(text))
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.close()


def get(
    server: PrometheusServer, context: ssl.SSLContext | None, password: str | None = None, path: str = "/metrics"
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("localhost", server.port, timeout=10)
    if context is not None:
        connection = http.client.HTTPSConnection("localhost", server.port, timeout=10, context=context)
    headers = {}
    if password is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(f"prometheus:{password}".encode()).decode()
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()
    finally:
        connection.close()


def test_metrics_over_tls_with_a_password(serve: Serve, site: Site) -> None:
    server = serve(TLS + USERS)
    assert get(server, site.client(), "secret")[::2] == (200, TEXT)


@pytest.mark.parametrize("path", ["/metrics", "/", "/-/healthy", "/nothing"])
@pytest.mark.parametrize("password", [None, "wrong"])
def test_no_page_without_the_password(serve: Serve, password: str | None, path: str) -> None:
    status, headers, body = get(serve(USERS), None, password, path)
    assert status == 401
    assert headers["WWW-Authenticate"] == 'Basic realm="vdbmon"'
    assert TEXT not in body


def test_another_file_counts_from_the_next_connection_on(serve: Serve, site: Site) -> None:
    server = serve(TLS)
    assert get(server, site.client())[0] == 200
    server.protect(site.config(USERS))
    assert [get(server, None, password)[0] for password in (None, "secret")] == [401, 200]
    server.protect(None)
    assert get(server, None)[0] == 200


def test_who_guesses_on_is_told_to_wait(serve: Serve) -> None:
    server = serve(USERS)
    answers = [get(server, None, f"guess {number}") for number in range(5)]
    assert [status for status, _, _ in answers][:2] == [401, 429]
    assert answers[1][1]["Retry-After"] == "1"


def test_plain_http_on_the_tls_port_is_told_so(serve: Serve, site: Site) -> None:
    server = serve(TLS)
    status, _, body = get(server, None)
    assert (status, body) == (400, b"this port speaks TLS: use https\n")
    assert get(server, site.client())[0] == 200


def test_clients_that_say_nothing_hold_up_nobody_and_are_dropped(serve: Serve, site: Site) -> None:
    server = serve(TLS, Limits(silence=2.0, connection=5.0))
    silent = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(10)]
    try:
        assert get(server, site.client())[0] == 200  # while ten handshakes hang
        assert all(connection.recv(1) == b"" for connection in silent)
    finally:
        for connection in silent:
            connection.close()


def test_a_handshake_that_dribbles_ends_with_the_connection_limit(serve: Serve, site: Site) -> None:
    server = serve(TLS, Limits(silence=30.0, connection=0.2))
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(b"\x16\x03\x01")  # the first bytes of a handshake, and no more
        assert client.recv(1) == b""
    assert get(server, site.client())[0] == 200


def test_a_renewed_certificate_is_shown_without_a_restart(serve: Serve, site: Site) -> None:
    server = serve(TLS)
    assert get(server, site.client())[0] == 200
    site.issue("elsewhere")
    with pytest.raises(ssl.SSLCertVerificationError):
        get(server, site.client())
    site.issue("localhost")
    assert get(server, site.client())[0] == 200


def test_a_client_without_certificate_stays_out_where_one_is_demanded(serve: Serve, site: Site) -> None:
    server = serve(MUTUAL)
    with pytest.raises(OSError):  # noqa: PT011 - an alert or a closed connection: the order is the kernel's
        get(server, site.client())
    context = site.client()
    site.authority.issue_cert("prometheus").configure_cert(context)
    assert get(server, context)[0] == 200


def test_tls_older_than_demanded_is_refused(serve: Serve, site: Site) -> None:
    server = serve(MUTUAL)
    context = site.client()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(OSError):  # noqa: PT011 - as above
        get(server, context)
