"""The agent itself: what it costs, which input is stuck, what its outputs have lost."""

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

from alerts import thresholds
from collector import catalogue
from dashboards.colours import CRITICAL, GOOD, above
from dashboards.panels import lines
from dashboards.prometheus.promql import Scope
from dashboards.spec import Column, Mapping, Panel, Query, Table

_internal = catalogue.internal
_WELL = (Mapping(0, "fails", CRITICAL), Mapping(1, "well", GOOD))


def agent_panels(scope: Scope) -> tuple[Panel, ...]:
    """Inputs, cost, outputs."""
    return (
        _inputs(scope),
        lines(
            "input-duration",
            "Time of a collection",
            "By input. One that climbs is stuck in the kernel or in a command; only its own metrics age.",
            Query(f"max by (input) ({scope.gauge(_internal.INPUT_DURATION)})", "{{input}}"),
            unit=SECONDS,
        ),
        lines(
            "agent-cpu",
            "CPU of the agent",
            "Share of one core. Above a few per cent: find the slow input, or lengthen the interval.",
            Query(f"max by (host) ({scope.rate(_internal.CPU_SECONDS)})", "CPU"),
            unit=PERCENT_UNIT,
            steps=above(thresholds.AGENT_CPU),
        ),
        lines(
            "agent-memory",
            "Memory of the agent",
            "Resident memory. Steady growth is a leak: restart the agent and report it.",
            Query(f"max by (host) ({scope.gauge(_internal.RESIDENT)})", "resident"),
            unit=BYTES_IEC,
            steps=above(thresholds.AGENT_RESIDENT),
        ),
        lines(
            "agent-descriptors",
            "Open descriptors of the agent",
            "A few per container. Growth at an equal number of containers is a leak: report it.",
            Query(f"max by (host) ({scope.gauge(_internal.OPEN_FDS)})", "open"),
            unit=SHORT,
        ),
        lines(
            "parse-errors",
            "Lines not understood",
            "Lines of kernel files that were skipped. Above zero: a kernel wrote something new; report it.",
            Query(f"max by (input) ({scope.rate(_internal.PARSE_ERRORS)})", "{{input}}"),
            unit=COUNTS_PER_SEC,
        ),
        *_output_panels(scope),
    )


def _output_panels(scope: Scope) -> tuple[Panel, ...]:
    """What is delivered, lost, waiting."""
    return (
        lines(
            "output-samples",
            "Samples delivered and lost",
            "Lost means the far end was away longer than the buffer lasts; Prometheus still has them.",
            Query(f"max by (output) ({scope.rate(_internal.OUTPUT_WRITTEN)})", "{{output}} delivered"),
            Query(f"max by (output) ({scope.rate(_internal.OUTPUT_DROPPED)})", "{{output}} lost"),
            unit=COUNTS_PER_SEC,
            width=12,
        ),
        lines(
            "output-queue",
            "Samples that wait",
            "A queue that grows: the far end is away or too slow. It drains by itself.",
            Query(f"max by (output) ({scope.gauge(_internal.OUTPUT_QUEUED)})", "{{output}}"),
            unit=SHORT,
            width=12,
        ),
    )


def _inputs(scope: Scope) -> Table:
    def by_input(expr: str) -> str:
        return f"max by (input) ({expr})"

    return Table(
        slug="inputs",
        title="Inputs",
        description="One that fails costs its own metrics and no others; the agent's log has the reason.",
        keys=("input",),
        sort_by="Last success",
        columns=(
            Column("State", by_input(scope.gauge(_internal.INPUT_UP)), NUMBER_FORMAT, mappings=_WELL),
            Column(
                "Last success",
                f"time() - {by_input(scope.gauge(_internal.INPUT_LAST_SUCCESS))}",
                DURATION_SECONDS,
                above(thresholds.TELEMETRY_STALE_AFTER),
            ),
            Column("Samples", by_input(scope.gauge(_internal.INPUT_SAMPLES)), SHORT),
            Column("Failures per second", by_input(scope.rate(_internal.INPUT_ERRORS)), SHORT),
        ),
        width=8,
    )
