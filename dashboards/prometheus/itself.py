"""vdbmon itself: agents and what they cost, their outputs, the scheduler's beat, and the alerting behind it all."""

from __future__ import annotations

from grafanalib.formatunits import (
    BYTES_IEC,
    COUNTS_PER_SEC,
    DURATION_SECONDS,
    NUMBER_FORMAT,
    PERCENT_UNIT,
    SECONDS,
    SHORT,
)

from alerts import foreign, thresholds
from collector import catalogue
from collector import fleet_metrics as fleet
from collector.metrics import Metric
from dashboards.addresses import CAPACITY_UID, DOCKER_UID, FLEET_UID, HOST_UID, ITSELF_UID, neighbours
from dashboards.colours import CRITICAL, GOOD, NONE_IS_GOOD, above
from dashboards.panels import faults, glance, lines
from dashboards.prometheus import usage
from dashboards.prometheus.alerting_panels import alerting_panels
from dashboards.prometheus.foreign import RULE_GROUP_LAST, SCRAPE_DURATION, SCRAPE_SAMPLES
from dashboards.prometheus.marks import FLEET_MARKS
from dashboards.prometheus.per_label import PerLabel
from dashboards.prometheus.promql import how_many
from dashboards.prometheus.serve_panels import serve_panels
from dashboards.prometheus.variables import EVERY_HOST, HOSTS, JOB, SERVE
from dashboards.spec import Column, Dashboard, KeyLink, Mapping, Panel, Query, Row, Table

_SCOPE = EVERY_HOST
_internal, _tables, _exec = catalogue.internal, catalogue.tables, catalogue.exec
_docker, _volume = catalogue.docker, catalogue.volume
_OUTPUTS = PerLabel(_SCOPE, ("host", "output"))
_HOST = (KeyLink("host", HOST_UID, carried=("host",)),)
_WELL = (Mapping(0, "fails", CRITICAL), Mapping(1, "well", GOOD))
_GATES = f'rule_group=~".*;{thresholds.GATE_GROUP}"'


def dashboard() -> Dashboard:
    """Whether the monitoring can be believed."""
    return Dashboard(
        uid=ITSELF_UID,
        title="vdbmon / Itself",
        description=(
            "Agents, outputs, the scheduler's beat, Prometheus and Alertmanager: can what is shown be believed?"
        ),
        variables=(JOB, HOSTS),
        rows=(
            Row("now", "Now", (*_at_a_glance(), _agents_table())),
            Row("agents", "Agents", _agents()),
            Row("outputs", "Outputs", _outputs()),
            Row("serve", "vdbmon serve", serve_panels()),
            Row("alerting", "Prometheus and Alertmanager", alerting_panels()),
        ),
        neighbours=neighbours(FLEET_UID, HOST_UID, DOCKER_UID, CAPACITY_UID),
        annotations=FLEET_MARKS,
    )


def _at_a_glance() -> tuple[Panel, ...]:
    return (
        faults(
            "agents-down",
            "Agents that don't answer",
            "Hosts nobody sees. Check the host, then its agent's log; placement there is closed meanwhile.",
            how_many(f"{usage.agent_up(_SCOPE)} == 0"),
        ),
        faults(
            "inputs-failing",
            "Inputs that fail",
            "Over all agents. The table below and the agent's log name them; only their own metrics are missing.",
            how_many(f"max by (host, input) ({_SCOPE.gauge(_internal.INPUT_UP)}) == 0"),
        ),
        faults(
            "points-lost",
            "Points lost",
            "Given up by outputs in the time shown. The far end was away longer than the spool lasts: enlarge it.",
            f"round(sum({_SCOPE.increase(_internal.OUTPUT_DROPPED)})) or vector(0)",
        ),
        faults(
            "bad-configurations",
            "Agents on an old configuration",
            "Their file was bad when last read. `vdbmon agent check-config` on the host says where.",
            how_many(f"max by (host) ({_SCOPE.gauge(_internal.CONFIG_LOADED)}) == 0"),
        ),
        *_rounds(),
    )


def _rounds() -> tuple[Panel, ...]:
    return (
        glance(
            "beat-age",
            "Scheduler's last beat",
            (
                "Age of the last round of `vdbmon serve`. Minutes: it hangs or is gone; schedules and reconciling "
                "stand still."
            ),
            f"time() - max({SERVE.gauge(fleet.LAST_BEAT)})",
            unit=DURATION_SECONDS,
            steps=above(thresholds.SERVE_BEAT_AGE),
        ),
        glance(
            "gates-age",
            "Age of the gates",
            (
                "Since Prometheus evaluated the gate rules. Red: placement is closed everywhere; see Prometheus' "
                "rules page."
            ),
            f"time() - max({RULE_GROUP_LAST}{{{foreign.PROMETHEUS_JOB}, {_GATES}}})",
            unit=DURATION_SECONDS,
            steps=above(thresholds.RULES_STALE_AFTER),
        ),
    )


def _agents_table() -> Table:
    last = f"min by (host) ({_SCOPE.gauge(_internal.INPUT_LAST_SUCCESS)})"
    fails = f"sum by (host) ({_SCOPE.gauge(_internal.INPUT_UP)} == bool 0)"
    return Table(
        slug="agents",
        title="Agents",
        description="One line per host, the oldest figures first. Click a host for its inputs and their durations.",
        height=10,
        keys=("host",),
        sort_by="Oldest input",
        links=_HOST,
        columns=(
            Column("Agent", usage.agent_up(_SCOPE), NUMBER_FORMAT, mappings=usage.ANSWERS),
            Column("Oldest input", f"time() - {last}", DURATION_SECONDS),
            Column("Failing inputs", fails, NUMBER_FORMAT, NONE_IS_GOOD),
            Column("CPU of a core", f"max by (host) ({_SCOPE.rate(_internal.CPU_SECONDS)})", PERCENT_UNIT),
            Column("Memory", f"max by (host) ({_SCOPE.gauge(_internal.RESIDENT)})", BYTES_IEC),
            Column("Descriptors", f"max by (host) ({_SCOPE.gauge(_internal.OPEN_FDS)})", SHORT),
            Column("Configuration", _loaded(), NUMBER_FORMAT, mappings=_WELL),
            Column("Runs for", f"time() - max by (host) ({_SCOPE.gauge(_internal.START_TIME)})", DURATION_SECONDS),
        ),
    )


def _loaded() -> str:
    return f"max by (host) ({_SCOPE.gauge(_internal.CONFIG_LOADED)})"


def _agents() -> tuple[Panel, ...]:
    scraped = f"max by (host) ({SCRAPE_SAMPLES}{{{_SCOPE.target}}})"
    return (
        lines(
            "scrape-duration",
            "Time of a scrape",
            "As Prometheus sees it. Near the scrape timeout graphs get gaps: find the slow input on the host.",
            Query(f"max by (host) ({SCRAPE_DURATION}{{{_SCOPE.target}}})", "{{host}}"),
            unit=SECONDS,
        ),
        lines(
            "scrape-samples",
            "Samples of a scrape",
            "Grows with containers, disks and interfaces. A jump without new containers: see what appeared.",
            Query(scraped, "{{host}}"),
            unit=SHORT,
        ),
        lines(
            "agent-cpu",
            "CPU of the agents",
            "Share of one core. Above a few per cent: look at the input durations on the host's dashboard.",
            Query(f"max by (host) ({_SCOPE.rate(_internal.CPU_SECONDS)})", "{{host}}"),
            unit=PERCENT_UNIT,
            steps=above(thresholds.AGENT_CPU),
        ),
        *_inputs(),
    )


def _inputs() -> tuple[Panel, ...]:
    return (
        lines(
            "slowest-input",
            "Slowest inputs",
            "The ten that take longest. One that climbs is stuck in the kernel or a command; its own metrics age.",
            Query(f"topk(10, max by (host, input) ({_SCOPE.gauge(_internal.INPUT_DURATION)}))", "{{host}} {{input}}"),
            unit=SECONDS,
        ),
        lines(
            "input-errors",
            "Failures of inputs",
            "Gatherings that failed or overran. The agent's log has the reason, once per change.",
            Query(f"sum by (host, input) ({_SCOPE.rate(_internal.INPUT_ERRORS)})", "{{host}} {{input}}"),
            unit=COUNTS_PER_SEC,
        ),
        lines(
            "parse-errors",
            "Lines not understood",
            "Skipped lines of kernel files. Above zero: a kernel wrote something new; report it with the agent's log.",
            Query(f"sum by (host, input) ({_SCOPE.rate(_internal.PARSE_ERRORS)})", "{{host}} {{input}}"),
            unit=COUNTS_PER_SEC,
        ),
        *_read_apart(),
    )


def _read_apart() -> tuple[Panel, ...]:
    """What has a pace of its own, so that it can't hold up a scrape."""
    ages = {
        _docker.STATES_LAST_SUCCESS: "files of Docker",
        _volume.LAST_READ: "volumes",
        catalogue.job.LAST_READ: "job files",
    }

    def age(metric: Metric, what: str, *by: str) -> Query:
        each = PerLabel(_SCOPE, ("host", *by)).gauge(metric, what)
        return Query(f"time() - {each.expr}", each.legend)

    return (
        lines(
            "tables-age",
            "Age of what is read apart",
            "Slow tables, commands, volumes, files of Docker and of jobs have a pace of their own. A climb: one hangs.",
            age(_tables.LAST_SUCCESS, "", "table"),
            age(_exec.LAST_SUCCESS, "", "command"),
            *(age(metric, what) for metric, what in ages.items()),
            unit=DURATION_SECONDS,
            width=12,
        ),
        lines(
            "left-out",
            "Left out",
            "Open vSwitch: interfaces above `max_interfaces`. Commands: lines that are no metric, and series twice.",
            PerLabel(_SCOPE, ("host", "kind")).gauge(catalogue.ovs.LEFT_OUT, "of Open vSwitch"),
            PerLabel(_SCOPE, ("host", "command", "reason")).gauge(_exec.REFUSED),
            PerLabel(_SCOPE, ("host",)).gauge(_exec.CLASHES, "twice"),
            unit=SHORT,
            width=12,
        ),
    )


def _outputs() -> tuple[Panel, ...]:
    return (
        lines(
            "output-written",
            "Points delivered",
            "Accepted by the far end. At zero with a queue that grows: it is away or refuses; see the errors.",
            _OUTPUTS.rate(_internal.OUTPUT_WRITTEN),
            unit=COUNTS_PER_SEC,
        ),
        lines(
            "output-lost",
            "Points lost",
            (
                "Overflow: the spool is too small for the outage. Rejected: the far end calls them bad; read the "
                "agent's log."
            ),
            Query(f"sum by (output, cause) ({_SCOPE.rate(_internal.OUTPUT_DROPPED)})", "{{output}} {{cause}}"),
            Query(f"sum by (output) ({_SCOPE.rate(_internal.OUTPUT_REJECTED_VALUES)})", "{{output}} values refused"),
            unit=COUNTS_PER_SEC,
        ),
        lines(
            "output-errors",
            "Writes that failed",
            "They are tried again. Steady: check address, token and clock of the far end.",
            _OUTPUTS.rate(_internal.OUTPUT_ERRORS),
            unit=COUNTS_PER_SEC,
        ),
        *_queues(),
    )


def _queues() -> tuple[Panel, ...]:
    mean = f"{_SCOPE.rate(_internal.OUTPUT_WRITE_SECONDS)} / ({_SCOPE.rate(_internal.OUTPUT_BATCHES)} > 0)"
    return (
        lines(
            "output-queue-age",
            "Oldest point that waits",
            "How far the far end is behind. It drains by itself once the far end takes more than comes in.",
            _OUTPUTS.gauge(_internal.OUTPUT_QUEUED_AGE),
            unit=DURATION_SECONDS,
            steps=above(thresholds.OUTPUT_BEHIND),
        ),
        lines(
            "output-queue",
            "Size of the queues",
            "On disk and in memory. Near the configured limit the oldest points are given up next.",
            _OUTPUTS.gauge(_internal.OUTPUT_QUEUED_BYTES),
            unit=BYTES_IEC,
        ),
        lines(
            "output-duration",
            "Time of a write",
            "The last write and the mean. Near the interval of flushing: the far end is too slow for what is sent.",
            _OUTPUTS.gauge(_internal.OUTPUT_LAST_WRITE),
            _OUTPUTS.line(mean, "mean"),
            unit=SECONDS,
        ),
    )
