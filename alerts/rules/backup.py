"""Alerts of backups: whether there is a good one, how old it is, and whether anybody has restored it.

A source's backups may lie on any host, so their age is told by `source` and `backup_job` (the kind of job); a run that
failed has a host and a container as well. How old a backup may get is what `vdbmon serve` says of its schedule, and a
default where there is none. Kinds of job: `backup`, `logical`, `binlog`, `restore`, `verify`, `standby`, `copy`.
"""

from __future__ import annotations

from alerts.recording import (
    LARGEST_BYTES,
    LAST_COPY,
    LAST_SUCCESS,
    LAST_VERIFIED,
    MEAN_BYTES,
    NEWEST_BYTES,
    SMALLEST_BYTES,
    USUAL_DURATION,
)
from alerts.rule import DURATION, HOST, AlertRule, Severity, highest, label, last, lowest, selector
from alerts.thresholds import (
    BACKUP_COPY_MAX_AGE,
    BACKUP_GROWN,
    BACKUP_LOGS_MAX_LAG,
    BACKUP_MAX_AGE,
    BACKUP_SHRUNK,
    BACKUP_SIZE_FLOOR,
    BACKUP_SLOW_FLOOR,
    BACKUP_SLOWNESS,
    BACKUP_VERIFIED_MAX_AGE,
    LAG_CRITICAL,
    LAG_WARNING,
)
from collector.catalogue import fleet, job, schedule

_SOURCE = label("source")
_JOB = label("backup_job")
_RUN = f"{_JOB} {label('name')} on {HOST}"
_BY_RUN = "by (host, name, source, backup_job)"
_SIZE = "{{ $value | humanize1024 }}B"

_BACKUP, _VERIFY, _COPY = 'backup_job="backup"', 'backup_job="verify"', 'backup_job="copy"'
_BACKUPS = 'backup_job=~"backup|logical"'
_FAILED, _RAW = 'state="failed"', 'kind="raw"'
_DATA_JOBS = 'backup_job!~"verify|copy"'
_UNDER_WAY = 'state=~"started|copied|waiting_for_logs"'
_ENDS_BY_ITSELF = 'backup_job!~"standby|binlog"'


def _allowed_age(jobs: str, *by: str) -> str:
    return f"max by ({', '.join(by)}) ({highest(schedule.MAX_AGE, '15m', jobs)})"


def _age(recorded: str, *matchers: str) -> str:
    return f"time() - {highest(recorded, '15m', *matchers)}"


def _or_default(allowed: str, recorded: str, seconds: float, *matchers: str) -> str:
    return f"({allowed} or {highest(recorded, '15m', *matchers)} * 0 + {seconds:.0f})"


def _expected_since(jobs: str, *by: str) -> str:
    """Seconds since when a job has been expected, where that is longer than its last good run may be old."""
    since = f"time() - max by ({', '.join(by)}) ({highest(schedule.SINCE, '15m', jobs)})"
    return f"({since} > {_allowed_age(jobs, *by)})"


def _failed_unless(jobs: str, good: str, *on: str) -> str:
    """Runs that failed and that no later good one has made up for."""
    on_good = f"< on ({', '.join(on)}) group_left () {good}"
    made_up = f"max {_BY_RUN} ({last(job.START, '2m')}) {on_good}"
    by_job = f"max {_BY_RUN} ({last(job.STATE, '2m', _FAILED, jobs)}) == 1 unless ({made_up})"
    # Of a run that the agent of its host no longer sees, the catalogue tells.
    failed = f"max {_BY_RUN} ({last(fleet.CATALOGUE_LAST_FAILURE, '2m', jobs)})"
    seen = f"unless on (host, source, backup_job) {last(job.START, '2m')}"
    return f"({by_job}) or ({failed} {seen} unless ({failed} {on_good}))"


def _running(jobs: str) -> str:
    return f"max {_BY_RUN} ({last(job.STATE, '2m', _UNDER_WAY, jobs)}) == 1"


_ELAPSED = f"(time() - max {_BY_RUN} ({last(job.START, '2m')}) and {_running(_ENDS_BY_ITSELF)})"
_USUAL = f"clamp_min({BACKUP_SLOWNESS.value:g} * {highest(USUAL_DURATION.name, '1h')}, {BACKUP_SLOW_FLOOR.value:.0f})"
_NEWEST = last(NEWEST_BYTES.name, "15m")
# A source that is no longer backed up needs neither check nor copy.
_BACKED_UP = f"and on (source) max by (source) ({highest(LAST_SUCCESS.name, '15m', _BACKUPS)})"

AGE_RULES = (
    AlertRule(
        name="BackupFailed",
        expr=_failed_unless('backup_job!="verify"', LAST_SUCCESS.name, "source", "backup_job"),
        severity=Severity.CRITICAL,
        summary=f"The {_RUN} failed",
        description=(
            f"The last {_JOB} of {_SOURCE} did not come to a good end, or its container went without a word. Backups "
            "from before are untouched. Its last line of log says why; place it again when that is mended."
        ),
    ),
    AlertRule(
        name="BackupVerifyFailed",
        expr=_failed_unless(_VERIFY, LAST_VERIFIED.name, "source"),
        severity=Severity.CRITICAL,
        summary=f"A backup of {_SOURCE} could not be restored",
        description=(
            f"The {_RUN} restored a backup of {_SOURCE} and found it bad, or could not restore it. Until another is "
            "found to be good there may be nothing to restore from. Keep the volume, and take a new full backup."
        ),
    ),
    AlertRule(
        name="BackupTooOld",
        expr=(
            f"{_age(LAST_SUCCESS.name, _DATA_JOBS)} > "
            + _or_default(
                _allowed_age(_DATA_JOBS, "source", "backup_job"),
                LAST_SUCCESS.name,
                BACKUP_MAX_AGE.value,
                _BACKUPS,
            )
        ),
        for_=5 * 60,
        severity=Severity.CRITICAL,
        limits=(BACKUP_MAX_AGE,),
        summary=f"The last good {_JOB} of {_SOURCE} is {DURATION} old",
        description=(
            f"What {_SOURCE} has written since then is lost if it is lost now. See whether runs fail, are refused "
            "(`vdbmon place` says why) or are not started at all."
        ),
    ),
    AlertRule(
        name="BackupNeverSucceeded",
        expr=(
            f"{_expected_since(_DATA_JOBS, 'source', 'backup_job')} unless on (source, backup_job) "
            f"{highest(LAST_SUCCESS.name, '1h')}"
        ),
        for_=5 * 60,
        severity=Severity.CRITICAL,
        summary=f"There is no good {_JOB} of {_SOURCE}, {DURATION} after it was scheduled",
        description=(
            f"A {_JOB} of {_SOURCE} is scheduled and none has ever ended well, or the hosts that hold them are gone. "
            "There is nothing to restore from."
        ),
    ),
    AlertRule(
        name="BackupNotVerified",
        expr=(
            f"{_age(LAST_VERIFIED.name)} > "
            f"{_or_default(_allowed_age(_VERIFY, 'source'), LAST_VERIFIED.name, BACKUP_VERIFIED_MAX_AGE.value)} "
            f"{_BACKED_UP} or "
            f"max by (source) ({highest(LAST_SUCCESS.name, '15m', _BACKUP)}) unless on (source) "
            f"{highest(LAST_VERIFIED.name, '1h')}"
        ),
        for_=12 * 3600,
        severity=Severity.WARNING,
        limits=(BACKUP_VERIFIED_MAX_AGE,),
        summary=f"No backup of {_SOURCE} has been restored and checked lately",
        description=(
            f"A backup counts when a restore of it has been checked, and for {_SOURCE} that is too long ago or never "
            "was. Place a job that does it: `vdbmon place NAME --job verify`."
        ),
    ),
    AlertRule(
        name="BackupCopyMissing",
        expr=(
            f"{_age(LAST_COPY.name)} > "
            f"{_or_default(_allowed_age(_COPY, 'source'), LAST_COPY.name, BACKUP_COPY_MAX_AGE.value)} "
            f"{_BACKED_UP} or "
            f"{_expected_since(_COPY, 'source')} unless on (source) {highest(LAST_COPY.name, '1h')}"
        ),
        for_=3600,
        severity=Severity.WARNING,
        limits=(BACKUP_COPY_MAX_AGE,),
        summary=f"Backups of {_SOURCE} have no second copy that is recent",
        description=(
            f"If the host that holds the backups of {_SOURCE} is lost now, they are lost with it. See why the copy job "
            "fails or isn't started."
        ),
    ),
)

LOG_RULES = (
    AlertRule(
        name="BackupLogsMissing",
        expr=f"time() - max by (source) ({highest(fleet.LOGS_AWAITED, '5m')}) > {BACKUP_LOGS_MAX_LAG.value:.0f}",
        for_=5 * 60,
        severity=Severity.WARNING,
        limits=(BACKUP_LOGS_MAX_LAG,),
        summary=f"Binary logs of {_SOURCE} have not reached its last backup for {DURATION}",
        description=(
            f"The last backup of {_SOURCE} can be restored as it is, and to no later moment: the job that fetches the "
            "binary logs has stopped, hangs, or runs on another host than the backup."
        ),
    ),
)

RUN_RULES = (
    AlertRule(
        name="BackupTooSlow",
        expr=f"{_ELAPSED} > on (source, backup_job) group_left () {_USUAL}",
        for_=10 * 60,
        severity=Severity.WARNING,
        limits=(BACKUP_SLOWNESS, BACKUP_SLOW_FLOOR),
        summary=f"The {_RUN} has run for {DURATION}",
        description=(
            f"The {_JOB} of {_SOURCE} takes more than {BACKUP_SLOWNESS.value:g} times as long as nine of ten runs of "
            "the last week. ContainerIOAtLimit, ContainerCPUThrottled and HostIOPressure say what holds it up."
        ),
    ),
    AlertRule(
        name="BackupStalled",
        expr=(f"max {_BY_RUN} (delta({selector(job.PROGRESS, _RAW)}[10m])) == 0 and {_running(_ENDS_BY_ITSELF)}"),
        for_=5 * 60,
        severity=Severity.WARNING,
        summary=f"The {_RUN} has not moved a byte for 10 minutes",
        description=(
            f"The {_JOB} of {_SOURCE} runs and nothing comes in: the source waits for a lock, or the way to it is "
            "gone. See what the backup tool says in its log."
        ),
    ),
    AlertRule(
        name="BackupSizeOff",
        expr=(
            f"({_NEWEST} < {BACKUP_SHRUNK.value:g} * {last(SMALLEST_BYTES.name, '15m')} or "
            f"{_NEWEST} > {BACKUP_GROWN.value:g} * {last(LARGEST_BYTES.name, '15m')}) and "
            f"abs({_NEWEST} - {last(MEAN_BYTES.name, '15m')}) > {BACKUP_SIZE_FLOOR.value:.0f}"
        ),
        for_=5 * 60,
        severity=Severity.WARNING,
        limits=(BACKUP_SHRUNK, BACKUP_GROWN, BACKUP_SIZE_FLOOR),
        summary=f"The newest {_JOB} of {_SOURCE} has {_SIZE}, unlike those of the last week",
        description=(
            f"It is far smaller or far larger than every {_JOB} of {_SOURCE} in the week before. If nobody dropped or "
            "loaded tables, verify it before older ones are pruned."
        ),
    ),
)

STANDBY_RULES = (
    AlertRule(
        name="ReplicationLagging",
        expr=f"max {_BY_RUN} ({lowest(job.LAG, '2m')}) > {LAG_WARNING.value:g}",
        for_=5 * 60,
        severity=Severity.WARNING,
        limits=(LAG_WARNING,),
        summary=f"The {_RUN} is {DURATION} behind {_SOURCE}",
        description=(
            f"The standby of {_SOURCE} applies changes more slowly than they come. If it goes on, the source's binary "
            "logs expire before the standby has read them. Look at its disk and CPU limits."
        ),
    ),
    AlertRule(
        name="ReplicationFarBehind",
        expr=f"max {_BY_RUN} ({lowest(job.LAG, '2m')}) > {LAG_CRITICAL.value:g}",
        for_=5 * 60,
        severity=Severity.CRITICAL,
        limits=(LAG_CRITICAL,),
        summary=f"The {_RUN} is {DURATION} behind {_SOURCE}",
        description=(
            f"A failover to the standby of {_SOURCE} would lose more than an hour. See whether it still replicates "
            "(`SHOW REPLICA STATUS`), and rebuild it from a backup if it can't catch up."
        ),
    ),
)

RULES = (*AGE_RULES, *LOG_RULES, *RUN_RULES, *STANDBY_RULES)
