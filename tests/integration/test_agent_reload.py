"""SIGHUP on the real command: what is new is taken, what is bad is refused, and nothing is lost meanwhile."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.support.agent import VDBMON
from tests.support.servers import Server, free_port, http_get, process, victoria_metrics
from tests.support.wait import wait_until

PATIENCE = 30.0
RELOADED = "vdbmon_config_last_reload_successful"
RELOADED_AT = "vdbmon_config_last_reload_success_timestamp_seconds"


class Running:
    """An agent whose file the test rewrites."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        self.path = folder / "vdbmon.toml"
        self.log = folder / "agent.log"
        self.process: subprocess.Popen[bytes]

    def write(
        self, more: str = "", *, min_age: str = "10ms", port: int | None = None, web_config: Path | None = None
    ) -> None:
        protection = f'web_config_file = "{web_config}"' if web_config else ""
        self.path.write_text(
            f'[host]\nname = "testhost"\n'
            f'[agent]\nlisten = "127.0.0.1:{port or self.port}"\nmin_age = "{min_age}"\ninterval = "1s"\n'
            f'flush_interval = "1s"\nbuffer_directory = "{self.folder / "spool"}"\n'
            f"{protection}\n"
            # No daemon is there: its probes must not run in the machine's own.
            f'[inputs.docker]\naddress = "unix://{self.folder}/docker.sock"\n{more}\n'
        )

    def value(self, name: str, port: int | None = None, **labels: str) -> float | None:
        text = http_get(f"http://127.0.0.1:{port or self.port}/metrics") or ""
        lines = (line for line in text.splitlines() if line.startswith(name))
        for family in text_string_to_metric_families("\n".join(lines)):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return float(sample.value)
        return None

    def reload(self, port: int | None = None) -> None:
        """Send SIGHUP and wait until the file has been taken."""
        before = self.value(RELOADED_AT)
        self.process.send_signal(signal.SIGHUP)
        wait_until(
            lambda: self.value(RELOADED_AT, port) not in (None, before), deadline=PATIENCE, what="a reload that worked"
        )


@contextlib.contextmanager
def running(agent: Running, environment: dict[str, str] | None = None) -> Iterator[Running]:
    with process([VDBMON, "agent", "run", "--config", str(agent.path)], agent.log, environment) as started:
        agent.process = started
        wait_until(lambda: agent.value(RELOADED) == 1, deadline=PATIENCE, what="the agent's metrics")
        yield agent


@contextlib.contextmanager
def scraping(port: int) -> Iterator[list[str]]:
    """Scrapes all the time; gives what went wrong."""
    failures: list[str] = []
    enough = threading.Event()

    def scrape() -> None:
        while not enough.wait(0.02):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                    if b"\nnode_load1{" not in answer.read():
                        failures.append("a part is missing")
            except OSError as error:
                failures.append(repr(error))

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield failures
    finally:
        enough.set()
        thread.join()


def output(port: int, more: str = "") -> str:
    return f'[[outputs.influxdb_v2]]\nalias = "store"\nurls = ["http://127.0.0.1:{port}"]\n{more}'


def test_a_good_file_is_taken_and_every_scrape_meanwhile_is_answered(tmp_path: Path) -> None:
    agent = Running(tmp_path)
    agent.write('[global_tags]\ndc = "fra"\n')
    with running(agent), scraping(agent.port) as failures:
        assert agent.value("node_load1", dc="fra") is not None
        agent.write('[global_tags]\ndc = "ams"\n[inputs.host]\nnamedrop = ["node_load5"]\ntags = { rack = "7" }\n')
        agent.reload()
        assert agent.value("node_load1", dc="ams", rack="7", host="testhost") is not None
        assert agent.value("node_load5") is None
        assert agent.value("node_load15") is not None
    assert failures == []


def test_a_bad_file_leaves_the_old_configuration_running_and_says_so(tmp_path: Path) -> None:
    agent = Running(tmp_path)
    agent.write('[global_tags]\ndc = "fra"\n')
    with running(agent):
        good_since = agent.value(RELOADED_AT)
        for bad, words in (
            ("[inputs.hosts]\n", "unknown key inputs.hosts; did you mean host?"),
            ("[[[", "not TOML"),
            (output(1, 'token_file = "/nowhere"\n'), "token_file /nowhere"),
        ):
            agent.write(bad)
            agent.process.send_signal(signal.SIGHUP)
            wait_until(lambda words=words: words in agent.log.read_text(), deadline=PATIENCE, what="a line in the log")  # type: ignore[misc]
            wait_until(lambda: agent.value(RELOADED) == 0, deadline=PATIENCE, what="the metric that says so")
            assert agent.value("node_load1", dc="fra") is not None
            assert agent.value(RELOADED_AT) == good_since
        lines = [line for line in agent.log.read_text().splitlines() if "not reloaded" in line]
        assert len(lines) == 3
        assert all("the old one runs on" in line for line in lines)
        agent.write('[global_tags]\ndc = "ams"\n')
        agent.reload()
        assert agent.value(RELOADED) == 1
        assert agent.value("node_load1", dc="ams") is not None


def test_another_port_is_opened_and_the_old_one_closed(tmp_path: Path) -> None:
    agent = Running(tmp_path)
    agent.write()
    with running(agent):
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            held.listen()
            agent.write(port=held.getsockname()[1])
            agent.process.send_signal(signal.SIGHUP)
            wait_until(lambda: agent.value(RELOADED) == 0, deadline=PATIENCE, what="a port that is held is refused")
        new = free_port()
        agent.write(port=new)
        agent.reload(port=new)
        assert agent.value("node_load1", port=new) is not None
        assert http_get(f"http://127.0.0.1:{agent.port}/metrics") is None


def test_a_password_is_asked_for_on_the_same_port_from_the_reload_on(tmp_path: Path) -> None:
    agent = Running(tmp_path)
    agent.write()
    web = tmp_path / "web.yml"
    web.write_text(f"basic_auth_users: {{operator: '{bcrypt.hashpw(b'secret', bcrypt.gensalt(4)).decode()}'}}\n")
    web.chmod(0o600)

    def status(*credentials: str) -> int:
        return requests.get(f"http://127.0.0.1:{agent.port}/metrics", auth=credentials or None, timeout=5).status_code  # type: ignore[arg-type]

    with running(agent):
        agent.write(web_config=tmp_path / "nothing.yml")
        agent.process.send_signal(signal.SIGHUP)
        wait_until(lambda: agent.value(RELOADED) == 0, deadline=PATIENCE, what="a missing file is refused")
        agent.write(web_config=web)
        agent.process.send_signal(signal.SIGHUP)
        wait_until(lambda: status() == 401, deadline=PATIENCE, what="the password is asked for")
        assert status("operator", "secret") == 200
        agent.write()
        agent.process.send_signal(signal.SIGHUP)
        wait_until(lambda: status() == 200, deadline=PATIENCE, what="no password is asked for")


def first_seen(server: Server) -> float | None:
    """The time of the oldest point, in Unix seconds."""
    http_get(f"{server.url}/internal/force_flush")
    exported = http_get(f"{server.url}/api/v1/export?match[]=mem_total")
    return min(json.loads(exported)["timestamps"]) / 1000 if exported else None


def test_what_waits_for_an_output_outlives_reloads_that_change_and_remove_it(tmp_path: Path) -> None:
    far_end = free_port()
    agent = Running(tmp_path)
    agent.write(output(far_end))
    with running(agent):
        wait_until(
            lambda: (agent.value("vdbmon_output_queued", output="store") or 0) > 100,
            deadline=PATIENCE,
            what="points that wait",
        )
        agent.write(output(far_end, 'timeout = "2s"\n'))
        agent.reload()
        queued = agent.value("vdbmon_output_queued", output="store")
        assert queued is not None
        assert queued > 100
        agent.write()
        agent.reload()
        assert agent.value("vdbmon_output_queued", output="store") is None
        assert agent.value(RELOADED) == 1
        removed_at = agent.value(RELOADED_AT)
        assert removed_at is not None
        with victoria_metrics(tmp_path, far_end) as server:
            agent.write(output(far_end))
            agent.reload()
            wait_until(
                lambda: agent.value("vdbmon_output_queued", output="store") == 0, deadline=PATIENCE, what="delivery"
            )
            first = wait_until(lambda: first_seen(server), deadline=PATIENCE, what="points in the far end")
            assert first < removed_at
        assert agent.value("vdbmon_output_dropped_total", output="store", cause="overflow") == 0


def threads_and_descriptors(pid: int) -> tuple[int, int]:
    """How many of each; a kernel file counts only where it is open twice, for other tests' containers come and go."""
    opened: list[str] = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            opened.append(str(descriptor.readlink()))
    kernel = [path for path in opened if path.startswith(("/proc/", "/sys/"))]
    return len(list(Path(f"/proc/{pid}/task").iterdir())), len(opened) - len(set(kernel))


def children(pid: int) -> int:
    return sum(len(path.read_text().split()) for path in Path(f"/proc/{pid}/task").glob("*/children"))


def test_fifty_reloads_leave_no_descriptor_thread_or_child_behind(tmp_path: Path) -> None:
    agent = Running(tmp_path)
    agent.write(output(free_port()))
    with running(agent):
        pid = agent.process.pid
        ports = [agent.port, free_port()]

        def reload(number: int) -> None:
            port = ports[number % 2]
            agent.write(output(free_port(), f'timeout = "{number + 1}s"\n'), min_age=f"{number + 10}ms", port=port)
            agent.reload(port)
            agent.port = port

        for number in range(5):
            reload(number)
        threads, descriptors = wait_until(lambda: threads_and_descriptors(pid), deadline=PATIENCE, what="figures")
        family = children(pid)
        for number in range(5, 50):
            reload(number)
        wait_until(
            lambda: threads_and_descriptors(pid)[0] <= threads and threads_and_descriptors(pid)[1] <= descriptors + 5,
            deadline=PATIENCE,
            what=f"{threads} threads and {descriptors} descriptors as before, not {threads_and_descriptors(pid)}",
        )
        assert children(pid) <= family


def test_systemd_hears_of_start_reload_collections_and_end(tmp_path: Path) -> None:
    agent = Running(tmp_path)
    agent.write()
    said: list[dict[str, str]] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(PATIENCE)

        def hear(what: str) -> dict[str, str]:
            while True:
                message = dict(line.split("=", 1) for line in receiver.recv(4096).decode().splitlines())
                said.append(message)
                if what in message:
                    return message

        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "900000"}
        with running(agent, environment):
            assert f":{agent.port}/metrics" in hear("READY")["STATUS"]
            for _ in range(3):
                hear("WATCHDOG")
            agent.process.send_signal(signal.SIGHUP)
            assert hear("RELOADING")["MONOTONIC_USEC"].isdecimal()
            assert "configuration reloaded" in hear("READY")["STATUS"]
            agent.path.write_text("[")
            agent.process.send_signal(signal.SIGHUP)
            hear("RELOADING")
            assert "the old one runs on" in hear("READY")["STATUS"]
            hear("WATCHDOG")
        hear("STOPPING")
