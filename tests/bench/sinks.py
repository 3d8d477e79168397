"""`make bench-sinks`: what each push output costs, and how a backlog of an hour drains.

The points are those of a real collection of 50 containers (busybox `sleep`s in a Docker daemon of the benchmark's own).
They take the agent's own way: projection, filter, encoding, spool, delivery, into real servers. CPU is user plus system
time of this process; the servers are others. Gathering is not in it: `make bench-collector` has that.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from collector.agent.build import Inputs, build_inputs
from collector.agent.outputs import Outputs
from collector.metrics import Sample
from collector.outputs.settings import (
    FileSettings,
    GraphiteSettings,
    InfluxSettings,
    InfluxV2Settings,
    OpenTsdbSettings,
    OutputSettings,
    ZabbixSettings,
)
from collector.projections.line_protocol import LineEncoder, encode
from collector.projections.telegraf import TelegrafProjection
from collector.settings import AgentSettings, DockerSettings, InputSettings
from tests.bench.collector import FIVE_PROCESSES
from tests.bench.cost import cpu_seconds
from tests.support.dockerd import import_busybox, own_dockerd
from tests.support.servers import Server, free_port, influx_query, influxdb, process, victoria_metrics
from tests.support.wait import wait_until
from tests.support.zabbix import Zabbix, zabbix

CONTAINERS = 50
INTERVAL = 10.0  # seconds between collections, as in the agent
COLLECTIONS = 30  # that are delivered to measure a sink
HOUR = int(3600 / INTERVAL)
PATIENCE = 300.0
SECOND = 10**9
TELEGRAF = "telegraf"
RESULTS = Path("build/bench-sinks.json")

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the sinks write to."""

    influxdb: Server
    victoria_metrics: Server
    graphite: int
    opentsdb: int
    zabbix: Zabbix
    folder: Path


SINKS: dict[str, Callable[[Servers], OutputSettings]] = {
    "influxdb": lambda servers: OutputSettings(influxdb=(InfluxSettings(urls=(servers.influxdb.url,)),)),
    "influxdb_v2": lambda servers: OutputSettings(
        influxdb_v2=(InfluxV2Settings(urls=(servers.victoria_metrics.url,)),)
    ),
    "graphite": lambda servers: OutputSettings(
        graphite=(GraphiteSettings(servers=(f"127.0.0.1:{servers.graphite}",), graphite_tag_support=True),)
    ),
    "opentsdb": lambda servers: OutputSettings(
        opentsdb=(OpenTsdbSettings(host="http://127.0.0.1", port=servers.opentsdb, http_batch_size=5000),)
    ),
    "zabbix": lambda servers: OutputSettings(zabbix=(ZabbixSettings(address=servers.zabbix.address),)),
    "file": lambda servers: OutputSettings(file=(FileSettings(files=(str(servers.folder / "lines"),)),)),
}


@contextlib.contextmanager
def gathering(containers: int) -> Iterator[Inputs]:
    """The inputs of an agent on a host with so many containers."""
    with own_dockerd() as daemon, contextlib.closing(daemon.client(timeout=120)) as client:
        image = import_busybox(client)
        for number in range(containers):
            client.containers.run(
                image, ["sh", "-c", FIVE_PROCESSES], name=f"bench-{number}", detach=True, network_mode="none"
            )
        docker = DockerSettings(address=daemon.address, root=daemon.root)
        inputs = build_inputs(AgentSettings(min_age=0.001), InputSettings(docker=docker), dict)
        inputs.events.start()
        try:
            wait_until(lambda: _known(inputs) >= containers, deadline=60, what="all containers")
            yield inputs
        finally:
            inputs.close()


def _known(inputs: Inputs) -> int:
    """Containers with names; others on this machine are of other daemons."""
    inputs.collector.collect()
    return sum(container.metadata is not None for container in inputs.index.containers)


def queued(outputs: Outputs) -> int:
    """Points that wait."""
    return sum(state.queued for state in outputs.states().values())


def cost(settings: OutputSettings, samples: Sequence[Sample], folder: Path) -> Figures:
    """CPU of the way of `COLLECTIONS` collections, each flushed on its own as in an agent."""
    outputs = Outputs(AgentSettings(buffer_directory=folder, flush_interval=0.1), settings)
    projection = TelegrafProjection("bench")
    outputs.start()
    when = time.time_ns() - 2 * COLLECTIONS * 10 * SECOND
    points = 0
    for number in range(2 * COLLECTIONS):
        if number == COLLECTIONS:  # the first half made connections, series in the server, caches
            begin, points = time.process_time(), 0
        collection = projection.project(samples, when + number * 10 * SECOND)
        outputs.put(collection)
        points += len(collection)
        wait_until(lambda: not queued(outputs), deadline=PATIENCE, what="delivery", every=0.1)
    spent = time.process_time() - begin
    (state,) = outputs.states().values()
    outputs.close(PATIENCE)
    assert state.errors == sum(state.dropped.values()) == 0
    return {
        "points_per_collection": points / COLLECTIONS,
        "cpu_ms_per_1000_points": spent / points * 1e6,
        "cpu_ms_per_collection": spent / COLLECTIONS * 1e3,
        "percent_of_a_core_at_10s": spent / COLLECTIONS / INTERVAL * 100,
    }


def stages(samples: Sequence[Sample]) -> Figures:
    """What the parts in front of the spool cost, which all sinks of line protocol share; milliseconds of CPU."""
    projection = TelegrafProjection("bench")
    times = {"projection_ms": 0.0, "line_protocol_ms": 0.0}
    encoder = LineEncoder()
    for number in range(COLLECTIONS):
        begin = time.process_time()
        points = projection.project(samples, number)
        projected = time.process_time()
        list(encoder.encode(points))
        times["projection_ms"] += (projected - begin) * 1e3 / COLLECTIONS
        times["line_protocol_ms"] += (time.process_time() - projected) * 1e3 / COLLECTIONS
    return times


def drain(settings: OutputSettings, inputs: Inputs, samples: Sequence[Sample], folder: Path) -> Figures:
    """Put an hour's collections, then deliver them while collections go on every second."""
    outputs = Outputs(AgentSettings(buffer_directory=folder, flush_interval=1.0, buffer_disk_limit=2**30), settings)
    projection = TelegrafProjection("bench")
    when = time.time_ns() - HOUR * 10 * SECOND
    for number in range(HOUR):
        outputs.put(projection.project(samples, when + number * 10 * SECOND))
    (state,) = outputs.states().values()
    backlog, size = state.queued, state.queued_bytes

    def collect() -> float:
        begin = time.perf_counter()
        collection = inputs.collector.collect()
        outputs.put(projection.project(collection.samples, int(collection.taken_at * SECOND)))
        return (time.perf_counter() - begin) * 1e3

    pause = threading.Event()
    alone = sorted(collect() for _ in range(10) if not pause.wait(0.2))
    outputs.start()
    begin, spent = time.monotonic(), time.process_time()
    beside = []
    while queued(outputs) > len(projection.project(samples, 0)):
        beside.append(collect())
        pause.wait(1.0)
    seconds, spent = time.monotonic() - begin, time.process_time() - spent
    (state,) = outputs.states().values()
    outputs.close(PATIENCE)
    assert sum(state.dropped.values()) == 0
    beside.sort()
    return {
        "backlog_points": backlog,
        "backlog_mib": size / 2**20,
        "seconds": seconds,
        "points_per_second": backlog / seconds,
        "cpu_percent": spent / seconds * 100,
        "collection_p50_ms_before": alone[len(alone) // 2],
        "collection_p50_ms_meanwhile": beside[len(beside) // 2],
        "collection_max_ms_meanwhile": beside[-1],
    }


def telegraf(samples: Sequence[Sample], servers: Servers) -> Figures:
    """telegraf with the same lines in a file as its input, once a second; reading them is in its figure."""
    lines = servers.folder / "telegraf.lines"
    points = TelegrafProjection("bench").project(samples, 0)
    lines.write_bytes(b"".join(line.rpartition(b" ")[0] + b"\n" for line in encode(points)))
    config = servers.folder / "telegraf.conf"
    config.write_text(
        '[agent]\ninterval = "1s"\nflush_interval = "1s"\nomit_hostname = true\n'
        f'[[inputs.file]]\nfiles = ["{lines}"]\ndata_format = "influx"\n'
        f'[[outputs.influxdb]]\nurls = ["{servers.influxdb.url}"]\nskip_database_creation = true\n'
    )
    with process([TELEGRAF, "--config", str(config)], servers.folder / "telegraf.log") as started:
        pause = threading.Event()
        pause.wait(5.0)
        before = cpu_seconds(started.pid)
        pause.wait(20.0)
        spent = (cpu_seconds(started.pid) - before) / 20
    return {"points_per_collection": len(points), "cpu_ms_per_1000_points": spent / len(points) * 1e6}


def run(containers: int) -> dict[str, Figures]:
    """Figures by sink, of the shared stages, of the backlog, and of telegraf if it is there."""
    results: dict[str, Figures] = {}
    graphite, opentsdb = free_port(), free_port()
    ports = f"-graphiteListenAddr=127.0.0.1:{graphite}", f"-opentsdbHTTPListenAddr=127.0.0.1:{opentsdb}"
    with (
        tempfile.TemporaryDirectory() as name,
        gathering(containers) as inputs,
        influxdb(Path(name)) as influx,
        victoria_metrics(Path(name), None, *ports) as victoria,
        zabbix() as zabbix_server,
    ):
        influx_query(influx, "CREATE DATABASE telegraf")
        servers = Servers(influx, victoria, graphite, opentsdb, zabbix_server, Path(name))
        samples = inputs.collector.collect().samples
        spools = (Path(name) / f"spool-{number}" for number in itertools.count())
        results["all sinks"] = {"samples": len(samples), **stages(samples)}
        for kind, settings in SINKS.items():
            results[kind] = cost(settings(servers), samples, next(spools))
        results["an hour's backlog, influxdb"] = drain(SINKS["influxdb"](servers), inputs, samples, next(spools))
        if shutil.which(TELEGRAF):
            results[TELEGRAF] = telegraf(samples, servers)
    return results


def main() -> None:
    """Run, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--containers", type=int, default=CONTAINERS)
    options = parser.parse_args()
    results = run(options.containers)
    table = Table("of", "figure", "value")
    for name, figures in results.items():
        for figure, value in figures.items():
            table.add_row(name, figure, f"{value:.4g}")
    Console().print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"machine": os.uname().release, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
