import gzip
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from collector.errors import ConfigError, VdbmonError
from collector.outputs.prometheus import PrometheusServer
from collector.projections.prometheus import TextFormat
from collector.web.pages import Scrape
from collector.web.server import Limits, parse_listen

DEFAULT_LIMITS = Limits()
TEXT = b"node_load1 0.5\n"
Serve = Callable[..., PrometheusServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    started: list[PrometheusServer] = []

    def start(scrape: Scrape = lambda _: TEXT, limits: Limits = DEFAULT_LIMITS) -> PrometheusServer:
        server = PrometheusServer("127.0.0.1:0", scrape, limits)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.close()


def get(server: PrometheusServer, path: str = "/metrics", **headers: str) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def test_metrics_are_served_with_the_content_type_of_the_format(serve: Serve) -> None:
    status, headers, body = get(serve())
    assert (status, body) == (200, TEXT)
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_openmetrics_is_sent_to_who_asks_for_it(serve: Serve) -> None:
    server = serve(lambda text_format: text_format.encode())
    _, headers, body = get(server, Accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert headers["Content-Type"] == body.decode() == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert get(server)[2].startswith(b"text/plain; version=0.0.4")


def test_gzip_is_sent_to_who_takes_it(serve: Serve) -> None:
    server = serve()
    _, headers, body = get(server, **{"Accept-Encoding": "deflate, GZIP;q=0.8"})
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == TEXT
    assert get(server, **{"Accept-Encoding": "gzip;q=0"})[2] == TEXT


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/-/healthy", 200), ("/metrics?x=1", 200), ("/other", 404)])
def test_other_pages(serve: Serve, path: str, status: int) -> None:
    assert get(serve(), path)[0] == status


def test_a_scrape_that_fails_is_answered_in_one_line_and_the_next_one_works(serve: Serve) -> None:
    answers = iter([None, TEXT])

    def scrape(_: TextFormat) -> bytes:
        answer = next(answers)
        if answer is None:
            raise RuntimeError("a bug")
        return answer

    server = serve(scrape)
    status, _, body = get(server)
    assert (status, body) == (500, b"/metrics failed: the log says why\n")
    assert get(server)[0] == 200


def test_more_scrapes_at_once_than_allowed_are_turned_away(serve: Serve) -> None:
    entered, leave = threading.Event(), threading.Event()

    def scrape(_: TextFormat) -> bytes:
        entered.set()
        assert leave.wait(10)
        return TEXT

    server = serve(scrape, Limits(scrapes=1))
    first: list[int] = []
    thread = threading.Thread(target=lambda: first.append(get(server)[0]))
    thread.start()
    assert entered.wait(10)
    assert get(server)[0] == 503
    assert get(server, "/-/healthy")[0] == 200
    leave.set()
    thread.join(10)
    assert first == [200]


def test_a_silent_client_is_dropped(serve: Serve) -> None:
    server = serve(limits=Limits(silence=0.05))
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        assert client.recv(1) == b""


def test_a_client_that_dribbles_is_dropped(serve: Serve) -> None:
    server = serve(limits=Limits(connection=0.2))
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.settimeout(0.05)
        client.sendall(b"GET /metrics HTTP/1.0\r\nX: ")
        assert _dribble(client) < 200


def _dribble(client: socket.socket) -> int:
    """Send a byte at a time until the far end closes; how many it took."""
    for sent in range(200):
        try:
            if client.recv(1) == b"":
                return sent
        except TimeoutError:
            client.sendall(b"x")
        except OSError:
            return sent
    return 200


def test_connections_above_the_limit_are_closed_and_room_comes_back(serve: Serve) -> None:
    server = serve(limits=Limits(connections=1))
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as first:
        first.sendall(b"GET / HTTP/1.0\r\n")
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as second:
            assert second.recv(1) == b""
        first.sendall(b"\r\n")
        assert b"200 OK" in first.makefile("rb").read()
    assert get(server)[0] == 200


def test_a_held_port_names_port_and_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(VdbmonError, match=rf"127.0.0.1:{port} is held .* \[agent\] listen") as caught:
            PrometheusServer(f"127.0.0.1:{port}", lambda _: TEXT)
    assert caught.value.code == "agent.port_held"


def test_an_address_of_another_host_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"\[agent\] listen: 192.0.2.1:9 can't be listened on"):
        PrometheusServer("192.0.2.1:9", lambda _: TEXT)


def test_closing_frees_the_port(serve: Serve) -> None:
    first = serve()
    assert get(first)[0] == 200
    first.close()
    again = PrometheusServer(f"127.0.0.1:{first.port}", lambda _: TEXT)
    again.close()


def test_addresses() -> None:
    assert parse_listen("[::1]:9273", "agent") == ("::1", 9273)
    assert parse_listen(":9273", "agent") == ("", 9273)


@pytest.mark.parametrize("listen", ["9273", "host:", "host:port", "host:70000", ""])
def test_what_is_no_address_is_refused(listen: str) -> None:
    with pytest.raises(ConfigError, match="is no address; write host:port"):
        parse_listen(listen, "agent")
