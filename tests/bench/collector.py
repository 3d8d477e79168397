"""`make bench-collector`: what the agent costs with 5, 50 and 200 containers of five processes, and what others cost.

Containers are busybox `sleep`s in a Docker daemon of the benchmark's own, or where the memory doesn't carry so many
copies of a recorded container; the table says which. The agent is the real command, scraped over HTTP with gzip as
Prometheus would. CPU is that of a process and its children; PSS that of our own agent and of peers, never of a
container. What the daemon spends is told beyond what it spends when nobody asks.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Column, Table

from tests.bench import agents, peers, reading
from tests.bench.cost import cpu_seconds
from tests.bench.peers import Peer
from tests.bench.reading import Host
from tests.bench.recorded import RecordedHost
from tests.bench.scraping import Daemon, Pace, shares_of_a_core
from tests.support.dockerd import OwnDockerd, import_busybox, own_dockerd

COUNTS = (5, 50, 200)
PEERS_AT = 50
INTERVALS = (10.0, 1.0)
FIVE_PROCESSES = "for i in 1 2 3 4; do sleep 86400 & done; exec sleep 86400"
CONTAINER_MEMORY = 30 * 2**20  # a shim and five busyboxes
_WIDTH = 132  # where there is no terminal; less would cut figures
RESULTS = Path("build/bench-collector.json")

Figures = dict[str, float]


def carries(count: int) -> bool:
    """Whether the machine has the memory for so many real containers."""
    return psutil.virtual_memory().available > count * CONTAINER_MEMORY


@contextmanager
def containers(daemon: OwnDockerd, count: int) -> Iterator[tuple[str, Host]]:
    """A host with that many containers, and whether they are real."""
    with ExitStack() as stack:
        if carries(count):
            _start(daemon, count)
            yield "real", Host(Path("/proc"), Path("/sys/fs/cgroup"), daemon.root)
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm")))
            yield "recorded", RecordedHost(folder, count).host


def _start(daemon: OwnDockerd, count: int) -> None:
    with closing(daemon.client(timeout=120)) as client:
        image = import_busybox(client)
        for number in range(len(client.containers.list()), count):
            client.containers.run(
                image, ["sh", "-c", FIVE_PROCESSES], name=f"bench-{number}", detach=True, network_mode="none"
            )


def run(counts: Sequence[int], pace: Pace, rivals: Sequence[Peer]) -> dict[str, Figures]:
    """Figures by what was measured."""
    results: dict[str, Figures] = {}
    with own_dockerd() as engine:
        spent = partial(cpu_seconds, engine.process.pid)
        for count in sorted(counts):
            with containers(engine, count) as (kind, host):
                (idle,) = shares_of_a_core([spent], None, pace.seconds / 2, pace.seconds)
                daemon = Daemon(engine.address, spent, idle)
                results[f"{count} {kind}"] = {
                    **reading.measure(host),
                    "dockerd and containerd idle, ms a minute": idle * 60e3,
                    **agents.beside_containers(host, count, daemon, pace),
                }
                if count == PEERS_AT:
                    results |= {f"{peer.program}, {count} {kind}": peers.measure(peer, daemon, pace) for peer in rivals}
    return {**results, "host input alone": agents.host_alone(pace)}


def table_of(results: dict[str, Figures]) -> Table:
    """A column for each thing measured, a row for each figure."""
    table = Table(Column("figure", no_wrap=True), *(Column(name, min_width=8) for name in results))
    for figure in dict.fromkeys(figure for row in results.values() for figure in row):
        table.add_row(figure, *(f"{row[figure]:.3g}" if figure in row else "" for row in results.values()))
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--containers", type=int, nargs="+", default=list(COUNTS))
    parser.add_argument("--intervals", type=float, nargs="+", default=list(INTERVALS), help="seconds between scrapes")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each measurement")
    parser.add_argument("--no-peers", action="store_true", help="measure no other agents")
    given = parser.parse_args(arguments)
    pace = Pace(tuple(given.intervals), given.seconds)
    results = run(given.containers, pace, [] if given.no_peers else peers.found())
    console = Console()
    console.width = max(console.width, _WIDTH)
    console.print(table_of(results))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"machine": os.uname().release, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
