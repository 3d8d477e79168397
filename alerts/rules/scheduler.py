"""Alerts of `vdbmon serve`, the ledger and the fleet's capacity. None of them stops a backup that runs."""

from __future__ import annotations

from alerts.rule import DURATION, HOST, PERCENT, AlertRule, Severity, highest, increase, label, lowest
from alerts.thresholds import (
    ADDRESS_POOL_TAKEN,
    FLEET_FULL_HORIZON,
    HOST_CLOSED_LONG,
    LAUNCH_STUCK,
    LEAK_AGE,
    SERVE_BEAT_AGE,
)
from collector.catalogue import fleet, schedule

_SERVE = f'job="{fleet.SERVE_JOB}"'
_BEGUN = 'state=~"intent|created"'
_CLASS = label("class")
_TASK = label("task")
_ADDRESSES = f"sum by (pool) ({highest(fleet.ADDRESSES, '5m')})"
_FREE_ADDRESSES = f"""max by (pool) ({highest(fleet.ADDRESSES, "5m", 'state="free"')}) / {_ADDRESSES}"""

SERVE_RULES = (
    AlertRule(
        name="ServeGone",
        # A fleet without serve has no such job; one that lost it had it yesterday.
        expr=(
            f"max by (job) ({highest('up', '1m', _SERVE)}) == 0 or "
            f"max by (job) ({highest('up', '1d', _SERVE)}) unless max by (job) ({highest('up', '5m', _SERVE)})"
        ),
        for_=60,
        severity=Severity.CRITICAL,
        summary="No vdbmon serve can be scraped",
        description=(
            "No scheduled backup is started and nothing is reconciled until one serves again. What runs goes on, and "
            "`vdbmon place` works without it."
        ),
    ),
    AlertRule(
        name="ServeWithoutLease",
        expr=f"sum by (job) ({highest(fleet.LEASE_HELD, '1m')}) == 0",
        for_=2 * 60,
        severity=Severity.CRITICAL,
        summary="No vdbmon serve holds the lease",
        description=(
            "Every vdbmon serve waits for the lease, so none of them starts backups. Usual causes: the ledger does not "
            "answer, or the clocks of their hosts differ."
        ),
    ),
    AlertRule(
        name="ServeBeatStale",
        expr=f"time() - max by (job) ({highest(fleet.LAST_BEAT, '5m')}) > {SERVE_BEAT_AGE.value:g}",
        for_=60,
        severity=Severity.WARNING,
        limits=(SERVE_BEAT_AGE,),
        summary=f"vdbmon serve has not ended a beat for {DURATION}",
        description=(
            "vdbmon serve answers, but its periodic work hangs: an engine or the ledger keeps it waiting. Its log "
            "names the task."
        ),
    ),
    AlertRule(
        name="ServeTaskFailing",
        expr=f"max by (task) ({highest(fleet.TASK_UP, '2m')}) == 0",
        for_=10 * 60,
        severity=Severity.WARNING,
        summary=f"Task {_TASK} of vdbmon serve fails",
        description=f"Every run of {_TASK} has failed or hung for 10 minutes. The log of vdbmon serve says why.",
    ),
    AlertRule(
        name="LedgerDown",
        expr=f"max by (job) ({highest(fleet.LEDGER_UP, '1m')}) == 0",
        for_=60,
        severity=Severity.CRITICAL,
        summary="The ledger does not answer",
        description=(
            "Nothing can be placed, removed or reconciled. What runs goes on. See its database; docs/ledger.md says "
            "how to restore one."
        ),
    ),
    AlertRule(
        name="ScheduleMissed",
        expr=f"sum by (source, backup_job) ({increase(schedule.MISSED, '1h')}) > 0",
        severity=Severity.WARNING,
        summary=f"A scheduled {label('backup_job')} of {label('source')} was not started",
        description=(
            f"The {label('backup_job')} of {label('source')} was due, was tried again and again, and could not be "
            "started in time. BackupTooOld pages if the next ones fail as well. `vdbmon backup schedules NAME` says "
            "what every host had against it."
        ),
    ),
)

FLEET_RULES = (
    AlertRule(
        name="EngineUnreachable",
        expr=f"max by (host) ({highest(fleet.ENGINE_UP, '1m')}) == 0",
        for_=2 * 60,
        severity=Severity.WARNING,
        summary=f"The scheduler can't reach the engine of {HOST}",
        description=(
            f"Nothing is placed on {HOST} and nothing there is reconciled. If DockerDaemonNotAnswering fires too it is "
            "the daemon; if not, it is the way there: certificates, keys, a firewall."
        ),
    ),
    AlertRule(
        name="HostOverdrawn",
        expr=f"min by (host, class) ({highest(fleet.FREE, '10m')}) < 0",
        for_=10 * 60,
        severity=Severity.WARNING,
        summary=f"{HOST} has given away more {_CLASS} than it has",
        description=(
            f"What runs on {HOST} takes more {_CLASS} than its inventory offers: somebody started containers beside "
            "vdbmon, or a backup uses more than it asked for. Nothing more is placed there."
        ),
    ),
    AlertRule(
        name="HostClosedLong",
        expr=f"max by (host) ({highest(fleet.HOST_OPEN, '10m')}) == 0",
        for_=int(HOST_CLOSED_LONG.value),
        severity=Severity.INFO,
        limits=(HOST_CLOSED_LONG,),
        summary=f"{HOST} has been closed for new backups for hours",
        description=(
            f"An alert, a cordon or missing telemetry closes {HOST}. `vdbmon capacity` shows the reason; a cordon that "
            "was forgotten is lifted with `vdbmon uncordon`."
        ),
    ),
    AlertRule(
        name="FleetFillingUp",
        expr=f"min by (class) ({lowest(fleet.FULL_AT, '15m')}) - time() < {FLEET_FULL_HORIZON.value:.0f}",
        for_=3600,
        severity=Severity.WARNING,
        limits=(FLEET_FULL_HORIZON,),
        summary=f"At the growth of the last weeks the fleet has no {_CLASS} left in {DURATION}",
        description=(
            f"Backups will be refused for want of {_CLASS}. Order hosts now, or shorten retention. `vdbmon capacity` "
            "shows what fits in until then."
        ),
    ),
    AlertRule(
        name="AddressPoolLow",
        expr=f"1 - {_FREE_ADDRESSES} > {ADDRESS_POOL_TAKEN.value:g}",
        for_=10 * 60,
        severity=Severity.WARNING,
        limits=(ADDRESS_POOL_TAKEN,),
        summary=f"Address pool {label('pool')} is {PERCENT} taken",
        description=(
            f"Every launch that asks the pool {label('pool')} is refused once it is full. `vdbmon audit` lists leaked "
            "addresses; else widen its range, or shorten its quarantine."
        ),
    ),
    AlertRule(
        name="LaunchStuck",
        expr=(f"time() - min by (host, state) ({lowest(fleet.OLDEST_LAUNCH, '5m', _BEGUN)}) > {LAUNCH_STUCK.value:g}"),
        for_=5 * 60,
        severity=Severity.WARNING,
        limits=(LAUNCH_STUCK,),
        summary=f"A launch on {HOST} has been in state {label('state')} for {DURATION}",
        description=(
            f"It was begun and neither finished nor undone, and what it reserved on {HOST} is held back. Usually the "
            "engine there doesn't answer. `vdbmon reconcile` says what it waits for."
        ),
    ),
    AlertRule(
        name="LeakedResources",
        expr=(
            f"time() - min by (host, kind) ({lowest(fleet.OLDEST_LEAK, '15m')}) > {LEAK_AGE.value:g} and "
            f"max by (host, kind) ({lowest(fleet.LEAKS, '15m')}) > 0"
        ),
        for_=5 * 60,
        severity=Severity.WARNING,
        limits=(LEAK_AGE,),
        summary=f"A {label('kind')} on {HOST} has belonged to nobody for {DURATION}",
        description=(
            f"Containers of {HOST} are gone and something of theirs stayed. `vdbmon audit` lists it; `vdbmon "
            "reconcile` removes what is safe to remove."
        ),
    ),
)

RULES = (*SERVE_RULES, *FLEET_RULES)
