"""What systemd is told, through real datagram sockets; and that its watchdog hears of collections only."""

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from vdbmon.signals import next_signal
from vdbmon.systemd import Supervisor


@contextlib.contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.settimeout(10)
        receiver.bind(address)
        yield receiver


@pytest.mark.parametrize("abstract", [True, False])
def test_states_are_sent_as_systemd_reads_them(tmp_path: Path, *, abstract: bool) -> None:
    name = f"vdbmon-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with listening("\0" + name if abstract else name) as receiver:
        supervisor = Supervisor({"NOTIFY_SOCKET": "@" + name if abstract else name})
        supervisor.ready("well")
        supervisor.reloading()
        supervisor.alive()
        supervisor.stopping()
        said = [receiver.recv(4096).decode() for _ in range(4)]
    assert said[0] == "READY=1\nSTATUS=well"
    reloading, since = said[1].splitlines()
    assert reloading == "RELOADING=1"
    assert int(since.removeprefix("MONOTONIC_USEC=")) > 0
    assert said[2:] == ["WATCHDOG=1", "STOPPING=1"]


def test_without_systemd_nothing_is_sent_and_nothing_fails(tmp_path: Path) -> None:
    Supervisor({}).ready("well")
    Supervisor({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready("well")


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_that_of_this_process(environment: dict[str, str], seconds: float | None) -> None:
    assert Supervisor(environment).watchdog == seconds


class Service:
    """Collects as it is told; when it was asked as often as that, a signal comes."""

    def __init__(self, answers: list[bool]) -> None:
        self._answers = answers
        self.asked: list[float] = []

    def wait(self, _seconds: float | None) -> int | None:
        return None if self._answers else signal.SIGTERM

    def collects(self, within: float) -> bool:
        self.asked.append(within)
        return self._answers.pop(0)


def test_the_watchdog_hears_of_collections_and_of_nothing_else(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    service = Service([True, False, False, True])
    with listening(path) as receiver:
        supervisor = Supervisor({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "30000"})
        assert next_signal(service.wait, service.collects, supervisor) == signal.SIGTERM
        receiver.setblocking(False)
        said = []
        with contextlib.suppress(BlockingIOError):
            while True:
                said.append(receiver.recv(4096))
    assert said == [b"WATCHDOG=1"] * 2
    assert service.asked == [pytest.approx(0.01)] * 4
