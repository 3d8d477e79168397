"""Fleet: which hosts are heard of, which have room, and which containers work hardest."""

from __future__ import annotations

from grafanalib.formatunits import BYTES_IEC, BYTES_SEC, NUMBER_FORMAT, PERCENT_UNIT, SECONDS, SHORT

from alerts import thresholds
from collector import catalogue
from collector.metrics import Metric
from dashboards.addresses import (
    INFLUX_CONTAINER_UID,
    INFLUX_FLEET_UID,
    INFLUX_HOST_UID,
    INFLUX_NETWORK_UID,
    neighbours,
)
from dashboards.colours import above
from dashboards.influxdb import values as v
from dashboards.influxdb.influxql import Stored, stored
from dashboards.influxdb.marks import marks
from dashboards.influxdb.usage import busiest_disk, least_disk_space, memory_used, pressure
from dashboards.panels import Graph, faults, glance, lines
from dashboards.shared import fleet as shared
from dashboards.spec import Column, Dashboard, KeyLink, Panel, Query, Row, Source, Table, TimeSeries

_SCOPE = v.HOSTS_SCOPE
_HOST = "$tag_host"


def dashboard() -> Dashboard:
    """The entry to the others."""
    return Dashboard(
        uid=INFLUX_FLEET_UID,
        title="vdbmon / InfluxDB / Fleet",
        description="All hosts as InfluxDB has them: who is heard of, who has room, which containers work hardest.",
        source=Source.INFLUXDB,
        variables=(v.HOSTS,),
        rows=(
            Row("now", "Now", (*_at_a_glance(), _hosts_table())),
            Row("headroom", "Headroom", _headroom()),
            Row("containers", "Top talkers", (_containers_table(),)),
            Row("docker", "Docker and agents", _docker_and_agents()),
        ),
        neighbours=neighbours(INFLUX_HOST_UID, INFLUX_CONTAINER_UID, INFLUX_NETWORK_UID),
        annotations=marks(),
    )


def _at_a_glance() -> tuple[Panel, ...]:
    oom_kills = stored(catalogue.cgroup.OOM_EVENTS)
    return (
        glance(
            "hosts-heard-of",
            "Hosts heard of",
            "Hosts that wrote in the time shown. Fewer than there are: an agent or its way to InfluxDB is down.",
            _SCOPE.count(v.UPTIME, "host"),
            unit=NUMBER_FORMAT,
            width=6,
        ),
        glance(
            "containers",
            "Containers heard of",
            "Containers that were measured in the time shown, ended ones too. None: agents see no cgroups.",
            _SCOPE.count(v.CONTAINER_CPU, "host", "container_name"),
            unit=NUMBER_FORMAT,
            width=6,
        ),
        glance(
            "busiest",
            "Busiest disk",
            "Highest share of time with I/O in flight. Red: that disk is the bottleneck; lower limits on its host.",
            _SCOPE.gauge(v.DISK_UTIL, function="max", divide=v.PERCENT),
            unit=PERCENT_UNIT,
            steps=above(thresholds.DISK_BUSY_RATIO),
            width=6,
        ),
        faults(
            "oom-kills",
            "OOM kills per second",
            "In all containers. Each one is a failed job: find it in the table and give it more memory.",
            _SCOPE.sum_of_rates(oom_kills, ("host", "name")),
            width=6,
        ),
    )


def _hosts_table() -> Table:
    return Table(
        slug="hosts",
        title="Hosts",
        description="One line per host, the fullest memory first. Click a host for the reasons behind a colour.",
        height=12,
        keys=("host",),
        sort_by="Memory available",
        descending=False,
        links=(KeyLink("host", INFLUX_HOST_UID, carried=("host",)),),
        columns=(
            Column(
                "CPU used",
                _SCOPE.latest(v.CPU_ACTIVE, "CPU used", "host", where=v.TOTAL_CPU, divide=v.PERCENT),
                PERCENT_UNIT,
            ),
            Column(
                "Memory available",
                _SCOPE.latest(v.MEMORY_AVAILABLE, "Memory available", "host", divide=v.PERCENT),
                PERCENT_UNIT,
            ),
            Column(
                "Busiest disk",
                _SCOPE.latest(v.DISK_UTIL, "Busiest disk", "host", function="max", divide=v.PERCENT),
                PERCENT_UNIT,
                above(thresholds.DISK_BUSY_RATIO),
            ),
            Column("Containers", _SCOPE.latest(v.CONTAINERS, "Containers", "host"), NUMBER_FORMAT),
            Column("Up for", _SCOPE.latest(v.UPTIME, "Up for", "host"), SECONDS),
        ),
    )


def _headroom() -> tuple[Panel, ...]:
    def per_host(graph: Graph, expr: str) -> TimeSeries:
        return graph.of(Query(expr, _HOST), width=6)

    return (
        per_host(shared.CPU_USED, _SCOPE.gauge(v.CPU_ACTIVE, "host", where=v.TOTAL_CPU, divide=v.PERCENT)),
        per_host(shared.CPU_WAITING, pressure(_SCOPE, "cpu", "some", "host")),
        per_host(shared.MEMORY_USED, memory_used(_SCOPE, "host")),
        per_host(shared.MEMORY_STALLED, pressure(_SCOPE, "memory", "full", "host")),
        per_host(shared.DISK_SPACE, least_disk_space(_SCOPE, "host")),
        per_host(shared.DISK_BUSY, busiest_disk(_SCOPE, "host")),
        per_host(shared.IO_STALLED, pressure(_SCOPE, "io", "full", "host")),
        shared.NETWORK_BYTES.of(
            Query(_network(catalogue.host.NET_RECEIVE_BYTES), f"{_HOST} received"),
            Query(_network(catalogue.host.NET_TRANSMIT_BYTES), f"{_HOST} sent"),
            width=6,
        ),
    )


def _network(metric: Metric) -> str:
    return _SCOPE.sum_of_rates(stored(metric), ("interface",), "host", where=v.NO_LOOPBACK)


def _containers_table() -> Table:
    by = ("host", "container_name")

    def rate(title: str, value: Stored, where: str) -> Column:
        return Column(title, _SCOPE.latest_rate(value, title, *by, where=where), BYTES_SEC)

    return Table(
        slug="busiest-containers",
        title="Busiest containers",
        description="What each container takes now, the most CPU first. Click a name to see it against its limits.",
        height=12,
        keys=by,
        sort_by="CPU of a core",
        links=(
            KeyLink("host", INFLUX_HOST_UID, carried=("host",)),
            KeyLink("container_name", INFLUX_CONTAINER_UID, carried=by),
        ),
        columns=(
            Column(
                "CPU of a core",
                _SCOPE.latest(v.CONTAINER_CPU, "CPU of a core", *by, where=v.TOTAL_CPU, divide=v.PERCENT),
                PERCENT_UNIT,
            ),
            Column("Memory", _SCOPE.latest(v.CONTAINER_MEMORY, "Memory", *by), BYTES_IEC),
            Column(
                "Memory of limit",
                _SCOPE.latest(v.CONTAINER_MEMORY_OF_LIMIT, "Memory of limit", *by, divide=v.PERCENT),
                PERCENT_UNIT,
                above(thresholds.CONTAINER_MEMORY_RATIO),
            ),
            rate("Read", v.CONTAINER_READ, v.TOTAL_DEVICE),
            rate("Written", v.CONTAINER_WRITTEN, v.TOTAL_DEVICE),
            rate("Received", v.CONTAINER_RECEIVED, v.TOTAL_NETWORK),
            rate("Sent", v.CONTAINER_SENT, v.TOTAL_NETWORK),
        ),
    )


def _docker_and_agents() -> tuple[Panel, ...]:
    internal = catalogue.internal
    return (
        shared.DOCKER_SLOWEST.of(Query(_SCOPE.gauge(v.PROBE_DURATION, "host", function="max"), _HOST)),
        lines(
            "gather-time",
            "Slowest input",
            "Time of a gathering. One that climbs is stuck in the kernel or a command; its own figures age.",
            Query(_SCOPE.gauge(stored(internal.INPUT_DURATION), "host", function="max"), _HOST),
            unit=SECONDS,
        ),
        lines(
            "buffer",
            "Points that wait",
            "In the agents' spools. Growing: InfluxDB takes less than comes in; they drain by themselves later.",
            Query(
                _SCOPE.gauge(stored(internal.OUTPUT_QUEUED), "host", "output", function="max"), f"{_HOST} $tag_output"
            ),
            unit=SHORT,
        ),
    )
