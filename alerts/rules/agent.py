"""Alerts of the agent: without it a host is unknown, and an unknown host is closed."""

from __future__ import annotations

from alerts.foreign import AGENT_JOB, UP
from alerts.rule import (
    DURATION,
    HOST,
    PERCENT,
    AlertRule,
    Closes,
    Severity,
    highest,
    increase,
    label,
    lowest,
    rate,
    selector,
)
from alerts.thresholds import (
    AGENT_CPU,
    AGENT_RESIDENT,
    AGENTS_GONE_RATIO,
    GATE_FOR,
    KEEP_FIRING_FOR,
    OUTPUT_BEHIND,
    TELEMETRY_STALE_AFTER,
)
from collector.catalogue import exec as commands
from collector.catalogue import internal, job, tables

_INPUT = label("input")
_OUTPUT = label("output")
AGENT_GONE = "AgentGone"

# An input that never ended well has no time of last success: the agent's start stands in for it.
_NEVER = (
    f"0 * max by (host, input) ({selector(internal.INPUT_UP)}) + on (host) group_left () "
    f"max by (host) ({selector(internal.START_TIME, AGENT_JOB)})"
)
_LAST_SUCCESS = f"(max by (host, input) ({selector(internal.INPUT_LAST_SUCCESS)}) or {_NEVER})"

REACH_RULES = (
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
        name="ManyAgentsGone",
        expr=(
            f"count by (job) (max by (job, host) ({highest(UP, '1m', AGENT_JOB)}) == 0) / "
            f"count by (job) (max by (job, host) ({highest(UP, '1m', AGENT_JOB)})) > {AGENTS_GONE_RATIO.value:g}"
        ),
        for_=60,
        severity=Severity.CRITICAL,
        limits=(AGENTS_GONE_RATIO,),
        summary=f"{PERCENT} of the agents can't be scraped",
        description=(
            "So many hosts do not fail at once: look at the network, at DNS, at Prometheus' own host, or at an update "
            "of the agents. Every host that can't be scraped is closed. One page stands for all of them."
        ),
    ),
    AlertRule(
        name="AgentRestarting",
        expr=f"max by (host) (changes({selector(internal.START_TIME, AGENT_JOB)}[15m])) > 2",
        severity=Severity.WARNING,
        summary=f"The agent of {HOST} was restarted {{{{ $value }}}} times in 15 minutes",
        description=f"The agent of {HOST} ends and is started anew. Its log says why: `journalctl -u vdbmon-agent`.",
    ),
)

INPUT_RULES = (
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
        expr=f"max by (host, input) ({highest(internal.INPUT_UP, '1m')}) == 0",
        for_=5 * 60,
        severity=Severity.WARNING,
        summary=f"Input {_INPUT} of {HOST} fails",
        description=(
            f"Every gathering of {_INPUT} on {HOST} has failed or overrun its deadline for 5 minutes; its series are "
            "missing. The agent's log says why."
        ),
    ),
    AlertRule(
        name="AgentTableFailing",
        expr=f"max by (host, table) ({highest(tables.TABLE_UP, '5m')}) == 0",
        for_=10 * 60,
        severity=Severity.WARNING,
        summary=f"The agent of {HOST} can't read the table {label('table')}",
        description=(
            f"Figures of {label('table')} on {HOST} are missing and alerts on them are blind. The agent's log says why."
        ),
    ),
    AlertRule(
        name="AgentParseErrors",
        expr=f"sum by (host, input) ({rate(internal.PARSE_ERRORS, '15m')}) > 0",
        for_=30 * 60,
        severity=Severity.INFO,
        summary=f"Input {_INPUT} of {HOST} meets lines that it doesn't understand",
        description=(
            f"Files that {_INPUT} reads on {HOST} have lines of an unknown shape, as after an update of the kernel. "
            "They are skipped; figures may be missing. Please report it with the kernel's version."
        ),
    ),
    AlertRule(
        name="AgentCommandFailing",
        expr=f"max by (host, command) ({highest(commands.UP, '5m')}) == 0",
        for_=15 * 60,
        severity=Severity.WARNING,
        summary=f"Command {label('command')} of the agent of {HOST} fails",
        description=(
            f"The command {label('command')} in `[[inputs.exec]]` of {HOST} has failed or overrun its deadline for 15 "
            "minutes; its series are missing. The agent's log has its output."
        ),
    ),
    AlertRule(
        name="JobMetricsRefused",
        expr=(
            f"sum by (host, name) ({lowest(job.FILE_REFUSED, '5m')}) > 0 or "
            f"sum by (host, name) ({lowest(job.LINES_REFUSED, '5m')}) > 0"
        ),
        for_=10 * 60,
        severity=Severity.WARNING,
        summary=f"What {label('name')} on {HOST} says of itself is not taken",
        description=(
            f"The job {label('name')} wrote metrics that the agent of {HOST} refuses, so alerts on its backup may be "
            "blind. The label reason of `vdbmon_job_lines_refused` and `vdbmon_job_file_refused` says why."
        ),
    ),
    AlertRule(
        name="AgentConfigRejected",
        expr=f"max by (host) ({highest(internal.CONFIG_LOADED, '2m')}) == 0",
        for_=5 * 60,
        severity=Severity.WARNING,
        summary=f"The agent of {HOST} runs on an old configuration",
        description=(
            f"The file was changed and reloaded, and is bad. The agent of {HOST} goes on with the old one and would "
            "not start with the new one. Its log has file, line and key."
        ),
    ),
)

COST_RULES = (
    AlertRule(
        name="AgentMemoryHigh",
        expr=f"max by (host) ({lowest(internal.RESIDENT, '5m', AGENT_JOB)}) > {AGENT_RESIDENT.value:.0f}",
        for_=15 * 60,
        severity=Severity.WARNING,
        limits=(AGENT_RESIDENT,),
        summary=f"The agent of {HOST} takes {{{{ $value | humanize1024 }}}}B of memory",
        description=(
            f"The agent of {HOST} takes far more memory than it needs, which backups lack. Restart it and report it "
            "with its log."
        ),
    ),
    AlertRule(
        name="AgentCPUHigh",
        expr=f"max by (host) ({rate(internal.CPU_SECONDS, '5m', AGENT_JOB)}) > {AGENT_CPU.value:g}",
        for_=15 * 60,
        severity=Severity.WARNING,
        limits=(AGENT_CPU,),
        summary=f"The agent of {HOST} takes {PERCENT} of a CPU",
        description=(
            f"The agent of {HOST} takes more than it should cost. `vdbmon_input_duration_seconds` shows which input: a "
            "scraper in a loop, very many containers or processes."
        ),
    ),
)

OUTPUT_RULES = (
    AlertRule(
        name="OutputFailing",
        expr=f"max by (host, output) ({highest(internal.OUTPUT_UP, '5m')}) == 0",
        for_=10 * 60,
        severity=Severity.WARNING,
        summary=f"Output {_OUTPUT} of {HOST} can't write",
        description=(
            f"The far end of {_OUTPUT} has taken nothing from {HOST} for 10 minutes. Samples wait on disk; none is "
            "lost before OutputDropping fires. The agent's log has the answer it got."
        ),
    ),
    AlertRule(
        name="OutputBehind",
        expr=f"max by (host, output) ({lowest(internal.OUTPUT_QUEUED_AGE, '5m')}) > {OUTPUT_BEHIND.value:g}",
        for_=5 * 60,
        severity=Severity.WARNING,
        limits=(OUTPUT_BEHIND,),
        summary=f"Output {_OUTPUT} of {HOST} is {DURATION} behind",
        description=(
            f"Samples for {_OUTPUT} pile up on {HOST} faster than the far end takes them. When the spool is full the "
            "oldest are dropped. Make the far end faster, or send less with its filters."
        ),
    ),
    AlertRule(
        name="OutputDropping",
        expr=f"sum by (host, output) ({increase(internal.OUTPUT_DROPPED, '5m')}) > 0",
        for_=2 * 60,
        severity=Severity.WARNING,
        summary=f"Output {_OUTPUT} of {HOST} drops samples",
        description=(
            f"The far end of {_OUTPUT} has not accepted samples from {HOST} for so long that the buffer is full and "
            "the oldest are given up. Prometheus is not affected. Mend the far end; what was dropped is lost."
        ),
    ),
)

RULES = (*REACH_RULES, *INPUT_RULES, *COST_RULES, *OUTPUT_RULES)
