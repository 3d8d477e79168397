"""What every job has in common: a folder that is whole or not there, and a record that says how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from .errors import Code, JobFailedError, TerminatedError
from .jobs import Job
from .progress import Progress
from .record import Kind, Peaks, Record, ServerFacts, State, StoredFile
from .volume import check_target, os_failure, partial_folder, publish


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a job is given of the world.

    Attributes:
        progress: is told how far it is.
        commit: is called when only the renaming is left; from then on no signal may interrupt.
        resume: is called by a job that goes on after that, and may be interrupted again.
        peaks: what the container used most.
    """

    progress: Progress
    commit: Callable[[], object]
    resume: Callable[[], object] = lambda: None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic
    peaks: Callable[[], Peaks | None] = lambda: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a job that went well has to say; see `Record`."""

    facts: ServerFacts = field(default_factory=ServerFacts)
    files: tuple[StoredFile, ...] = ()
    recipients: tuple[str, ...] = ()
    tables: int = 0
    tools: dict[str, str] = field(default_factory=dict)
    restored_to: str | None = None
    state: State = State.DONE


class Attempt:
    """One run of a job, from its start."""

    def __init__(self, job: Job, kind: Kind, surroundings: Surroundings, *, parent: str | None = None) -> None:
        self.job = job
        self._kind = kind
        self._surroundings = surroundings
        self._parent = parent
        self._started_at = surroundings.now()
        self._started = surroundings.monotonic()

    def run(self, work: Callable[[Path], Result]) -> Record:
        """Let `work` fill the job's folder; its record, of state failed with a reason if it could not.

        One that failed or was interrupted leaves no folder.
        """
        try:
            check_target(self.job)
            with partial_folder(self.job) as folder:
                record = self.record(work(folder))
                publish(self.job, record, self._surroundings.commit)
        except (JobFailedError, OSError, TerminatedError) as error:
            return self.failed(error)
        return record

    def record(self, result: Result) -> Record:
        """The record of a good end, now."""
        return self._record(result.facts, result=result, state=result.state)

    def failed(self, error: JobFailedError | OSError | TerminatedError) -> Record:
        """The record of a failure, now."""
        if isinstance(error, TerminatedError):
            error = JobFailedError(Code.TERMINATED, "it was stopped before it was done")
        if isinstance(error, OSError):
            error = os_failure(error, self.job.target, self._surroundings.progress.bytes_stored)
        return self._record(ServerFacts(), state=State.FAILED, error=error)

    def _record(
        self, facts: ServerFacts, *, state: State, result: Result | None = None, error: JobFailedError | None = None
    ) -> Record:
        progress, result = self._surroundings.progress, result or Result()
        return Record(
            **asdict(facts),
            backup_id=self.job.backup_id,
            source=self.job.source,
            kind=self._kind,
            state=state,
            parent=self._parent,
            code=None if error is None else error.code,
            reason=None if error is None else error.reason,
            started_at=iso(self._started_at),
            finished_at=iso(self._surroundings.now()),
            seconds=round(self._surroundings.monotonic() - self._started, 3),
            bytes_raw=progress.bytes_raw,
            bytes_stored=progress.bytes_stored,
            files=result.files,
            recipients=result.recipients,
            tables=result.tables,
            tools=result.tools,
            restored_to=result.restored_to,
            peaks=self._surroundings.peaks(),
        )


def iso(moment: datetime) -> str:
    """UTC in ISO 8601, to the second."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")
