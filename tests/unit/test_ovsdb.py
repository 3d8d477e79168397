import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import VdbmonError
from collector.ovsdb import JsonRpc, atoms, control_socket, optional, pairs, select_rows

PATIENCE = 10.0

Answer = Callable[[socket.socket, dict[str, Any]], None]


class Daemon:
    """A daemon on a Unix socket that treats each request as the test says; it counts connections and requests."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self.path = path
        self.answer = answer
        self.connections = 0
        self.requests: list[dict[str, Any]] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                while data := connection.recv(65536):
                    request = json.loads(data)
                    self.requests.append(request)
                    try:
                        self.answer(connection, request)
                    except ConnectionAbortedError:
                        break

    def close(self) -> None:
        if self._listener.fileno() >= 0:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self.path.unlink()


Start = Callable[[Answer], Daemon]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Daemon] = []

    def run(answer: Answer) -> Daemon:
        started.append(Daemon(tmp_path / "db.sock", answer))
        return started[-1]

    yield run
    for daemon in started:
        daemon.close()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def result(value: object, request: dict[str, Any]) -> bytes:
    return json.dumps({"id": request["id"], "result": value, "error": None}, ensure_ascii=False).encode()


def test_a_connection_is_kept(start: Start) -> None:
    daemon = start(lambda connection, request: connection.sendall(result(request["params"], request)))
    client = JsonRpc(lambda: daemon.path, PATIENCE)
    assert [client.call("echo", number) for number in range(3)] == [[0], [1], [2]]
    assert daemon.connections == 1


def test_a_connection_that_was_closed_is_made_anew_at_once(start: Start) -> None:
    daemon = start(lambda connection, request: connection.sendall(result(request["params"], request)))
    client = JsonRpc(lambda: daemon.path, PATIENCE)
    for number in range(3):
        assert client.call("echo", number) == [number]
        assert daemon.connections == number + 1
        client.close()


def test_an_answer_in_pieces_is_put_together_also_within_a_character(start: Start) -> None:
    value = {"name": "brücke}", "rows": [{"a": "}"}] * 3}

    def trickle(connection: socket.socket, request: dict[str, Any]) -> None:
        for byte in result(value, request):
            connection.sendall(bytes([byte]))

    assert JsonRpc(lambda: start(trickle).path, PATIENCE).call("transact") == value


def test_probes_of_the_server_are_answered_and_its_notices_left_alone(start: Start) -> None:
    def probe(connection: socket.socket, request: dict[str, Any]) -> None:
        if request["method"] != "transact":
            return
        echo = json.dumps({"id": "echo", "method": "echo", "params": [1]})
        update = json.dumps({"id": None, "method": "update", "params": []})
        connection.sendall(f"{echo}{update}".encode())
        reply = json.loads(connection.recv(65536))
        assert reply == {"id": "echo", "result": [1], "error": None}
        connection.sendall(result("well", request))

    assert JsonRpc(lambda: start(probe).path, PATIENCE).call("transact") == "well"


def test_an_error_is_told_and_costs_no_connection(start: Start) -> None:
    daemon = start(
        lambda connection, request: connection.sendall(
            json.dumps({"id": request["id"], "result": None, "error": "no such command"}).encode()
        )
    )
    client = JsonRpc(lambda: daemon.path, PATIENCE)
    for _ in range(2):
        with pytest.raises(VdbmonError, match="no such command") as caught:
            client.call("list-moose")
        assert caught.value.code == "ovs.refused"
    assert daemon.connections == 1


def cut_short(connection: socket.socket, request: dict[str, Any]) -> None:
    connection.sendall(result([1, 2, 3], request)[:-9])
    raise ConnectionAbortedError


def garbage(connection: socket.socket, _request: dict[str, Any]) -> None:
    connection.sendall(b'{"id": 1, "surprise": {}}')


def silence(_connection: socket.socket, _request: dict[str, Any]) -> None:
    pass


@pytest.mark.parametrize(
    ("answer", "timeout", "what"),
    [(cut_short, PATIENCE, "closed"), (garbage, PATIENCE, "surprise"), (silence, 0.05, "no answer within 0.05 s")],
)
def test_a_connection_that_is_lost_is_made_anew_after_the_back_off(
    start: Start, answer: Answer, timeout: float, what: str
) -> None:
    clock = Clock()
    daemon = start(answer)
    client = JsonRpc(lambda: daemon.path, timeout, clock)
    with pytest.raises(VdbmonError, match=what) as lost:
        client.call("transact")
    assert lost.value.code == "ovs.lost"
    with pytest.raises(VdbmonError, match=what) as waiting:
        client.call("transact")
    assert waiting.value.code == "ovs.not_connected"
    assert daemon.connections == 1
    daemon.answer = lambda connection, request: connection.sendall(result("back", request))
    clock.now += 15.1
    assert client.call("transact") == "back"


def test_a_socket_that_is_missing_is_asked_for_with_growing_pauses(tmp_path: Path) -> None:
    clock, asked = Clock(), []

    def find() -> Path:
        asked.append(clock.now)
        return tmp_path / "db.sock"

    client = JsonRpc(find, PATIENCE, clock)
    while clock.now < 120:
        with pytest.raises(VdbmonError, match=r"No such file.*db\.sock"):
            client.call("transact")
        clock.now += 0.5
    pauses = [later - earlier for earlier, later in pairwise(asked)]
    assert pauses[0] <= 1.5
    assert pauses == sorted(pauses)
    assert 10 <= pauses[-1] <= 15.5


def test_a_daemon_that_was_replaced_is_found_again(start: Start, tmp_path: Path) -> None:
    clock = Clock()
    first = start(lambda connection, request: connection.sendall(result("first", request)))
    client = JsonRpc(lambda: tmp_path / "db.sock", PATIENCE, clock)
    assert client.call("version") == "first"
    first.answer = cut_short
    with pytest.raises(VdbmonError):
        client.call("version")
    first.close()
    start(lambda connection, request: connection.sendall(result("second", request)))
    clock.now += 15.1
    assert client.call("version") == "second"


def test_the_control_socket_is_named_after_the_pid_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"ovs-vswitchd\.pid"):
        control_socket(tmp_path)
    (tmp_path / "ovs-vswitchd.pid").write_text("4711\n")
    assert control_socket(tmp_path) == tmp_path / "ovs-vswitchd.4711.ctl"


@pytest.mark.parametrize(
    "reply", [[{"error": "syntax error"}], [None], [], "rows", [{"rows": []}, {"rows": []}], None, 7]
)
def test_an_answer_of_another_shape_is_an_error_of_one_line(start: Start, reply: object) -> None:
    if reply is None:
        reply = {}
    client = JsonRpc(lambda: start(lambda it, request: it.sendall(result(reply, request))).path, PATIENCE)
    with pytest.raises(VdbmonError) as caught:
        select_rows(client, {"Bridge": ("name",)})
    assert caught.value.code == "ovs.reply"
    assert "\n" not in str(caught.value)


def test_the_notation_is_read_as_the_rfc_writes_it() -> None:
    assert atoms(["set", []]) == []
    assert atoms(5) == [5]
    assert atoms(["uuid", "a"]) == ["a"]
    assert atoms(["set", [["uuid", "a"], ["uuid", "b"]]]) == ["a", "b"]
    assert optional(["set", []]) is None
    assert optional(["set", [7]]) == 7
    assert pairs(["map", [["k", "v"], [0, ["uuid", "a"]]]]) == {"k": "v", 0: "a"}
    with pytest.raises(ValueError, match="2 elements"):
        optional(["set", [1, 2]])


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=20,
)
tagged: st.SearchStrategy[list[Any]] = st.builds(list, st.tuples(st.sampled_from(["set", "map", "uuid"]), documents))


@pytest.mark.parametrize("read", [atoms, optional, pairs])
@given(value=documents | tagged)
def test_any_document_is_read_or_refused_with_a_value_error(read: Callable[[Any], Any], value: Any) -> None:
    with contextlib.suppress(ValueError):
        read(value)
