"""Database jobs: what runs, what failed, how old the last good and the last verified backup of each source are."""

from __future__ import annotations

from grafanalib.formatunits import BYTES_IEC, BYTES_SEC, DURATION_SECONDS, NUMBER_FORMAT, PERCENT_UNIT

from alerts import recording, thresholds
from collector import catalogue, fleet_metrics, schedule_metrics
from collector.metrics import Metric
from dashboards.addresses import CAPACITY_UID, CONTAINER_UID, FLEET_UID, HOST_UID, JOBS_UID, STORAGE_UID, neighbours
from dashboards.colours import CRITICAL, GOOD, NEUTRAL, PLAIN, Step, above, below
from dashboards.panels import faults, glance, lines
from dashboards.prometheus.marks import FLEET_MARKS
from dashboards.prometheus.promql import how_many, recorded
from dashboards.prometheus.variables import (
    EVERY_HOST,
    EVERY_SOURCE,
    HOSTS,
    JOB,
    SCHEDULES,
    SOURCE_MATCHER,
    SOURCES,
)
from dashboards.spec import Column, Dashboard, KeyLink, Mapping, Panel, Query, Row, StateTimeline, Table

_SCOPE = EVERY_SOURCE
_job = catalogue.job
_OF_SOURCE = "max by (source, backup_job)"
_LEGEND = "{{source}} {{backup_job}}"
_RAW, _STORED = 'kind="raw"', 'kind="stored"'

UNFINISHED = "started|copied|waiting_for_logs"
# Of several attempts of a source the worst is shown: the largest number.
STATES = (
    (UNFINISHED, "runs", NEUTRAL),
    ("verified", "verified", GOOD),
    ("done", "done", GOOD),
    ("failed", "failed", CRITICAL),
)
_STATE_WORDS = tuple(Mapping(number, text, color) for number, (_, text, color) in enumerate(STATES, 1))
_LATE = (Step(GOOD, None), Step(CRITICAL, 1))


def dashboard() -> Dashboard:
    """Everything about backups, restores and their proofs."""
    return Dashboard(
        uid=JOBS_UID,
        title="vdbmon / Database jobs",
        description="Backups, restores, verifications, copies and standbys: what runs, what is late, what is proven.",
        variables=(JOB, HOSTS, SOURCES),
        rows=(
            Row("now", "Now", (*_at_a_glance(), _sources_table(), _states(), _attempts_table())),
            Row("age", "Age of what can be restored", _ages()),
            Row("schedules", "Schedules and catalogue", _schedules()),
            Row("history", "Against their history", _history()),
            Row("progress", "Progress", _progress()),
            Row("input", "What the agents could not read", _refused()),
        ),
        neighbours=neighbours(FLEET_UID, CONTAINER_UID, STORAGE_UID, CAPACITY_UID),
        annotations=FLEET_MARKS,
    )


def _age(metric: Metric, by: str = _OF_SOURCE) -> str:
    return f"time() - {by} ({_SCOPE.gauge(metric)})"


def _state(by: str) -> str:
    """The number of the state in `STATES`."""
    matchers = (f'state=~"{name}"' for name, _, _ in STATES)
    parts = (f"({_SCOPE.gauge(_job.STATE, each)} == 1) * {number}" for number, each in enumerate(matchers, 1))
    return f"max by ({by}) ({' or '.join(parts)})"


def _of_promised_age() -> str:
    """Age of the last good run to the greatest age that its schedule allows; above 1 the run is late."""
    promised = f"max by (source, backup_job) ({SCHEDULES.gauge(schedule_metrics.MAX_AGE)})"
    return f"({_age(_job.LAST_SUCCESS)}) / {promised}"


def _next_run() -> str:
    return f"{_OF_SOURCE} ({SCHEDULES.gauge(schedule_metrics.NEXT)}) - time()"


def _at_a_glance() -> tuple[Panel, ...]:
    def number_of(state: str) -> str:
        return how_many(f"max by (source, backup_job, name) ({_SCOPE.gauge(_job.STATE, state)}) == 1")

    return (
        glance(
            "running",
            "Running",
            "Attempts under way. None in the backup window: see Capacity for refusals and the schedule below.",
            number_of(f'state=~"{UNFINISHED}"'),
            unit=NUMBER_FORMAT,
        ),
        faults(
            "failed",
            "Failed",
            "Jobs whose last attempt failed. `vdbmon ps` names the reason, `vdbmon backup show` has the record.",
            number_of('state="failed"'),
        ),
        faults(
            "late",
            "Late",
            "Jobs whose last good run is older than their schedule allows. The table below shows which: start them.",
            how_many(f"{_of_promised_age()} > 1"),
        ),
        *_oldest(),
    )


def _oldest() -> tuple[Panel, ...]:
    return (
        glance(
            "oldest-success",
            "Oldest good backup",
            "Age of the last good backup of the source that has waited longest: what a loss today would cost.",
            f"max({_age(_job.LAST_SUCCESS)})",
            unit=DURATION_SECONDS,
            steps=above(thresholds.BACKUP_MAX_AGE),
        ),
        glance(
            "oldest-verified",
            "Oldest verified restore",
            "A backup counts when a restore of it was checked. Old: run `vdbmon place NAME --job verify`.",
            f"max({_age(_job.LAST_VERIFIED)})",
            unit=DURATION_SECONDS,
            steps=above(thresholds.BACKUP_VERIFIED_MAX_AGE),
        ),
        glance(
            "largest-lag",
            "Largest standby lag",
            "How far the slowest standby is behind its source. Growing: its disk or CPU limit sets the pace.",
            f"max({_SCOPE.gauge(_job.LAG)})",
            unit=DURATION_SECONDS,
            steps=above(thresholds.LAG_CRITICAL, warning=thresholds.LAG_WARNING),
        ),
    )


def _sources_table() -> Table:
    return Table(
        slug="sources",
        title="Sources",
        description=(
            "What each source could be restored from, the oldest first. Above 100 % of its promised age a job is "
            "late: look at the attempts below, then at the refusals on the dashboard Capacity."
        ),
        height=10,
        keys=("source", "backup_job"),
        sort_by="Last good",
        columns=(
            Column("Last good", _age(_job.LAST_SUCCESS), DURATION_SECONDS, above(thresholds.BACKUP_MAX_AGE)),
            Column("Of promised age", _of_promised_age(), PERCENT_UNIT, _LATE),
            Column("Next run in", _next_run(), DURATION_SECONDS),
            Column(
                "Last verified",
                _age(_job.LAST_VERIFIED),
                DURATION_SECONDS,
                above(thresholds.BACKUP_VERIFIED_MAX_AGE),
            ),
            Column("Last copied", _age(_job.LAST_COPY), DURATION_SECONDS, above(thresholds.BACKUP_COPY_MAX_AGE)),
            Column("Took", f"{_OF_SOURCE} ({_SCOPE.gauge(_job.DURATION)})", DURATION_SECONDS),
            Column("Raw", f"{_OF_SOURCE} ({_SCOPE.gauge(_job.BYTES, _RAW)})", BYTES_IEC),
            Column("Stored", f"{_OF_SOURCE} ({_SCOPE.gauge(_job.BYTES, _STORED)})", BYTES_IEC),
        ),
    )


def _states() -> StateTimeline:
    return StateTimeline(
        slug="states",
        title="States",
        description=(
            "What the last attempt of each job was doing. Red that follows blue: it failed while it ran; open the "
            "container for limits that were hit. Blue for longer than usual: see the row on history."
        ),
        query=Query(_state("source, backup_job"), _LEGEND),
        mappings=_STATE_WORDS,
        width=24,
    )


def _attempts_table() -> Table:
    by = "max by (host, name, source, backup_job)"
    return Table(
        slug="attempts",
        title="Last attempts",
        description=(
            "One line per container, the newest first. Click a name to see it against its limits; one that stands "
            "still below 100 % waits for the source, the network or a disk."
        ),
        height=10,
        keys=("host", "name", "source", "backup_job"),
        sort_by="Started",
        descending=False,
        links=(
            KeyLink("host", HOST_UID, carried=("host",)),
            KeyLink("name", CONTAINER_UID, carried=("host", "name")),
        ),
        columns=(
            Column("State", _state("host, name, source, backup_job"), NUMBER_FORMAT, PLAIN, _STATE_WORDS),
            Column("Started", _age(_job.START, by), DURATION_SECONDS),
            Column("Done", _done(by), PERCENT_UNIT),
            Column("Read", f"{by} ({_SCOPE.gauge(_job.PROGRESS, _RAW)})", BYTES_IEC),
            Column("Written", f"{by} ({_SCOPE.gauge(_job.PROGRESS, _STORED)})", BYTES_IEC),
        ),
    )


def _done(by: str) -> str:
    return f"{by} ({_SCOPE.gauge(_job.PROGRESS, _RAW)}) / {by} ({_SCOPE.gauge(_job.EXPECTED, _RAW)} > 0)"


def _ages() -> tuple[Panel, ...]:
    return (
        lines(
            "success-age",
            "Age of the last good backup",
            "A sawtooth is right; a line that climbs past its usual peak is a job that fails or is not placed.",
            Query(_age(_job.LAST_SUCCESS), _LEGEND),
            Query(
                f"max by (source, backup_job) ({SCHEDULES.gauge(schedule_metrics.MAX_AGE)})", f"{_LEGEND} at most", True
            ),
            unit=DURATION_SECONDS,
            steps=above(thresholds.BACKUP_MAX_AGE),
            width=12,
        ),
        lines(
            "verified-age",
            "Age of the last verified restore",
            "Climbs until a backup is restored and checked. Past a week: nobody knows whether the backups restore.",
            Query(_age(_job.LAST_VERIFIED), _LEGEND),
            unit=DURATION_SECONDS,
            steps=above(thresholds.BACKUP_VERIFIED_MAX_AGE),
            width=12,
        ),
        lines(
            "copy-age",
            "Age of the last second copy",
            "Without a second copy the loss of one host loses its backups: start the copy job, check its target.",
            Query(_age(_job.LAST_COPY), _LEGEND),
            unit=DURATION_SECONDS,
            steps=above(thresholds.BACKUP_COPY_MAX_AGE),
            width=12,
        ),
        lines(
            "lag",
            "Lag of standbys",
            "Seconds behind the source. A steady climb: it replays slower than the source writes; raise its limits.",
            Query(f"{_OF_SOURCE} ({_SCOPE.gauge(_job.LAG)})", "{{source}}"),
            unit=DURATION_SECONDS,
            steps=above(thresholds.LAG_CRITICAL, warning=thresholds.LAG_WARNING),
            width=12,
        ),
    )


def _schedules() -> tuple[Panel, ...]:
    waiting = f"max by (source, backup_job) ({SCHEDULES.gauge(schedule_metrics.WAITING)})"
    refusing = SCHEDULES.gauge(schedule_metrics.REFUSING)
    backups = SCHEDULES.gauge(fleet_metrics.BACKUPS)
    return (
        lines(
            "waiting-runs",
            "Scheduled runs that wait",
            "How long a run that is due has not found a host. `vdbmon backup schedules NAME` says why, host by host.",
            Query(f"time() - {waiting}", _LEGEND),
            unit=DURATION_SECONDS,
        ),
        lines(
            "refusing-hosts",
            "Hosts that refuse them, by reason",
            "Capacity: spread the schedules, or add a host. Alerts and cordons: mend or lift them.",
            Query(f"max by (source, backup_job, code) ({refusing})", f"{_LEGEND} {{{{code}}}}"),
            unit=NUMBER_FORMAT,
        ),
        lines(
            "catalogue",
            "Backups by state",
            "What is there. Waiting for logs: no point in time after it yet; failed: the retention removes it later.",
            Query(f"sum by (source, state) ({backups})", "{{source}} {{state}}"),
            unit=NUMBER_FORMAT,
        ),
    )


def _history() -> tuple[Panel, ...]:
    stored = _SCOPE.gauge(_job.BYTES, _STORED)
    duration = f"{_OF_SOURCE} ({_SCOPE.gauge(_job.DURATION)})"
    newest = recorded(recording.NEWEST_BYTES, SOURCE_MATCHER)
    return (
        lines(
            "duration-of-usual",
            "Duration against the last week",
            (
                "Last good run to the 90th percentile of seven days. Far above 100 %: less CPU, disk or network than "
                "before."
            ),
            Query(f"{duration} / {recorded(recording.USUAL_DURATION, SOURCE_MATCHER)}", _LEGEND),
            unit=PERCENT_UNIT,
            steps=above(thresholds.BACKUP_SLOWNESS),
        ),
        lines(
            "size-of-usual",
            "Size against the last week",
            "A sudden fall means that data is missing, whatever the exit code: verify before older backups are pruned.",
            Query(f"{newest} / {recorded(recording.MEAN_BYTES, SOURCE_MATCHER)}", _LEGEND),
            unit=PERCENT_UNIT,
            steps=below(thresholds.BACKUP_SHRUNK),
        ),
        lines(
            "compression",
            "Stored to raw",
            "What compression leaves. Near 100 %: encrypted or compressed data in the source; give such jobs less CPU.",
            Query(f"{_OF_SOURCE} ({stored}) / {_OF_SOURCE} ({_SCOPE.gauge(_job.BYTES, _RAW)} > 0)", _LEGEND),
            unit=PERCENT_UNIT,
        ),
        lines(
            "duration",
            "Duration of good runs",
            "How long they took. One that grows week by week outgrows its window: move it or give it more.",
            Query(duration, _LEGEND),
            unit=DURATION_SECONDS,
            width=12,
        ),
        lines(
            "size",
            "Stored size",
            "What the last good runs left on disk. Its growth is what the disk space of the fleet must follow.",
            Query(f"{_OF_SOURCE} ({stored})", _LEGEND),
            unit=BYTES_IEC,
            width=12,
        ),
    )


def _progress() -> tuple[Panel, ...]:
    pace = _SCOPE.over_time("deriv", _job.PROGRESS, "$__rate_interval", _RAW)
    by = "max by (source, backup_job, name)"
    return (
        lines(
            "part-done",
            "Part done",
            "Bytes so far to those expected. A flat line: it waits; look at the container's disk and network.",
            Query(_done(by), "{{source}} {{name}}"),
            unit=PERCENT_UNIT,
            width=12,
        ),
        lines(
            "pace",
            "Pace",
            "Bytes per second before compression. On the read limit of the container it goes as fast as it may.",
            Query(f"{by} (clamp_min({pace}, 0))", "{{source}} {{name}}"),
            unit=BYTES_SEC,
            width=12,
        ),
    )


def _refused() -> tuple[Panel, ...]:
    return (
        lines(
            "files-refused",
            "Job files not read",
            "A job's file that is a link, a FIFO or too large is not opened. Above zero: see what the job wrote there.",
            Query(f"max by (host, name, reason) ({EVERY_HOST.gauge(_job.FILE_REFUSED)})", "{{name}} {{reason}}"),
            unit=NUMBER_FORMAT,
            width=12,
        ),
        lines(
            "lines-refused",
            "Lines of job files not taken",
            "Lines that are no metric of the catalogue. Above zero: the image is newer or older than the agent.",
            Query(f"max by (host, name, reason) ({EVERY_HOST.gauge(_job.LINES_REFUSED)})", "{{name}} {{reason}}"),
            unit=NUMBER_FORMAT,
            width=12,
        ),
    )
