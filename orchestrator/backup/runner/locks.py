"""The locks that mariadb-backup takes at the source, by what it says of them on its log.

Source: extra/mariabackup/xtrabackup.cc of MariaDB 10.11.8 and later (BACKUP STAGE START, FLUSH, BLOCK_DDL,
BLOCK_COMMIT, END). Only one session of a server can be in a backup stage: a second backup waits at START, silently.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from .errors import Code, JobFailedError
from .pipeline import FirstProgram

WAITING = "Starting BACKUP STAGE START"
BEGUN = "Acquired locks for BACKUP STAGE START"
BLOCKING_COMMITS = "Starting BACKUP STAGE BLOCK_COMMIT"  # from here on new commits wait behind the request
COMMITS_BLOCKED = "Acquired locks for BACKUP STAGE BLOCK_COMMIT"
UNLOCKED = "All tables unlocked"
_HOLDER = "another backup of this source, or a LOCK TABLES,"
_WORTH_SAYING_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LockLimits:
    """How long a backup may wait for its turn at the source, and how long it may hold up commits there; seconds."""

    turn: float = 600.0
    commits: float = 60.0


class LockWatch:
    """Told each line of mariadb-backup's log; opens the snapshot in the lock's time, and measures that.

    As long as commits wait, the tool must wait for nobody: its stream is absorbed. What it waits for at the server can
    take long all the same. Beyond the limits the tool is ended, and the server gives the lock back.

    Attributes:
        lock_seconds: from the request of the lock, behind which commits wait already, to the server's word that it is
            gone; None before that.
        failure: why the tool was ended; None if it was not.
    """

    def __init__(
        self,
        on_locked: Callable[[], object],
        say: Callable[[str], object],
        limits: LockLimits,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_locked = on_locked
        self._limits = limits
        self._monotonic = monotonic
        self._tool = FirstProgram(lambda: None, lambda: None)
        self._opening: threading.Thread | None = None
        self._remark = _timer(_WORTH_SAYING_SECONDS, lambda: say(f"waiting: {_HOLDER} holds its backup lock"))
        self._turn = _timer(limits.turn, self._no_turn)
        self._commits = _timer(limits.commits, self._held_up)
        self._locked_at: float | None = None
        self.lock_seconds: float | None = None
        self.failure: JobFailedError | None = None

    def started(self, tool: FirstProgram) -> None:
        """Take the tool."""
        self._tool = tool

    def line(self, line: str) -> None:
        """Take a line; called from the thread that reads the log, which must not wait."""
        if line.endswith(WAITING):
            self._remark.start()
            self._turn.start()
        elif line.endswith(BEGUN):
            self._remark.cancel()
            self._turn.cancel()
        elif line.endswith(BLOCKING_COMMITS):
            self._locked_at = self._monotonic()
            self._commits.start()
            self._tool.absorb()
        elif line.endswith(COMMITS_BLOCKED):
            self._opening = threading.Thread(target=self._on_locked, name="snapshot")
            self._opening.start()
        elif line.endswith(UNLOCKED) and self._locked_at is not None:
            self._commits.cancel()
            self.lock_seconds = round(self._monotonic() - self._locked_at, 3)

    def end(self) -> None:
        """The tool has ended: wait until the snapshot is open."""
        for timer in (self._remark, self._turn, self._commits):
            timer.cancel()
        if self._opening is not None:
            self._opening.join()

    def _no_turn(self) -> None:
        text = f"{_HOLDER} held its backup lock for {self._limits.turn:g} s"
        self._give_up(text, "place it when that one is done; `readers = 1` of the source keeps them apart")

    def _held_up(self) -> None:
        text = (
            f"commits at the source were held up for more than {self._limits.commits:g} s, so the backup was given up"
        )
        self._give_up(text, None)

    def _give_up(self, text: str, remedy: str | None) -> None:
        self.failure = JobFailedError(Code.SOURCE_LOCKED, text, remedy)
        self._tool.kill()


def _timer(seconds: float, act: Callable[[], object]) -> threading.Timer:
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    return timer
