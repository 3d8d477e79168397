"""Capacity and placement: what was given away, what is used, what is left, and why requests were refused."""

from __future__ import annotations

from grafanalib.formatunits import COUNTS_PER_SEC, DURATION_SECONDS, NUMBER_FORMAT, PERCENT_UNIT, SECONDS, SHORT

from alerts import thresholds
from collector import fleet_metrics as fleet
from collector.metrics import Metric
from dashboards.addresses import CAPACITY_UID, FLEET_UID, HOST_UID, ITSELF_UID, JOBS_UID, neighbours
from dashboards.colours import above, below
from dashboards.panels import faults, glance, lines
from dashboards.prometheus import usage
from dashboards.prometheus.alerts_table import OPEN, closed_hosts_table, closing_alerts_table
from dashboards.prometheus.marks import FLEET_MARKS
from dashboards.prometheus.promql import how_many
from dashboards.prometheus.variables import HOSTS, JOB, SERVE, SERVE_HOSTS
from dashboards.spec import Column, Dashboard, KeyLink, Panel, Query, Row, Table, Text

_HOST = (KeyLink("host", HOST_UID, carried=("host",)),)
_BY_CLASS = "sum by (class)"

_HOW_TO_READ = """\
**Free** = total - reserved - the larger of allocated and used. A host is full in its tightest dimension, whatever the
others say.

**Free below zero**: more was given away or taken than there is. `vdbmon capacity` says who takes it; nothing is placed
there until it is above zero again.

**Many refusals, much free**: hosts are closed, not full. The table on the left names the alert or the reason.

`vdbmon explain NAME` has every reason of every host for one request.
"""


def dashboard() -> Dashboard:
    """What `vdbmon serve` says of the fleet."""
    return Dashboard(
        uid=CAPACITY_UID,
        title="vdbmon / Capacity and placement",
        description="Allocated, used and free by resource class, when the fleet is full, and what was refused and why.",
        variables=(JOB, HOSTS),
        rows=(
            Row(
                "now",
                "Now",
                (*_at_a_glance(), _hosts_table(), closing_alerts_table(), *_closed()),
            ),
            Row("capacity", "Capacity of the fleet", _fleet()),
            Row("hosts", "Capacity by host", _hosts()),
            Row("decisions", "Decisions", _decisions()),
            Row("ledger", "Ledger and leaks", _ledger()),
        ),
        neighbours=neighbours(FLEET_UID, HOST_UID, JOBS_UID, ITSELF_UID),
        annotations=FLEET_MARKS,
    )


def _closed() -> tuple[Panel, ...]:
    text = Text(
        slug="how-to-read",
        title="How to read it",
        description="What free means, and what to do where it is gone.",
        content=_HOW_TO_READ,
        width=12,
        height=6,
    )
    return (closed_hosts_table(), text)


def _at_a_glance() -> tuple[Panel, ...]:
    is_open = f"max by (host) ({SERVE_HOSTS.gauge(fleet.HOST_OPEN)})"
    return (
        glance(
            "hosts-open",
            "Hosts open",
            "That nothing closes, whatever is left there. None: every request is refused; see the tables below.",
            how_many(f"{is_open} == 1"),
            unit=NUMBER_FORMAT,
        ),
        faults(
            "hosts-closed",
            "Hosts closed",
            "By an alert, a cordon, old telemetry or an engine that doesn't answer. The tables below say which.",
            how_many(f"{is_open} == 0"),
        ),
        glance(
            "slots-free",
            "Slots free",
            "Containers that the fleet may still take by count. Zero: no request fits, however small.",
            f"sum({_of_class(fleet.FREE, 'slots')})",
            unit=NUMBER_FORMAT,
        ),
        glance(
            "tightest",
            "Tightest dimension",
            "Free to sellable of the scarcest resource class over the fleet. Near zero: the next large job is refused.",
            f"min({_BY_CLASS} (clamp_min({SERVE_HOSTS.gauge(fleet.FREE)}, 0)) / ({_sellable(_BY_CLASS)} > 0))",
            unit=PERCENT_UNIT,
        ),
        faults(
            "refused",
            "Refused",
            (
                "Requests refused in the time shown. The row `Decisions` has the codes, `vdbmon explain NAME` the "
                "sentences."
            ),
            f"""round(sum({SERVE.increase(fleet.DECISIONS, 'outcome="refused"')}))""",
        ),
        faults(
            "leaks",
            "Leaks",
            "Things on hosts that belong to no live launch. `vdbmon audit` lists them, `vdbmon reconcile` mends ours.",
            f"sum({SERVE_HOSTS.gauge(fleet.LEAKS)}) or vector(0)",
        ),
    )


def _sellable(by: str) -> str:
    return f"{by} ({SERVE_HOSTS.gauge(fleet.SELLABLE)})"


def _of_class(metric: Metric, name: str) -> str:
    return f"""max by (host) ({SERVE_HOSTS.gauge(metric, f'class="{name}"')})"""


def _free_share(name: str) -> str:
    return f"{_of_class(fleet.FREE, name)} / ({_of_class(fleet.SELLABLE, name)} > 0)"


def _hosts_table() -> Table:
    return Table(
        slug="hosts",
        title="Free on every host",
        description=(
            "Share of what may be sold that is still free, by resource class. The smallest of a line decides. Below "
            "zero: overdrawn by what runs there; `vdbmon capacity` says by whom."
        ),
        height=10,
        keys=("host",),
        sort_by="Disk space",
        descending=False,
        links=_HOST,
        columns=(
            Column("Placement", f"max by (host) ({SERVE_HOSTS.gauge(fleet.HOST_OPEN)})", NUMBER_FORMAT, mappings=OPEN),
            Column("Engine", _engine_up(), NUMBER_FORMAT, mappings=usage.ANSWERS),
            Column("Slots", _of_class(fleet.FREE, "slots"), NUMBER_FORMAT),
            Column("CPU", _free_share("cpu"), PERCENT_UNIT),
            Column("Memory", _free_share("memory"), PERCENT_UNIT),
            Column("Disk space", _free_share("disk"), PERCENT_UNIT),
            Column("Read", _free_share("read_bps"), PERCENT_UNIT),
            Column("Write", _free_share("write_bps"), PERCENT_UNIT),
            Column("Network in", _free_share("network_in"), PERCENT_UNIT),
            Column("Network out", _free_share("network_out"), PERCENT_UNIT),
            Column("Age of use", f"max by (host) ({SERVE_HOSTS.gauge(fleet.USED_AGE)})", DURATION_SECONDS),
        ),
    )


def _engine_up() -> str:
    return f"max by (host) ({SERVE_HOSTS.gauge(fleet.ENGINE_UP)})"


def _fleet() -> tuple[Panel, ...]:
    def share(metric: Metric) -> str:
        return f"{_BY_CLASS} ({SERVE_HOSTS.gauge(metric)}) / ({_sellable(_BY_CLASS)} > 0)"

    # A host whose use isn't known counts on neither side.
    used, sellable = SERVE_HOSTS.gauge(fleet.USED), SERVE_HOSTS.gauge(fleet.SELLABLE)
    return (
        lines(
            "allocated-share",
            "Allocated",
            "Given away by the ledger, of what may be sold. Near 100 % the class runs out; see the forecast.",
            Query(share(fleet.ALLOCATED), "{{class}}"),
            unit=PERCENT_UNIT,
            width=6,
        ),
        lines(
            "used-share",
            "Used",
            "Really taken, of what may be sold. Far below what is allocated: jobs ask for too much; use --size auto.",
            Query(f"{_BY_CLASS} ({used}) / ({_BY_CLASS} ({sellable} and on (host, class) {used}) > 0)", "{{class}}"),
            unit=PERCENT_UNIT,
            width=6,
        ),
        lines(
            "free-share",
            "Free",
            "Left after the larger of allocated and used. The lowest line is what the next host must bring.",
            Query(share(fleet.FREE), "{{class}}"),
            unit=PERCENT_UNIT,
            width=6,
        ),
        lines(
            "forecast",
            "Days until full",
            "At the growth of the last weeks, by class. Shorter than it takes to buy a host: order one now.",
            Query(f"clamp_min(max by (class) ({SERVE.gauge(fleet.FULL_AT)}) - time(), 0)", "{{class}}"),
            unit=DURATION_SECONDS,
            steps=below(thresholds.FLEET_FULL_HORIZON),
            width=6,
        ),
        *_kept_and_taken(),
    )


def _kept_and_taken() -> tuple[Panel, ...]:
    def share(metric: Metric) -> str:
        return f"{_BY_CLASS} ({SERVE_HOSTS.gauge(metric)}) / ({_sellable(_BY_CLASS)} > 0)"

    return (
        lines(
            "others-share",
            "Taken by others",
            "Containers that vdbmon did not place, of what may be sold. Growth: somebody starts them by hand; ask.",
            Query(share(fleet.OTHERS), "{{class}}"),
            unit=PERCENT_UNIT,
            width=12,
        ),
        lines(
            "reserved",
            "Kept free",
            "Reserve of the hosts, of all that they have. Raise it where hosts stall though capacity is left.",
            Query(
                f"{_BY_CLASS} ({SERVE_HOSTS.gauge(fleet.RESERVED)}) / "
                f"({_BY_CLASS} ({SERVE_HOSTS.gauge(fleet.INVENTORY)}) > 0)",
                "{{class}}",
            ),
            unit=PERCENT_UNIT,
            width=12,
        ),
    )


def _hosts() -> tuple[Panel, ...]:
    titles = {"cpu": "CPU", "memory": "Memory", "disk": "Disk space", "write_bps": "Write", "read_bps": "Read"}
    free = tuple(
        lines(
            f"free-{name}",
            f"{title} free by host",
            f"Share of the {title.lower() if name != 'cpu' else title} that may still be given away. At zero: no more.",
            Query(_free_share(name), "{{host}}"),
            unit=PERCENT_UNIT,
        )
        for name, title in titles.items()
    )
    age = lines(
        "used-age",
        "Age of the figures of use",
        "Above the line a host says nothing of its use and is closed: check its agent, then Prometheus.",
        Query(f"max by (host) ({SERVE_HOSTS.gauge(fleet.USED_AGE)})", "{{host}}"),
        unit=SECONDS,
        steps=above(thresholds.TELEMETRY_STALE_AFTER),
    )
    return (*free, age)


def _decisions() -> tuple[Panel, ...]:
    return (
        lines(
            "outcomes",
            "Requests by outcome",
            "Refusals beside no acceptance: the fleet is closed or full; see the codes on the right.",
            Query(f"sum by (outcome) ({SERVE.rate(fleet.DECISIONS)})", "{{outcome}}"),
            unit=COUNTS_PER_SEC,
        ),
        lines(
            "refusals",
            "Refusals by reason",
            (
                "capacity.*: full in that dimension. alert.*, telemetry.*, engine.*: hosts are closed. "
                "docs/placement.md has all."
            ),
            Query(f"sum by (code) ({SERVE.rate(fleet.REFUSALS)})", "{{code}}"),
            unit=COUNTS_PER_SEC,
            stacked=True,
        ),
        lines(
            "closed-hosts",
            "Closed hosts by reason",
            "Hosts that each code closes. One code on many hosts at once: the cause is shared, such as Prometheus.",
            Query(f"sum by (code) ({SERVE_HOSTS.gauge(fleet.HOST_CLOSED)})", "{{code}}"),
            unit=SHORT,
        ),
    )


def _ledger() -> tuple[Panel, ...]:
    oldest = f"time() - min by (state) ({SERVE_HOSTS.gauge(fleet.OLDEST_LAUNCH)})"
    return (
        lines(
            "launches",
            "Launches by state",
            "What holds something of a host. Many that are not live: hosts don't answer; see the row above.",
            Query(f"sum by (state) ({SERVE_HOSTS.gauge(fleet.LAUNCHES)})", "{{state}}"),
            unit=SHORT,
            width=6,
        ),
        lines(
            "oldest-launch",
            "Oldest launch by state",
            (
                "A launch that stays between intent and live for minutes is stuck: `vdbmon reconcile` finishes or "
                "undoes it."
            ),
            Query(oldest, "{{state}}"),
            unit=DURATION_SECONDS,
            steps=above(thresholds.LAUNCH_STUCK),
            width=6,
        ),
        lines(
            "leaks-by-kind",
            "Leaks by kind",
            "Containers, volumes, networks and addresses without a launch. `vdbmon audit` has them with their age.",
            Query(f"sum by (kind) ({SERVE_HOSTS.gauge(fleet.LEAKS)})", "{{kind}}"),
            unit=SHORT,
            width=6,
        ),
        lines(
            "reconciled",
            "Reconciled",
            (
                "Launches finished or undone, leaks removed. A steady rate: something dies at the same step; read "
                "serve's log."
            ),
            Query(f"sum by (action) ({SERVE.rate(fleet.RECONCILED)})", "{{action}}"),
            unit=COUNTS_PER_SEC,
            width=6,
        ),
        lines(
            "record",
            "Entries of the record",
            "Written by kind, and deleted after `keep`. Written far above deleted for weeks: the ledger only grows.",
            Query(f"sum by (kind) ({SERVE.rate(fleet.ENTRIES)})", "{{kind}}"),
            Query(f"sum({SERVE.rate(fleet.PRUNED)})", "deleted"),
            unit=COUNTS_PER_SEC,
            width=24,
        ),
    )
