"""Fleet: is every host seen, which hosts have room, which are closed, and which containers work hardest."""

from __future__ import annotations

from grafanalib.formatunits import BYTES_SEC, NUMBER_FORMAT, PERCENT_UNIT, SECONDS, SHORT

from alerts import thresholds
from collector import catalogue
from collector.fleet_metrics import HOST_OPEN
from collector.metrics import Metric
from dashboards.addresses import (
    CAPACITY_UID,
    DOCKER_UID,
    FLEET_UID,
    HOST_UID,
    JOBS_UID,
    NETWORK_UID,
    STORAGE_UID,
    neighbours,
)
from dashboards.colours import above, below
from dashboards.panels import Graph, faults, glance, lines
from dashboards.prometheus import usage
from dashboards.prometheus.alerts_table import OPEN, closed_hosts_table, closing_alerts_table
from dashboards.prometheus.container_table import busiest_containers
from dashboards.prometheus.marks import FLEET_MARKS
from dashboards.prometheus.promql import closing_alerts, how_many
from dashboards.prometheus.variables import EVERY_HOST, HOST_OR_FLEET, HOSTS, JOB, SERVE_HOSTS
from dashboards.shared import fleet as shared
from dashboards.spec import Column, Dashboard, KeyLink, Panel, Query, Row, Table, TimeSeries

_SCOPE = EVERY_HOST
_IS_CONTAINER = 'image!=""'


def dashboard() -> Dashboard:
    """The entry to all others."""
    return Dashboard(
        uid=FLEET_UID,
        title="vdbmon / Fleet",
        description="All hosts that run backup and restore containers: who answers, who has room, who is closed.",
        variables=(JOB, HOSTS),
        rows=(
            Row("now", "Now", (*_counts(), _headroom_table(), closing_alerts_table(12), closed_hosts_table())),
            Row("headroom", "Headroom", _headroom()),
            Row("containers", "Top talkers", (busiest_containers(_SCOPE), *_top_talkers(), _containers_per_host())),
            Row("docker", "Docker and agents", _docker_and_agents()),
        ),
        neighbours=neighbours(JOBS_UID, CAPACITY_UID, NETWORK_UID, STORAGE_UID, DOCKER_UID),
        annotations=FLEET_MARKS,
    )


def _counts() -> tuple[Panel, ...]:
    oom_kills = _SCOPE.increase(catalogue.cgroup.OOM_EVENTS)
    return (
        glance(
            "agents-up",
            "Agents that answer",
            "Hosts whose agent Prometheus can scrape.",
            how_many(f"{usage.agent_up(_SCOPE)} == 1"),
            unit=NUMBER_FORMAT,
        ),
        faults(
            "agents-down",
            "Agents that don't",
            "Hosts nobody sees: not placed upon, and their alerts can't fire. Check the host, then its agent's log.",
            how_many(f"{usage.agent_up(_SCOPE)} == 0"),
        ),
        faults(
            "docker-hung",
            "Docker daemons that hang",
            "Hosts where an endpoint of the daemon misses its deadline. Containers run on; open the host to see which.",
            how_many(f"{usage.docker_answers(_SCOPE)} == 0"),
        ),
        faults(
            "closing-alert-count",
            "Alerts that close placement",
            "Firing alerts with gate=place. The table below names them and their hosts.",
            how_many(closing_alerts(HOST_OR_FLEET)),
        ),
        glance(
            "containers-running",
            "Containers running",
            "As the kernel shows them, whatever the Docker daemons say.",
            f"sum({_SCOPE.gauge(catalogue.containers.RUNNING)})",
            unit=NUMBER_FORMAT,
        ),
        faults(
            "oom-kills",
            "OOM kills in containers",
            "Processes killed at a memory limit in the time shown. The job in it has failed: give it more.",
            f"round(sum({oom_kills}))",
        ),
    )


def _headroom_table() -> Table:
    disk = below(thresholds.DISK_AVAIL_CRITICAL, warning=thresholds.DISK_AVAIL_WARNING)
    return Table(
        slug="hosts",
        title="Hosts",
        description="One line per host, the fullest memory first. Click a host for the reasons behind a colour.",
        height=12,
        keys=("host",),
        sort_by="Memory used",
        links=(KeyLink("host", HOST_UID, carried=("host",)),),
        columns=(
            Column("Agent", usage.agent_up(_SCOPE), NUMBER_FORMAT, mappings=usage.ANSWERS),
            Column("Docker", usage.docker_answers(_SCOPE), NUMBER_FORMAT, mappings=usage.ANSWERS),
            Column("Placement", f"max by (host) ({SERVE_HOSTS.gauge(HOST_OPEN)})", NUMBER_FORMAT, mappings=OPEN),
            Column("CPU used", usage.cpu_used(_SCOPE), PERCENT_UNIT),
            Column("Memory used", usage.memory_used(_SCOPE), PERCENT_UNIT, above(thresholds.MEMORY_USED_RATIO)),
            Column("Least disk space", usage.least_disk_space(_SCOPE), PERCENT_UNIT, disk),
            Column("Busiest disk", usage.busiest_disk(_SCOPE), PERCENT_UNIT, above(thresholds.DISK_BUSY_RATIO)),
            Column(
                "I/O stalled",
                usage.pressure(_SCOPE, "io", "full"),
                PERCENT_UNIT,
                above(thresholds.IO_STALLED_RATIO),
            ),
            Column("Containers", f"max by (host) ({_SCOPE.gauge(catalogue.containers.RUNNING)})", NUMBER_FORMAT),
        ),
    )


def _headroom() -> tuple[Panel, ...]:
    def per_host(graph: Graph, expr: str) -> TimeSeries:
        return graph.of(Query(expr, "{{host}}"), width=6)

    return (
        per_host(shared.CPU_USED, usage.recorded_cpu_used()),
        per_host(shared.CPU_WAITING, usage.recorded_pressure("cpu", "some")),
        per_host(shared.MEMORY_USED, usage.recorded_memory_used()),
        per_host(shared.MEMORY_STALLED, usage.recorded_pressure("memory", "full")),
        per_host(shared.DISK_SPACE, usage.least_disk_space(_SCOPE)),
        per_host(shared.DISK_BUSY, usage.recorded_busiest_disk()),
        per_host(shared.IO_STALLED, usage.recorded_pressure("io", "full")),
        shared.NETWORK_BYTES.of(
            Query(usage.network_received(_SCOPE), "{{host}} received"),
            Query(usage.network_sent(_SCOPE), "{{host}} sent"),
            width=6,
        ),
    )


def _top_talkers() -> tuple[Panel, ...]:
    def top(*metrics: Metric) -> Query:
        rates = " + ".join(f"sum by (host, name) ({_SCOPE.rate(metric, _IS_CONTAINER)})" for metric in metrics)
        return Query(f"topk(5, {rates})", "{{host}} {{name}}")

    cgroup, network = catalogue.cgroup, catalogue.network
    return (
        lines(
            "top-cpu",
            "Most CPU, cores",
            "The five busiest containers. One that stays on top after its job should have ended: see its processes.",
            top(cgroup.CPU_USAGE),
            unit=SHORT,
        ),
        lines(
            "top-disk",
            "Most disk I/O",
            "Read and written together. One without a limit starves its host's disk: set one while it runs.",
            top(cgroup.FS_READ_BYTES, cgroup.FS_WRITE_BYTES),
            unit=BYTES_SEC,
        ),
        lines(
            "top-network",
            "Most network",
            "Received and sent together. Two on one host near the link's speed: start such jobs apart.",
            top(network.RECEIVE_BYTES, network.TRANSMIT_BYTES),
            unit=BYTES_SEC,
        ),
    )


def _containers_per_host() -> TimeSeries:
    return lines(
        "containers-per-host",
        "Containers per host",
        "Running containers as the kernel shows them. A sudden drop on one host: open it; see OOM kills.",
        Query(f"max by (host) ({_SCOPE.gauge(catalogue.containers.RUNNING)})", "{{host}}"),
        unit=SHORT,
        stacked=True,
        width=24,
    )


def _docker_and_agents() -> tuple[Panel, ...]:
    last = f"max by (host) ({_SCOPE.gauge(catalogue.internal.INPUT_LAST_SUCCESS)})"
    return (
        shared.DOCKER_SLOWEST.of(Query(usage.docker_slowest_probe(_SCOPE), "{{host}}")),
        lines(
            "telemetry-age",
            "Age of telemetry",
            "Time since the agent's last good collection. Above the line the host is not placed upon.",
            Query(f"time() - {last}", "{{host}}"),
            unit=SECONDS,
            steps=above(thresholds.TELEMETRY_STALE_AFTER),
        ),
        lines(
            "agent-cpu",
            "CPU of the agents",
            "Share of one core. Above a few per cent: look at the input durations on the host's dashboard.",
            Query(f"max by (host) ({_SCOPE.rate(catalogue.internal.CPU_SECONDS)})", "{{host}}"),
            unit=PERCENT_UNIT,
            steps=above(thresholds.AGENT_CPU),
        ),
    )
