"""The whole agent as a user runs it, beside containers or with nothing but the host to read."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.cost import cpu_seconds, pss_mib
from tests.bench.reading import Host
from tests.bench.scraping import Daemon, Pace, cost_at, milliseconds, percentile, scrape, shares_of_a_core
from tests.support.agent import VDBMON
from tests.support.servers import free_port, http_get, process
from tests.support.wait import wait_until

SCRAPES = 200
READY = 60.0

Figures = dict[str, float]


@contextlib.contextmanager
def _running(settings: str) -> Iterator[tuple[int, str]]:
    """Process id and URL of an agent with these settings."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="vdbmon-bench-") as name:
        config = Path(name) / "vdbmon.toml"
        config.write_text(f'[host]\nname = "bench"\n[agent]\nlisten = "127.0.0.1:{port}"\nmin_age = "1ms"\n{settings}')
        url = f"http://127.0.0.1:{port}/metrics"
        with process([VDBMON, "agent", "run", "--config", str(config)], Path(name) / "agent.log") as started:
            wait_until(lambda: http_get(url), deadline=READY, what="the agent answers")
            yield started.pid, url


def beside_containers(host: Host, count: int, daemon: Daemon, pace: Pace) -> Figures:
    """Share of a core, memory and scrape times of the agent, and what it costs the daemon."""
    settings = f'procfs = "{host.procfs}"\ncgroupfs = "{host.cgroupfs}"\n'
    settings += f'[inputs.docker]\naddress = "{daemon.address}"\nroot = "{host.docker_root}"\n'
    figures: Figures = {}
    with _running(settings) as (pid, url):
        wait_until(lambda: scrape(url).count(b"container_last_seen{") >= count, deadline=READY, what="all containers")
        for interval in pace.intervals:
            figures |= cost_at(interval, lambda: cpu_seconds(pid), url, daemon, pace.seconds)
        times = milliseconds(url, SCRAPES)
        figures["scrape p50, ms"] = percentile(times, 0.5)
        figures["scrape p99, ms"] = percentile(times, 0.99)
        figures["PSS, MiB"] = pss_mib(pid)
        figures["series per container, most"] = most_series(scrape(url))
    return figures


def most_series(text: bytes) -> int:
    """Of the container that has the most."""
    counts: dict[bytes, int] = {}
    for line in text.splitlines():
        _, found, rest = line.partition(b',name="' if b',name="' in line else b'{name="')
        if found and not line.startswith(b"#"):
            name = rest.partition(b'"')[0]
            counts[name] = counts.get(name, 0) + 1
    return max(counts.values(), default=0)


def host_alone(pace: Pace) -> Figures:
    """An agent that finds no containers, no Docker and no Open vSwitch: the host's own families, and itself."""
    with tempfile.TemporaryDirectory(prefix="vdbmon-none-") as none:
        settings = (
            f'cgroupfs = "{none}"\n[inputs.docker]\naddress = "unix://{none}/docker.sock"\nroot = "{none}"\n'
            f'[inputs.ovs]\ndb_socket = "{none}/no-openvswitch/db.sock"\n'
        )
        with _running(settings) as (pid, url):
            figures: Figures = {}
            for interval in pace.intervals:
                (own,) = shares_of_a_core([lambda: cpu_seconds(pid)], url, interval, pace.seconds)
                figures[f"CPU at {interval:g} s, % of a core"] = own * 100
            return {**figures, "PSS, MiB": pss_mib(pid)}
