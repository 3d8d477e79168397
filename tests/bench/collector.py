"""`make bench-collector`: what the whole agent costs on a host with 5, 50 and 200 real containers of five processes.

Containers are busybox `sleep`s in a Docker daemon of the benchmark's own. The agent is the real command, scraped over
HTTP with gzip as Prometheus would. CPU is user plus system time of the process from /proc/PID/stat; PSS from
smaps_rollup of our own agent, never of a container. Peers that are on PATH are scraped at the same pace beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import math
import os
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from collector.blockdevices import BlockDevices
from collector.cgroup.hierarchy import detect_hierarchy
from collector.containers import Container, ContainerIndex, DockerFiles
from collector.inputs.cgroup import CgroupInput
from collector.inputs.network import NetworkInput
from collector.kernelfile import SkippedLines
from collector.oom import OomKills
from tests.support.dockerd import OwnDockerd, import_busybox, own_dockerd
from tests.support.servers import free_port, http_get, process
from tests.support.wait import wait_until

COUNTS = (5, 50, 200)
FIVE_PROCESSES = "for i in 1 2 3 4; do sleep 86400 & done; exec sleep 86400"
ROUNDS = 300
SCRAPES = 200
INTERVALS = (10.0, 1.0)
TICKS = os.sysconf("SC_CLK_TCK")
VDBMON = str(Path(sys.executable).with_name("vdbmon"))
NODE_EXPORTER = "prometheus-node-exporter"
RESULTS = Path("build/bench-collector.json")

Figures = dict[str, float]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and of the children it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return sum(int(fields[index]) for index in (11, 12, 13, 14)) / TICKS


def pss_mib(pid: int) -> float:
    """Proportional memory of a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    lines = [
        line
        for number in (pid, *map(int, children))
        for line in Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()
        if line.startswith("Pss:")
    ]
    return sum(int(line.split()[1]) for line in lines) / 1024


def per_call(call: Callable[[], object], rounds: int) -> float:
    """CPU microseconds of one call."""
    start = time.process_time()
    for _ in range(rounds):
        call()
    return (time.process_time() - start) / rounds * 1e6


def gathering(daemon: OwnDockerd) -> Figures:
    """Our cgroup and network inputs beside a loop of pread(2) over the same files, CPU microseconds per container."""
    hierarchy = detect_hierarchy(Path("/proc/mounts").read_text(), Path("/sys/fs/cgroup"))
    index = ContainerIndex(hierarchy, DockerFiles(daemon.root))
    containers = [container for container in index.refresh() if container.metadata]
    cgroup = CgroupInput(index, BlockDevices(Path("/proc")), OomKills(), SkippedLines(), time.time)
    network = NetworkInput(index, Path("/proc"), SkippedLines())
    before = _descriptors()
    samples = len(cgroup.gather()) + len(network.gather())
    cgroup_files = [number for number in _descriptors() - before if _is_open(number)]
    net_files = [os.open(f"/proc/{pid}/net/dev", os.O_RDONLY) for pid in _pids(containers)]
    rounds = max(ROUNDS // max(len(containers) // 5, 1), 20)
    bare = per_call(lambda: [os.pread(number, 16384, 0) for number in (*cgroup_files, *net_files)], rounds)
    ours = per_call(lambda: (cgroup.gather(), network.gather()), rounds)
    for number in net_files:
        os.close(number)
    cgroup.close()
    count = len(containers)
    return {
        "files_per_container": (len(cgroup_files) + len(net_files)) / count,
        "samples_per_container": samples / count,
        "gather_us_per_container": ours / count,
        "bare_pread_us_per_container": bare / count,
        "gather_to_bare_ratio": ours / bare,
    }


def _pids(containers: list[Container]) -> list[int]:
    return [container.pid for container in containers if container.pid is not None]


def _descriptors() -> set[int]:
    return {int(entry.name) for entry in Path("/proc/self/fd").iterdir()}


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def scrape(url: str) -> bytes:
    """One scrape as Prometheus does it, unpacked."""
    request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        body: bytes = answer.read()
        return gzip.decompress(body) if answer.headers.get("Content-Encoding") == "gzip" else body


@contextlib.contextmanager
def running_agent(daemon: OwnDockerd, folder: Path) -> Iterator[tuple[int, str]]:
    """Process id and URL of an agent that watches this daemon."""
    port = free_port()
    config = folder / "vdbmon.toml"
    config.write_text(
        f'[host]\nname = "bench"\n[agent]\nlisten = "127.0.0.1:{port}"\nmin_age = "1ms"\n'
        f'[inputs.docker]\naddress = "{daemon.address}"\nroot = "{daemon.root}"\n'
    )
    url = f"http://127.0.0.1:{port}/metrics"
    with process([VDBMON, "agent", "run", "--config", str(config)], folder / "agent.log") as started:
        wait_until(lambda: http_get(url), deadline=30, what="the agent answers")
        yield started.pid, url


def whole_agent(daemon: OwnDockerd, folder: Path, count: int, seconds: float) -> Figures:
    """Share of a core, memory and scrape times of the agent, and what it costs the daemon."""
    figures: Figures = {}
    with running_agent(daemon, folder) as (pid, url):
        wait_until(lambda: scrape(url).count(b"container_last_seen{") >= count, deadline=30, what="all containers")
        for interval in INTERVALS:
            figures[f"cpu_percent_at_{interval:g}s"] = _paced(lambda: cpu_seconds(pid), url, interval, seconds)
        start, daemon_start = time.monotonic(), cpu_seconds(daemon.process.pid)
        _scrape_for(url, 10.0, seconds)
        spent = cpu_seconds(daemon.process.pid) - daemon_start
        figures["dockerd_cpu_ms_per_minute"] = spent * 1000 * 60 / (time.monotonic() - start)
        times = sorted(_timed(url) for _ in range(SCRAPES))
        figures["scrape_p50_ms"] = times[len(times) // 2]
        figures["scrape_p99_ms"] = times[math.ceil(len(times) * 0.99) - 1]
        figures["pss_mib"] = pss_mib(pid)
        text = scrape(url)
        figures["series_per_container"] = sum(
            b'name="bench-0"' in line for line in text.splitlines() if not line.startswith(b"#")
        )
    return figures


def _timed(url: str) -> float:
    start = time.perf_counter()
    scrape(url)
    return (time.perf_counter() - start) * 1e3


def _scrape_for(url: str, interval: float, seconds: float) -> None:
    for _ in range(max(int(seconds / interval), 2)):
        scrape(url)
        time.sleep(interval)


def _paced(spent: Callable[[], float], url: str, interval: float, seconds: float) -> float:
    """Per cent of a core while being scraped at this interval."""
    scrape(url)
    start, before = time.monotonic(), spent()
    _scrape_for(url, interval, seconds)
    return (spent() - before) / (time.monotonic() - start) * 100


def peers(seconds: float) -> dict[str, Figures]:
    """Other programs on PATH at the same pace; only node_exporter is in Debian 12."""
    if shutil.which(NODE_EXPORTER) is None:
        return {}
    with tempfile.TemporaryDirectory() as name:
        port = free_port()
        url = f"http://127.0.0.1:{port}/metrics"
        command = [NODE_EXPORTER, f"--web.listen-address=127.0.0.1:{port}"]
        with process(command, Path(name) / "log") as started:
            wait_until(lambda: http_get(url), deadline=30, what=NODE_EXPORTER)
            figures = {
                f"cpu_percent_at_{interval:g}s": _paced(lambda: cpu_seconds(started.pid), url, interval, seconds)
                for interval in INTERVALS
            }
            return {NODE_EXPORTER: {**figures, "pss_mib": pss_mib(started.pid)}}


def run(counts: tuple[int, ...], seconds: float) -> dict[str, Figures]:
    """Figures by number of containers, and of the peers."""
    results: dict[str, Figures] = {}
    with own_dockerd() as daemon, tempfile.TemporaryDirectory() as name:
        client = daemon.client(timeout=120)
        image = import_busybox(client)
        for count in counts:
            for number in range(len(client.containers.list()), count):
                client.containers.run(
                    image, ["sh", "-c", FIVE_PROCESSES], name=f"bench-{number}", detach=True, network_mode="none"
                )
            found = gathering(daemon)
            results[f"{count} containers"] = {**found, **whole_agent(daemon, Path(name), count, seconds)}
        client.close()
    return {**results, **peers(seconds)}


def main() -> None:
    """Run, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--containers", type=int, nargs="+", default=list(COUNTS))
    parser.add_argument("--seconds", type=float, default=60.0, help="of each measurement of the whole agent")
    options = parser.parse_args()
    results = run(tuple(options.containers), options.seconds)
    figures = list(dict.fromkeys(figure for row in results.values() for figure in row))
    table = Table("figure", *results)
    for figure in figures:
        table.add_row(figure, *(f"{row[figure]:.3g}" if figure in row else "" for row in results.values()))
    Console().print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"machine": os.uname().release, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
