"""Agents that answer, refuse, hang and drip: each costs its own answer, and every question ends."""

import contextlib
import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from collector.errors import ConfigError
from collector.inputs import host
from tests.support.servers import free_port
from tests.support.top import exposition_text
from tests.support.wait import wait_until
from tests.support.web import Answering, serving
from vdbmon.top import agents as agents_module
from vdbmon.top.addresses import agents_to_watch
from vdbmon.top.agents import Agent, Answer, Questions, agent_at

TEXT = exposition_text([host.LOAD1.sample(0.5), host.TIME.sample(1000.0)]).encode()
PATIENCE = 10.0


@contextlib.contextmanager
def server(answer: Answering) -> Iterator[Agent]:
    with serving(answer) as port:
        yield agent_at(f"127.0.0.1:{port}")


def sends(body: bytes, status: int = 200, **headers: str) -> Answering:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def ask(*agents: Agent, deadline: float = PATIENCE) -> dict[str, Answer]:
    ready = threading.Event()
    questions = Questions(deadline, ready.set)
    questions.ask(agents)
    found: dict[str, Answer] = {}

    def all_found() -> bool:
        found.update((answer.url, answer) for answer in questions.answers())
        return len(found) == len(agents)

    wait_until(all_found, deadline=PATIENCE, what="all answers", every=0.01)
    assert not questions.pending
    return found


def problem(answer: Callable[[BaseHTTPRequestHandler], None], deadline: float = PATIENCE) -> str:
    with server(answer) as agent:
        return ask(agent, deadline=deadline)[agent.url].problem


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_becomes_a_reading(*, packed: bool) -> None:
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(f"{handler.path} {handler.headers['Accept-Encoding']}")
        sends(gzip.compress(TEXT), Content_Encoding="gzip")(handler) if packed else sends(TEXT)(handler)

    with server(answer) as agent:
        found = ask(agent)[agent.url]
    assert found.reading is not None
    assert found.reading.exposition.value(host.TIME) == 1000.0
    assert found.reading.exposition.host == "db1"
    assert asked == ["/metrics gzip"]


def test_what_is_no_answer_is_said_in_words() -> None:
    assert problem(sends(b"", 503)) == "answered 503 Service Unavailable"
    assert problem(sends(b"\xff\xfe")) != ""
    assert problem(sends(b"not packed", Content_Encoding="gzip")) != ""
    assert problem(lambda handler: handler.connection.close()) != ""
    gone = agent_at(f"127.0.0.1:{free_port()}")
    assert ask(gone)[gone.url].problem == "connection refused"


def test_more_than_an_agent_has_to_say_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents_module, "LARGEST_ANSWER", 1 << 20)
    assert problem(sends(b"#" * (2 << 20))) == "answered more than 1 MiB"
    assert problem(sends(gzip.compress(b"#" * (2 << 20)), Content_Encoding="gzip")) == "answered more than 1 MiB"


def test_one_that_hangs_or_drips_costs_its_own_answer() -> None:
    stop = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        with contextlib.suppress(OSError):
            while not stop.wait(0.05):
                handler.wfile.write(b"H")

    with socket.create_server(("127.0.0.1", 0)) as silent, server(drip) as dripping, server(sends(TEXT)) as good:
        hanging = agent_at(f"127.0.0.1:{silent.getsockname()[1]}")
        found = ask(hanging, dripping, good, deadline=2.0)
        stop.set()
    assert found[hanging.url].problem == "no answer within 2 s"
    assert found[dripping.url].problem == "no answer within 2 s"
    assert found[good.url].reading is not None


def test_an_agent_is_not_asked_again_before_its_last_question_has_ended() -> None:
    asked: list[int] = []
    release = threading.Event()

    def slow(handler: BaseHTTPRequestHandler) -> None:
        asked.append(1)
        release.wait(PATIENCE)
        sends(TEXT)(handler)

    with server(slow) as agent:
        questions = Questions(PATIENCE, lambda: None)
        questions.ask([agent])
        wait_until(lambda: asked, deadline=PATIENCE, what="the first question")
        questions.ask([agent])
        assert list(questions.answers()) == []
        release.set()
        wait_until(lambda: list(questions.answers()), deadline=PATIENCE, what="its answer")
        questions.ask([agent])
        wait_until(lambda: list(questions.answers()), deadline=PATIENCE, what="the second answer")
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("10.0.0.11:9273", "http://10.0.0.11:9273/metrics"),
        ("http://db1:9273/", "http://db1:9273/metrics"),
        ("https://db1/agents/7", "https://db1/agents/7"),
        ("http://[::1]:9273", "http://[::1]:9273/metrics"),
    ],
)
def test_addresses(text: str, url: str) -> None:
    assert agent_at(text).url == url


@pytest.mark.parametrize(
    "text", ["", "ftp://db1", "http://", "http://[::1", "http://db1:port", "http://db1:99999", "http://me:secret@db1"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no address of an agent"):
        agent_at(text)


HOSTS = """
[[hosts]]
name = "db1"
agent = "http://10.0.0.1:9273"
inventory = { cpus = 2, memory = "1GiB", disk = "1GiB", read_bps = "1MB", write_bps = "1MB" }
[[hosts]]
name = "without"
inventory = { cpus = 2, memory = "1GiB", disk = "1GiB", read_bps = "1MB", write_bps = "1MB" }
"""


def configured(folder: Path, more: str) -> list[tuple[str, str]]:
    path = folder / "vdbmon.toml"
    path.write_text(f'[host]\nname = "here"\n{more}')
    return [(agent.name, agent.url) for agent in agents_to_watch((), path)]


def test_the_configured_agents_are_watched_else_the_local_one(tmp_path: Path) -> None:
    assert configured(tmp_path, HOSTS) == [("db1", "http://10.0.0.1:9273/metrics")]
    assert configured(tmp_path, "") == [("here", "http://127.0.0.1:9273/metrics")]
    for listen, address in (("0.0.0.0:9", "127.0.0.1:9"), (":9", "127.0.0.1:9"), ("[::]:9", "[::1]:9")):
        assert configured(tmp_path, f'[agent]\nlisten = "{listen}"\n') == [("here", f"http://{address}/metrics")]


def test_named_agents_are_watched_each_once_and_need_no_configuration() -> None:
    found = agents_to_watch(["10.0.0.1:9273", "http://10.0.0.1:9273/metrics", "10.0.0.2:9273"], None)
    assert [agent.address for agent in found] == ["10.0.0.1:9273", "10.0.0.2:9273"]
