"""Alerts of the agent: without it a host is unknown, and an unknown host is closed."""

from __future__ import annotations

from alerts.foreign import AGENT_JOB, UP
from alerts.rule import DURATION, HOST, AlertRule, Closes, Severity, label, selector
from alerts.thresholds import GATE_FOR, KEEP_FIRING_FOR, TELEMETRY_STALE_AFTER
from collector.catalogue import internal

_INPUT = label("input")
_OUTPUT = label("output")
AGENT_GONE = "AgentGone"

# An input that never ended well has no time of last success: the agent's start stands in for it.
_NEVER = (
    f"0 * max by (host, input) ({selector(internal.INPUT_UP)}) + on (host) group_left () "
    f"max by (host) ({selector(internal.START_TIME, AGENT_JOB)})"
)
_LAST_SUCCESS = f"(max by (host, input) ({selector(internal.INPUT_LAST_SUCCESS)}) or {_NEVER})"

RULES = (
    AlertRule(
        name=AGENT_GONE,
        expr=f"max by (host) ({selector(UP, AGENT_JOB)}) == 0",
        for_=GATE_FOR,
        keep_firing_for=KEEP_FIRING_FOR,
        severity=Severity.CRITICAL,
        closes=Closes.HOST,
        summary=f"The agent of {HOST} can't be scraped",
        description=(
            f"Prometheus gets no answer from the agent of {HOST}: the agent, the host or the way to it is down. "
            "Nothing is known about the host and its containers, and no backup is placed there."
        ),
    ),
    AlertRule(
        name="AllAgentsGone",
        expr=f"absent({selector(UP, AGENT_JOB)})",
        for_=GATE_FOR,
        keep_firing_for=KEEP_FIRING_FOR,
        severity=Severity.CRITICAL,
        closes=Closes.FLEET,
        summary="Prometheus scrapes no agent at all",
        description=(
            "The job vdbmon has no target: its section is missing from Prometheus' configuration or its list of "
            "targets is empty. No host is known, and no backup is placed anywhere."
        ),
    ),
    AlertRule(
        name="AgentTelemetryStale",
        expr=f"time() - {_LAST_SUCCESS} > {TELEMETRY_STALE_AFTER}",
        for_=GATE_FOR,
        keep_firing_for=KEEP_FIRING_FOR,
        severity=Severity.WARNING,
        closes=Closes.HOST,
        summary=f"Input {_INPUT} of {HOST} has had no good collection for {DURATION}",
        description=(
            f"The agent of {HOST} answers, but its input {_INPUT} is stuck or fails, so its figures are old. No "
            "backup is placed on old figures. If all inputs of the host are stale, compare its clock with that of "
            "Prometheus."
        ),
    ),
    AlertRule(
        name="AgentInputFailing",
        expr=f"max by (host, input) (max_over_time({selector(internal.INPUT_UP)}[1m])) == 0",
        for_=5 * 60,
        severity=Severity.WARNING,
        summary=f"Input {_INPUT} of {HOST} fails",
        description=(
            f"Every gathering of {_INPUT} on {HOST} has failed or overrun its deadline for 5 minutes; its series are "
            "missing. The agent's log says why."
        ),
    ),
    AlertRule(
        name="OutputDropping",
        expr=f"sum by (host, output) (increase({selector(internal.OUTPUT_DROPPED)}[5m])) > 0",
        for_=2 * 60,
        severity=Severity.WARNING,
        summary=f"Output {_OUTPUT} of {HOST} drops samples",
        description=(
            f"The far end of {_OUTPUT} has not accepted samples from {HOST} for so long that the buffer is full and "
            "the oldest are given up. Prometheus is not affected. Mend the far end; what was dropped is lost."
        ),
    ),
)
