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
from dashboards.addresses import CAPACITY_UID, DOCKER_UID, FLEET_UID, HOST_UID, ITSELF_UID, neighbours
from dashboards.colours import CRITICAL, GOOD, NONE_IS_GOOD, above
from dashboards.panels import faults, glance, lines
from dashboards.prometheus import usage
from dashboards.prometheus.foreign import (
    ALERTS_SENT,
    HEAD_SERIES,
    NOTIFICATION_LATENCY,
    RULE_GROUP_DURATION,
    RULE_GROUP_LAST,
    SCRAPE_DURATION,
    SCRAPE_SAMPLES,
)
from dashboards.prometheus.marks import FLEET_MARKS
from dashboards.prometheus.promql import how_many
from dashboards.prometheus.variables import EVERY_HOST, HOSTS, JOB, SERVE
from dashboards.spec import Column, Dashboard, KeyLink, Mapping, Panel, Query, Row, Table

_SCOPE = EVERY_HOST
_internal, _tables = catalogue.internal, catalogue.tables
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
            Row("serve", "vdbmon serve", _serve()),
            Row("alerting", "Prometheus and Alertmanager", _alerting()),
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
        lines(
            "tables-age",
            "Age of slow tables",
            "Connection tracking, flows, thin pools: read apart from scrapes. A climb: its command hangs.",
            Query(f"time() - max by (host, table) ({_SCOPE.gauge(_tables.LAST_SUCCESS)})", "{{host}} {{table}}"),
            unit=DURATION_SECONDS,
            width=24,
        ),
    )


def _outputs() -> tuple[Panel, ...]:
    by = "max by (host, output)"
    legend = "{{host}} {{output}}"
    return (
        lines(
            "output-written",
            "Points delivered",
            "Accepted by the far end. At zero with a queue that grows: it is away or refuses; see the errors.",
            Query(f"{by} ({_SCOPE.rate(_internal.OUTPUT_WRITTEN)})", legend),
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
            unit=COUNTS_PER_SEC,
        ),
        lines(
            "output-errors",
            "Writes that failed",
            "They are tried again. Steady: check address, token and clock of the far end.",
            Query(f"{by} ({_SCOPE.rate(_internal.OUTPUT_ERRORS)})", legend),
            unit=COUNTS_PER_SEC,
        ),
        *_queues(),
    )


def _queues() -> tuple[Panel, ...]:
    by = "max by (host, output)"
    legend = "{{host}} {{output}}"
    return (
        lines(
            "output-queue-age",
            "Oldest point that waits",
            "How far the far end is behind. It drains by itself once the far end takes more than comes in.",
            Query(f"{by} ({_SCOPE.gauge(_internal.OUTPUT_QUEUED_AGE)})", legend),
            unit=DURATION_SECONDS,
            steps=above(thresholds.OUTPUT_BEHIND),
        ),
        lines(
            "output-queue",
            "Size of the queues",
            "On disk and in memory. Near the configured limit the oldest points are given up next.",
            Query(f"{by} ({_SCOPE.gauge(_internal.OUTPUT_QUEUED_BYTES)})", legend),
            unit=BYTES_IEC,
        ),
        lines(
            "output-duration",
            "Time of a write",
            "Of the last write. Near the interval of flushing: the far end is too slow for what the agent sends.",
            Query(f"{by} ({_SCOPE.gauge(_internal.OUTPUT_LAST_WRITE)})", legend),
            unit=SECONDS,
        ),
    )


def _serve() -> tuple[Panel, ...]:
    return (
        Table(
            slug="tasks",
            title="Tasks of the beat",
            description=(
                "What `vdbmon serve` does each round. One that fails costs itself only; serve's log has the reason."
            ),
            keys=("task",),
            sort_by="Last success",
            columns=(
                Column("State", f"min by (task) ({SERVE.gauge(fleet.TASK_UP)})", NUMBER_FORMAT, mappings=_WELL),
                Column("Took", f"max by (task) ({SERVE.gauge(fleet.TASK_DURATION)})", SECONDS),
                Column(
                    "Last success", f"time() - max by (task) ({SERVE.gauge(fleet.TASK_LAST_SUCCESS)})", DURATION_SECONDS
                ),
                Column("Failures per second", f"sum by (task) ({SERVE.rate(fleet.TASK_ERRORS)})", SHORT),
            ),
            width=12,
        ),
        lines(
            "beat-duration",
            "Time of a beat",
            "Grows with hosts that don't answer. Near the interval of the beat, what is due is placed late.",
            Query(f"max({SERVE.gauge(fleet.BEAT_DURATION)})", "beat"),
            unit=SECONDS,
            width=6,
        ),
        lines(
            "lease",
            "Holders of the lease",
            "One is right. None: no serve runs, and nothing is reconciled. Two for a moment: it changed hands.",
            Query(f"sum({SERVE.gauge(fleet.LEASE_HELD)})", "holders"),
            Query(f"min({SERVE.gauge(fleet.LEDGER_UP)})", "ledger answers"),
            unit=NUMBER_FORMAT,
            width=6,
        ),
    )


def _alerting() -> tuple[Panel, ...]:
    prometheus = foreign.PROMETHEUS_JOB
    return (
        lines(
            "rule-failures",
            "Rules that fail",
            "By group. Anything: alerts may be missing; Prometheus' rules page shows the error beside the rule.",
            Query(
                f"sum by (rule_group) (rate({foreign.RULE_FAILURES}{{{prometheus}}}[$__rate_interval]))",
                "{{rule_group}}",
            ),
            unit=COUNTS_PER_SEC,
        ),
        lines(
            "rule-duration",
            "Time of rule groups",
            "Near a group's interval its alerts come late: Prometheus lacks CPU, or a rule is too dear.",
            Query(f"max by (rule_group) ({RULE_GROUP_DURATION}{{{prometheus}}})", "{{rule_group}}"),
            unit=SECONDS,
        ),
        lines(
            "head-series",
            "Series in Prometheus",
            (
                "Grows with containers and their churn. A climb that never falls: a label changes at each restart; "
                "find it."
            ),
            Query(f"max by (instance) ({HEAD_SERIES}{{{prometheus}}})", "{{instance}}"),
            unit=SHORT,
        ),
        *_alertmanager(),
    )


def _alertmanager() -> tuple[Panel, ...]:
    prometheus, alertmanager = foreign.PROMETHEUS_JOB, foreign.ALERTMANAGER_JOB
    return (
        lines(
            "alerts-sent",
            "Alerts to Alertmanager",
            "Sent and lost on the way. No Alertmanager found: alerts fire and nobody is told; check `alerting`.",
            Query(f"sum(rate({ALERTS_SENT}{{{prometheus}}}[$__rate_interval]))", "sent"),
            Query(f"max({foreign.ALERTMANAGERS_DISCOVERED}{{{prometheus}}})", "Alertmanagers"),
            unit=SHORT,
        ),
        lines(
            "notifications",
            "Notifications",
            (
                "By integration. Failed ones are tried again; a steady rate: its receiver refuses, read "
                "Alertmanager's log."
            ),
            Query(
                f"sum by (integration) (rate({foreign.NOTIFICATIONS}{{{alertmanager}}}[$__rate_interval]))",
                "{{integration}}",
            ),
            Query(
                f"sum by (integration) (rate({foreign.NOTIFICATIONS_FAILED}{{{alertmanager}}}[$__rate_interval]))",
                "{{integration}} failed",
            ),
            unit=COUNTS_PER_SEC,
        ),
        lines(
            "notification-latency",
            "Time of a notification",
            "Mean time until the receiver had it. Seconds: the way to it is slow, and pages come late.",
            Query(
                f"sum by (integration) (rate({NOTIFICATION_LATENCY}_sum{{{alertmanager}}}[$__rate_interval])) / "
                f"(sum by (integration) (rate({NOTIFICATION_LATENCY}_count{{{alertmanager}}}[$__rate_interval])) > 0)",
                "{{integration}}",
            ),
            unit=SECONDS,
        ),
    )
