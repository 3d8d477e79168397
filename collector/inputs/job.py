"""What jobs say of themselves: the metrics that a backup job writes into its volume, `metrics/*.prom`.

A job may give the values of the metrics declared here and nothing else. Whose they are (name, image, source, kind of
job) comes from the container's labels, or for a volume from the labels that the scheduler put beside it: a file that
sets one of them is wrong, so no job can speak for another. What is not taken is counted by its reason.

A backup has an age when its container is long gone, so the sized volumes are read as well: those with labels, under the
folder that vdbmon keeps them in. Of several volumes of one job the newest file says what it says, and an older one what
that leaves unsaid: a run under way, or one that failed, takes nothing from the last good backup. A series ends when
the volume is removed, or unmounted. What was under way when a container went without a word has failed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from collector import labels
from collector.background import Background
from collector.child import ChildPool
from collector.clock import Clock
from collector.containers import Container, ContainerIndex
from collector.exposition_text import complete_text_lines, name_of, parse_line
from collector.jobfiles import JobFiles, ask_job_files
from collector.kernelfile import SkippedLines, read_file
from collector.metrics import Metric, Sample, Unit, gauge
from collector.mountinfo import parse_mountinfo
from collector.volume_labels import read_volume_labels

_L = ("name", "image", "source", "backup_job")
_STREAM = frozenset({"raw", "stored"})
_UNFINISHED = frozenset({"started", "copied", "waiting_for_logs"})
_FAILED = "failed"
_STATES = _UNFINISHED | {"done", "verified", _FAILED}

STATE = gauge("vdbmon_backup_state", "1 for the state that the last attempt is in, 0 for the others.", *_L, "state")
START = gauge("vdbmon_backup_start_timestamp_seconds", "Start of the last attempt.", *_L, unit=Unit.TIMESTAMP)
PROGRESS = gauge(
    "vdbmon_backup_progress_bytes",
    "Bytes of the last attempt so far, before and after compression.",
    *_L,
    "kind",
    unit=Unit.BYTES,
)
EXPECTED = gauge(
    "vdbmon_backup_expected_bytes",
    "Bytes that the attempt under way is expected to come to; its progress is a part of them.",
    *_L,
    "kind",
    unit=Unit.BYTES,
)
LAST_SUCCESS = gauge(
    "vdbmon_backup_last_success_timestamp_seconds", "End of the last good backup.", *_L, unit=Unit.TIMESTAMP
)
LAST_VERIFIED = gauge(
    "vdbmon_backup_last_verified_timestamp_seconds",
    "When a restore of a backup was last found to be good.",
    *_L,
    unit=Unit.TIMESTAMP,
)
LAST_COPY = gauge(
    "vdbmon_backup_last_copy_timestamp_seconds",
    "When a backup was last copied to another place and found whole there.",
    *_L,
    unit=Unit.TIMESTAMP,
)
DURATION = gauge("vdbmon_backup_duration_seconds", "How long the last good backup took.", *_L, unit=Unit.SECONDS)
BYTES = gauge(
    "vdbmon_backup_bytes", "Size of the last good backup, before and after compression.", *_L, "kind", unit=Unit.BYTES
)
LAG = gauge("vdbmon_backup_lag_seconds", "How far a standby is behind its source.", *_L, unit=Unit.SECONDS)

FILE_REFUSED = gauge(
    "vdbmon_job_file_refused", "Files of a job that were not read, by what they are.", "name", "image", "reason"
)
LINES_REFUSED = gauge(
    "vdbmon_job_lines_refused", "Lines of a job's files that were not taken.", "name", "image", "reason"
)
LAST_READ = gauge("vdbmon_job_last_read_timestamp_seconds", "When all jobs' files were last read.", unit=Unit.TIMESTAMP)

# What a file may set: the labels that are left to it, and their values.
_OFFERED: Mapping[str, tuple[Metric, Mapping[str, frozenset[str]]]] = {
    metric.name: (metric, choices)
    for metric, choices in (
        *((metric, {}) for metric in (START, LAST_SUCCESS, LAST_VERIFIED, LAST_COPY, DURATION, LAG)),
        (STATE, {"state": _STATES}),
        *((metric, {"kind": _STREAM}) for metric in (PROGRESS, EXPECTED, BYTES)),
    )
}

BACKUP_MOUNT = "/backup"
READ_EVERY = 4.0  # seconds; below the usual scrape intervals, so that each scrape starts a round
MAX_LINES = 200  # of one file
_WAIT = 0.1  # seconds that a scrape waits for the round it started: all that a healthy one takes

Values = Mapping[tuple[Metric, tuple[str, ...]], float]


class Owner(NamedTuple):
    """Whose metrics they are; the values of the first four labels."""

    name: str
    image: str
    source: str
    job: str


@dataclass(frozen=True, slots=True)
class JobText:
    """What one file says: values by metric and the labels that are left to the file; refused lines by reason."""

    values: Values
    refused: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class JobReading:
    """One volume. `texts` are what its files say; `running` is false where its container is known to be gone."""

    owner: Owner
    running: bool
    found: JobFiles
    texts: tuple[JobText, ...]


def parse_job_text(text: str) -> JobText:
    """What a job may say, out of a file's text."""
    lines, torn = complete_text_lines(text)
    given = [line for line in lines if not line.startswith("#")]
    values: dict[tuple[Metric, tuple[str, ...]], float] = {}
    refused = Counter({"malformed": torn, "too_many": max(len(given) - MAX_LINES, 0)})
    for line in given[:MAX_LINES]:
        reason = _take(line, values)
        if reason is not None:
            refused[reason] += 1
    states = {key: value for key, value in values.items() if key[0] is STATE}
    if states and sorted(states.values()) != [0.0] * (len(states) - 1) + [1.0]:
        # Zeros alone, of a file that lost a line, would say of a failed attempt that it hasn't failed.
        refused["state"] += len(states)
        values = {key: value for key, value in values.items() if key not in states}
    return JobText(values, dict(+refused))


def _take(line: str, values: dict[tuple[Metric, tuple[str, ...]], float]) -> str | None:
    """Put a line's value among the others; the reason if it can't be taken."""
    name = name_of(line)
    if name is None:
        return "malformed"
    if name not in _OFFERED:
        return "undeclared"
    row = parse_line(line)
    if row is None or not math.isfinite(row.value) or row.value < 0:
        return "malformed"
    metric, choices = _OFFERED[name]
    if row.labels.keys() != choices.keys() or any(row.labels[key] not in choices[key] for key in choices):
        return "label"
    key = (metric, tuple(row.labels[key] for key in choices))
    if key in values:
        return "duplicate"
    values[key] = row.value
    return None


class JobInput:
    """Reads in the background what the jobs of this host have written, and gives it their containers' names."""

    name = "job"

    def __init__(
        self,
        index: ContainerIndex,
        *,
        procfs: Path,
        volumes_dir: Path | None,
        children: ChildPool,
        skipped: SkippedLines,
        clock: Clock,
    ) -> None:
        self._index = index
        self._procfs = procfs
        self._volumes_dir = volumes_dir
        self._children = children
        self._skipped = skipped
        self._known: Mapping[str, JobReading] = {}
        self._reading = Background("jobs", READ_EVERY, self.read, clock)

    def gather(self) -> list[Sample]:
        """What the last round read."""
        self._reading.start_if_due()
        self._reading.wait(_WAIT)
        if self._reading.result is None or self._reading.last_success is None:
            return []
        return [LAST_READ.sample(self._reading.last_success), *samples(self._reading.result)]

    def read(self) -> list[JobReading]:
        """One round, now."""
        containers = self._index.containers
        running = dict(_mounted_by(containers))
        # A container born while the daemon hung has no name yet; it may be the one that writes into any volume.
        stranger = any(container.metadata is None and self._has_backup_mount(container) for container in containers)
        owners = {**self._owners_by_label(), **running}
        self._known = {
            path: self._read_volume(path, owner, running=path in running or stranger) for path, owner in owners.items()
        }
        return list(self._known.values())

    def _has_backup_mount(self, container: Container) -> bool:
        try:
            data = read_file(f"{self._procfs}/{container.pid}/mountinfo")
        except OSError:
            return False  # it ended
        return any(True for _ in parse_mountinfo(data, self._skipped, {BACKUP_MOUNT}))

    def _read_volume(self, path: str, owner: Owner, *, running: bool) -> JobReading:
        found = ask_job_files(self._children, path)
        known = self._known.get(path)
        same = known is not None and known.found == found
        texts = known.texts if known and same else tuple(parse_job_text(file.text) for file in found.files)
        return JobReading(owner, running, found, texts)

    def _owners_by_label(self) -> dict[str, Owner]:
        """The owners of the sized volumes, by path."""
        if self._volumes_dir is None:
            return {}
        keys = (labels.NAME, labels.IMAGE, labels.SOURCE, labels.JOB)
        labelled = read_volume_labels(self._volumes_dir)
        return {
            path: Owner(*(given.get(key, "") for key in keys)) for path, given in labelled if given.get(labels.NAME)
        }


def _mounted_by(containers: Iterable[Container]) -> Iterator[tuple[str, Owner]]:
    """The volumes into which running jobs of ours write: path on the host, and owner."""
    for container in containers:
        if container.label(labels.MANAGED) == "true":
            source, job = container.label(labels.SOURCE), container.label(labels.JOB)
            for mount in container.mounts:
                if mount.destination == BACKUP_MOUNT and mount.source:
                    yield mount.source, Owner(container.name, container.image, source, job)


def samples(readings: Iterable[JobReading]) -> Iterator[Sample]:
    """The samples of one round; a metric of a job is from the newest file that has it."""
    refused: Counter[tuple[Metric, tuple[str, ...]]] = Counter()
    said: list[tuple[float, Owner, Values]] = []
    for reading in readings:
        who = (reading.owner.name, reading.owner.image)
        refused.update((FILE_REFUSED, (*who, reason)) for reason in reading.found.refused)
        for file, text in zip(reading.found.files, reading.texts, strict=True):
            said.append((file.modified, reading.owner, text.values if reading.running else _ended(text.values)))
            refused.update({(LINES_REFUSED, (*who, reason)): count for reason, count in text.refused.items()})
    # By metric, not by series: a state or a size is never put together from two files.
    newest: dict[tuple[Owner, Metric], dict[tuple[str, ...], float]] = {}
    for _, owner, values in sorted(said, key=lambda item: item[0]):
        newest.update({(owner, metric): {} for metric, _ in values})
        for (metric, rest), value in values.items():
            newest[owner, metric][rest] = value
    for (owner, metric), found in newest.items():
        for rest, value in found.items():
            yield Sample(metric, (*owner, *rest), value)
    for (metric, values_of_labels), count in refused.items():
        yield Sample(metric, values_of_labels, count)


def _ended(values: Values) -> Values:
    """What is left of a job whose container is gone: nothing goes on there."""
    ended = {key: value for key, value in values.items() if key[0] not in (PROGRESS, EXPECTED, LAG)}
    if any(ended.get((STATE, (state,))) for state in _UNFINISHED):
        states = {(STATE, (state,)): float(state == _FAILED) for state in _STATES}
        return ended | {key: value for key, value in states.items() if key in ended or key[1] == (_FAILED,)}
    return ended
