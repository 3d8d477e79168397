"""`make soak`: the agent for hours beside real containers that come and go without end.

A Docker daemon of its own starts and removes containers all the time. Every few seconds a scrape says what the agent
has, one line of JSON each in build/soak.jsonl. The run fails as soon as memory, descriptors or threads have grown
beyond their bounds since the end of the warm-up, or lines were not understood.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import docker
import psutil
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

from tests.support.dockerd import OwnDockerd, import_busybox, own_dockerd
from tests.support.servers import free_port, http_get, process
from tests.support.wait import wait_until

RESULTS = Path("build/soak.jsonl")
READY = 60.0
SAMPLE_EVERY = 5.0
ROWS = 12
WARM_UP = 0.2  # share of the run
MEMORY_BOUND = 8 * 2**20
DESCRIPTOR_BOUND = 100  # a few containers that came or went between the scrape and the count
FILES_OF_A_CONTAINER = 24  # that stay open, at the most
THREAD_BOUND = 4


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look at the agent found; `seconds` since the start of the run, `memory` in bytes."""

    seconds: float
    memory: int
    descriptors: int
    threads: int
    cpu_seconds: float
    series: int
    containers: int
    parse_errors: int
    inputs_down: int
    started: int


class Churn:
    """Starts and removes containers from a thread, as fast as the daemon takes them, at most `living` at once."""

    def __init__(self, daemon: OwnDockerd, living: int) -> None:
        self.started = 0
        self._daemon = daemon
        self._living = living
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="churn")

    @contextlib.contextmanager
    def running(self) -> Iterator[Churn]:
        """Churn while the block runs."""
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join()

    def _run(self) -> None:
        with contextlib.closing(self._daemon.client()) as client:
            image = import_busybox(client)
            alive: list[str] = []
            while not self._stop.is_set():
                with contextlib.suppress(docker.errors.APIError):
                    name = f"soak-{self.started}"
                    client.containers.run(image, ["sleep", "3600"], name=name, detach=True, network_mode="none")
                    self.started += 1
                    alive.append(name)
                if len(alive) > self._living:
                    with contextlib.suppress(docker.errors.APIError):
                        client.containers.get(alive.pop(0)).remove(force=True)


def look(port: int, agent: psutil.Process, seconds: float, started: int) -> Reading:
    """One scrape, and what the kernel says of the agent."""
    text = wait_until(lambda: http_get(f"http://127.0.0.1:{port}/metrics"), deadline=READY, what="the agent answers")
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    values: dict[str, list[float]] = {}
    for sample in samples:
        values.setdefault(sample.name, []).append(sample.value)
    times = agent.cpu_times()
    return Reading(
        seconds=round(seconds, 1),
        memory=agent.memory_info().rss,
        descriptors=agent.num_fds(),
        threads=agent.num_threads(),
        cpu_seconds=times.user + times.system,
        series=len(samples),
        containers=int(values["vdbmon_containers_running"][0]),
        parse_errors=int(sum(values["vdbmon_parse_errors_total"])),
        inputs_down=values["vdbmon_input_up"].count(0.0),
        started=started,
    )


def complaint(first: Reading, now: Reading) -> str:
    """What has grown beyond its bound since the end of the warm-up; empty where nothing has."""
    expected = max(now.containers - first.containers, 0) * FILES_OF_A_CONTAINER
    grown = (
        ("memory", now.memory - first.memory, MEMORY_BOUND),
        ("descriptors", now.descriptors - first.descriptors - expected, DESCRIPTOR_BOUND),
        ("threads", now.threads - first.threads, THREAD_BOUND),
        ("parse errors", now.parse_errors - first.parse_errors, 0),
    )
    return "; ".join(f"{name} grew by {by}, more than {bound}" for name, by, bound in grown if by > bound)


@contextlib.contextmanager
def running_agent(daemon: OwnDockerd, folder: Path) -> Iterator[tuple[int, psutil.Process]]:
    """An agent as a user runs it, on a free port."""
    port = free_port()
    config = folder / "vdbmon.toml"
    config.write_text(
        f'[host]\nname = "soak"\n[agent]\nlisten = "127.0.0.1:{port}"\n'
        f'[inputs.docker]\naddress = "{daemon.address}"\nroot = "{daemon.root}"\n'
    )
    command = [str(Path(sys.executable).with_name("vdbmon")), "agent", "run", "--config", str(config)]
    with process(command, folder / "agent.log") as started:
        yield port, _process(started)


def _process(started: subprocess.Popen[bytes]) -> psutil.Process:
    return psutil.Process(started.pid)


def soak(minutes: float, living: int, results: Path) -> str:
    """Run; what was wrong, empty where nothing was."""
    results.parent.mkdir(exist_ok=True)
    pause = threading.Event()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vdbmon-soak-")))
        daemon = stack.enter_context(own_dockerd())
        port, agent = stack.enter_context(running_agent(daemon, folder))
        churn = stack.enter_context(Churn(daemon, living).running())
        output = stack.enter_context(results.open("w"))
        begin = time.monotonic()
        first: Reading | None = None
        while (seconds := time.monotonic() - begin) < minutes * 60:
            now = look(port, agent, seconds, churn.started)
            output.write(json.dumps(asdict(now)) + "\n")
            output.flush()
            if first is None and seconds >= WARM_UP * minutes * 60:
                first = now
            if first is not None and (wrong := complaint(first, now)):
                return wrong
            pause.wait(SAMPLE_EVERY)
    return "" if first is not None else "too short: nothing was looked at after the warm-up"


def table_of(readings: Sequence[Reading]) -> Table:
    """What the agent had over time, in about ten rows."""
    table = Table("seconds", "RSS, MiB", "descriptors", "threads", "CPU, s", "series", "containers", "started")
    for reading in readings[:: max(len(readings) // ROWS, 1)]:
        table.add_row(
            *(f"{reading.seconds:.0f}", f"{reading.memory / 2**20:.1f}", str(reading.descriptors)),
            *(str(reading.threads), f"{reading.cpu_seconds:.1f}", str(reading.series)),
            *(str(reading.containers), str(reading.started)),
        )
    return table


def main() -> int:
    """Run for the time asked for, and say how it went."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=240.0)
    parser.add_argument("--living", type=int, default=10, help="containers at once")
    options = parser.parse_args()
    wrong = soak(options.minutes, options.living, RESULTS)
    readings = [Reading(**json.loads(line)) for line in RESULTS.read_text().splitlines()]
    console = Console()
    console.print(table_of(readings))
    console.print(f"failed: {wrong}" if wrong else "nothing grew beyond its bound")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
