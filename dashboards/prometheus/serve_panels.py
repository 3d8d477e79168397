"""`vdbmon serve`: the tasks of its beat, and who holds the lease."""

from __future__ import annotations

from grafanalib.formatunits import DURATION_SECONDS, NUMBER_FORMAT, SECONDS, SHORT

from collector import fleet_metrics as fleet
from dashboards.colours import CRITICAL, GOOD
from dashboards.panels import lines
from dashboards.prometheus.variables import SERVE
from dashboards.spec import Column, Mapping, Panel, Query, Table

_WELL = (Mapping(0, "fails", CRITICAL), Mapping(1, "well", GOOD))


def serve_panels() -> tuple[Panel, ...]:
    """Tasks, beat and lease."""
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
            Query(f"min({SERVE.gauge(fleet.BEAT_SUCCESSFUL)})", "last beat ended well"),
            unit=NUMBER_FORMAT,
            width=6,
        ),
        *_holders(),
    )


def _holders() -> tuple[Panel, ...]:
    holds = f"{SERVE.gauge(fleet.SERVE_INFO)} * on (instance) group_left () {SERVE.gauge(fleet.LEASE_HELD)}"
    return (
        Table(
            slug="serves",
            title="Who serves",
            description="Every `vdbmon serve` that is scraped; one of them holds the lease. Two versions: update one.",
            height=6,
            keys=("holder", "version"),
            sort_by="Holds the lease",
            columns=(Column("Holds the lease", f"max by (holder, version) ({holds})", NUMBER_FORMAT),),
            width=12,
        ),
        lines(
            "lease-changes",
            "Changes of the lease",
            "How often it went to another serve within an hour. Again and again: they can't reach the ledger in time.",
            Query(f"max({SERVE.over_time('changes', fleet.LEASE_TOKEN, '1h')})", "changes"),
            unit=SHORT,
            width=12,
        ),
    )
