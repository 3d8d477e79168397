"""Docker engines: the probe ladder of every host, latency, descriptors, and what daemons say of their containers."""

from __future__ import annotations

from grafanalib.formatunits import COUNTS_PER_SEC, DURATION_SECONDS, NUMBER_FORMAT, PERCENT_UNIT, SECONDS, SHORT

from alerts import thresholds
from collector import catalogue
from dashboards.addresses import CONTAINER_UID, DOCKER_UID, FLEET_UID, HOST_UID, ITSELF_UID, neighbours
from dashboards.colours import CRITICAL, GOOD, NEUTRAL, above
from dashboards.panels import faults, glance, lines
from dashboards.prometheus import usage
from dashboards.prometheus.docker_panels import how_to_read, probe_ladder
from dashboards.prometheus.marks import FLEET_MARKS
from dashboards.prometheus.per_label import PerLabel
from dashboards.prometheus.promql import how_many
from dashboards.prometheus.variables import EVERY_HOST, HOSTS, JOB
from dashboards.spec import Column, Dashboard, KeyLink, Mapping, Panel, Query, Row, Table

_SCOPE = EVERY_HOST
_docker = catalogue.docker
_PROCESSES = PerLabel(_SCOPE, ("host", "process"))
_HOST = (KeyLink("host", HOST_UID, carried=("host",)),)
_CONTAINER = (*_HOST, KeyLink("name", CONTAINER_UID, carried=("host", "name")))
_HEALTH = (Mapping(-1, "none", NEUTRAL), Mapping(0, "unhealthy", CRITICAL), Mapping(1, "healthy", GOOD))
_KILLED = (Mapping(0, "no", GOOD), Mapping(1, "yes", CRITICAL))


def dashboard() -> Dashboard:
    """The daemons, which the containers don't need and `vdbmon place` does."""
    return Dashboard(
        uid=DOCKER_UID,
        title="vdbmon / Docker engines",
        description="Which endpoint of which daemon answers, how fast, and whether a daemon leaks. Containers run on.",
        variables=(JOB, HOSTS),
        rows=(
            Row("now", "Now", (*_at_a_glance(), probe_ladder(_SCOPE, "host, endpoint", "{{host}} {{endpoint}}", 16))),
            Row("latency", "Latency", (_endpoints_table(), *_latency())),
            Row("daemon", "Descriptors and goroutines", _leaks()),
            Row("containers", "Containers, as the daemons know them", _containers()),
        ),
        neighbours=neighbours(FLEET_UID, HOST_UID, CONTAINER_UID, ITSELF_UID),
        annotations=FLEET_MARKS,
    )


def _at_a_glance() -> tuple[Panel, ...]:
    answers = usage.docker_answers(_SCOPE)
    return (
        faults(
            "hang-pattern",
            "Hang on a container",
            "Daemons that answer ping and images but not containers or info. Save their stacks, then restart them.",
            how_many(f"max by (host) ({_SCOPE.gauge(_docker.HANG_PATTERN)}) == 1"),
        ),
        faults(
            "not-answering",
            "Don't answer",
            "Daemons of which an endpoint misses its deadline. They are closed to placement until all answer.",
            how_many(f"{answers} == 0"),
        ),
        glance(
            "answering",
            "Answer",
            "Daemons of which every endpoint answers. Fewer than hosts: see the band below for the one that doesn't.",
            how_many(f"{answers} == 1"),
            unit=NUMBER_FORMAT,
        ),
        *_latency_and_leaks(),
    )


def _latency_and_leaks() -> tuple[Panel, ...]:
    return (
        glance(
            "slowest",
            "Slowest endpoint",
            "Of all daemons, a hung call counted up. Above a second for long: look for a busy disk, then for leaks.",
            f"max({usage.docker_slowest_probe(_SCOPE)})",
            unit=SECONDS,
            steps=above(thresholds.DOCKER_SLOW_SECONDS),
        ),
        glance(
            "descriptors",
            "Most descriptors",
            "Open to allowed descriptors of the fullest daemon. Above four fifths: plan a restart with live-restore.",
            f"max({_of_limit()})",
            unit=PERCENT_UNIT,
            steps=above(thresholds.DESCRIPTORS_CRITICAL, warning=thresholds.DESCRIPTORS_WARNING),
        ),
        faults(
            "unnamed",
            "Containers without a name",
            "Born while their daemon hung: measured, but under their id. They get names when it answers again.",
            f"sum({_SCOPE.gauge(catalogue.containers.UNNAMED)})",
        ),
        how_to_read(8),
    )


def _of_limit() -> str:
    return f"{_PROCESSES.gauge(_docker.OPEN_FDS).expr} / {_PROCESSES.limit(_docker.MAX_FDS).expr}"


def _endpoints_table() -> Table:
    by = "max by (host, endpoint)"
    return Table(
        slug="endpoints",
        title="Probes",
        description="The last answer of each endpoint. One that ages while others stay young hangs: save the stacks.",
        height=8,
        keys=("host", "endpoint"),
        sort_by="Last answer",
        links=_HOST,
        columns=(
            Column("State", f"{by} ({_SCOPE.gauge(_docker.PROBE_SUCCESS)})", NUMBER_FORMAT, mappings=usage.ANSWERS),
            Column("Took", f"{by} ({_SCOPE.gauge(_docker.PROBE_DURATION)})", SECONDS),
            Column("Last answer", f"time() - {by} ({_SCOPE.gauge(_docker.PROBE_LAST_SUCCESS)})", DURATION_SECONDS),
        ),
        width=8,
    )


def _latency() -> tuple[Panel, ...]:
    def endpoint(name: str) -> str:
        return f"""max by (host) ({_SCOPE.gauge(_docker.PROBE_DURATION, f'endpoint="{name}"')})"""

    return (
        lines(
            "containers-duration",
            "Time to list containers",
            "What `docker ps` would take. It takes each container's lock: a climb here alone points at one container.",
            Query(endpoint("containers"), "{{host}}"),
            unit=SECONDS,
            steps=above(thresholds.DOCKER_SLOW_SECONDS),
        ),
        lines(
            "ping-duration",
            "Time to answer a ping",
            "Takes no lock. Slow: the daemon or the host is starved of CPU; see the host's pressure.",
            Query(endpoint("ping"), "{{host}}"),
            unit=SECONDS,
            steps=above(thresholds.DOCKER_SLOW_SECONDS),
        ),
    )


def _leaks() -> tuple[Panel, ...]:
    hosts = PerLabel(_SCOPE, ("host",))
    return (
        lines(
            "open-descriptors",
            "Open descriptors",
            "Of dockerd and containerd. A steady climb at an equal number of containers is a leak of sockets or logs.",
            _PROCESSES.gauge(_docker.OPEN_FDS),
            unit=SHORT,
            width=6,
        ),
        lines(
            "descriptors-of-limit",
            "Descriptors of limit",
            "At 100 % the daemon starts, stops and answers nothing. Raise LimitNOFILE or restart it before.",
            Query(_of_limit(), "{{host}} {{process}}"),
            unit=PERCENT_UNIT,
            steps=above(thresholds.DESCRIPTORS_CRITICAL, warning=thresholds.DESCRIPTORS_WARNING),
            width=6,
        ),
        lines(
            "goroutines",
            "Goroutines",
            "Calls that hang add to them and never leave. A climb that survives the load: save the stacks, restart.",
            hosts.gauge(_docker.GOROUTINES),
            unit=SHORT,
            width=6,
        ),
        lines(
            "event-listeners",
            "Event listeners",
            "Clients that follow the daemon's events, the agent among them. A climb: a client reconnects and leaks.",
            hosts.gauge(_docker.EVENT_LISTENERS),
            unit=SHORT,
            width=6,
        ),
    )


def _containers() -> tuple[Panel, ...]:
    def by_name(expr: str) -> str:
        return f"max by (host, name) ({expr})"

    return (
        Table(
            slug="ended",
            title="Containers and how they fare",
            description=(
                "Restarts, health, and how those of the last hour ended. Exit code 137 with OOM: give it more memory; "
                "without it somebody killed the container."
            ),
            height=10,
            keys=("host", "name"),
            sort_by="Restarts per second",
            links=_CONTAINER,
            columns=(
                Column("Restarts per second", by_name(_SCOPE.rate(_docker.RESTARTS)), SHORT),
                Column("Health", by_name(_SCOPE.gauge(_docker.HEALTH)), NUMBER_FORMAT, mappings=_HEALTH),
                Column("OOM", by_name(_SCOPE.gauge(_docker.OOM_KILLED)), NUMBER_FORMAT, mappings=_KILLED),
                Column("Exit code", by_name(_SCOPE.gauge(_docker.EXIT_CODE)), NUMBER_FORMAT),
                Column("Ended", f"time() - {by_name(_SCOPE.gauge(_docker.FINISHED))}", DURATION_SECONDS),
            ),
            width=16,
        ),
        lines(
            "states",
            "Containers by state",
            "As the daemons wrote it down. Many stopped ones hold volumes and names: `vdbmon audit` lists leaks.",
            Query(f"sum by (state) ({_SCOPE.gauge(_docker.STATES)})", "{{state}}"),
            unit=SHORT,
        ),
        lines(
            "restarts",
            "Restarts",
            "By the restart policy. Anything for long is a container that dies at once: read its log.",
            Query(f"sum by (host) ({_SCOPE.rate(_docker.RESTARTS)})", "{{host}}"),
            unit=COUNTS_PER_SEC,
            width=12,
        ),
        lines(
            "images",
            "Images",
            "Images per host. A climb fills the disk under the data root: prune what no container uses.",
            Query(f"max by (host) ({_SCOPE.gauge(_docker.IMAGES)})", "{{host}}"),
            unit=SHORT,
            width=12,
        ),
    )
