"""Command line of the runner: messages go to standard error, the record is the last line on standard output."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import FrameType

from . import jobs
from .arguments import AnyJob, parse_arguments
from .attempt import Surroundings
from .backup import run_backup
from .binlog import run_binlog
from .errors import JobFailedError, TerminatedError
from .logical import run_logical
from .metrics import MetricsFiles
from .peaks import PeakWatch
from .pipeline import STOP_SIGNALS
from .progress import Progress
from .record import Record, State
from .restore import run_restore
from .second_copy import run_copy
from .send import run_send
from .standby import run_promote, run_standby
from .verify import run_verify


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one job; 0 if it is done, 1 if it failed (the record says why), 2 for a wrong command line."""
    job = parse_arguments(arguments)
    os.umask(0o077)
    _heed_signals()
    if isinstance(job, jobs.SendJob):
        return run_send(job, _say)
    if isinstance(job, jobs.PromoteJob):
        return _promote(job)
    metrics = MetricsFiles(job.target, datetime.now(UTC))
    metrics.progress(0, 0)
    peaks = PeakWatch()
    peaks.start()
    surroundings = Surroundings(
        progress=Progress(_say, metrics), commit=_ignore_signals, resume=_heed_signals, peaks=peaks.peaks
    )

    def tell(record: Record) -> None:
        metrics.ended(record)
        if record.reason is not None:
            _say(f"{record.kind} {record.backup_id} of {record.source} failed: {record.reason}\n")
        sys.stdout.write(record.to_json() + "\n")
        sys.stdout.flush()

    try:
        return 0 if _run(job, surroundings, tell).state in (State.DONE, State.VERIFIED) else 1
    except JobFailedError as error:
        _say(f"{error.reason}\n")
        return 1


def _run(job: AnyJob, surroundings: Surroundings, tell: Callable[[Record], object]) -> Record:
    """Run a job that has a record; those that go on after it tell it themselves."""
    if isinstance(job, jobs.RestoreJob):
        return run_restore(job, surroundings, tell)
    if isinstance(job, jobs.StandbyJob):
        return run_standby(job, surroundings, tell, time.sleep)
    if isinstance(job, jobs.BackupJob):
        record = run_backup(job, surroundings)
    elif isinstance(job, jobs.VerifyJob):
        record = run_verify(job, surroundings)
    elif isinstance(job, jobs.LogicalJob):
        record = run_logical(job, surroundings)
    elif isinstance(job, jobs.BinlogJob):
        record = run_binlog(job, surroundings, time.sleep)
    elif isinstance(job, jobs.CopyJob):
        record = run_copy(job, surroundings)
    else:
        raise TypeError(f"no such job: {job!r}")
    _ignore_signals()
    tell(record)
    return record


def _promote(job: jobs.PromoteJob) -> int:
    try:
        run_promote(job, time.sleep)
    except JobFailedError as error:
        _say(f"{error.reason}\n")
        return 1
    return 0


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    _ignore_signals()  # a second one must not disturb the clean-up
    raise TerminatedError


def _heed_signals() -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, _terminate)


def _ignore_signals() -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
