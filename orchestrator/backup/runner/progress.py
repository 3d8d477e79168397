"""Tell how far a job is: a line every few seconds, and the job's metrics."""

from __future__ import annotations

import time
from collections.abc import Callable

from .metrics import MetricsFiles

_SECONDS = 5.0
_MEGABYTE = 10**6


class Progress:
    """Counts of the bytes so far, in the terms of the job: before and after compression.

    Attributes:
        expected_raw: how many `bytes_raw` it will be in the end, about; None if nobody knows.
    """

    def __init__(
        self,
        write: Callable[[str], object],
        metrics: MetricsFiles | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.bytes_raw = 0
        self.bytes_stored = 0
        self.expected_raw: int | None = None
        self._write = write
        self._metrics = metrics
        self._monotonic = monotonic
        self._last = (monotonic(), 0)

    def update(self, *, raw: int | None = None, stored: int | None = None) -> None:
        """Take new counts; those not given stay."""
        self.bytes_raw = self.bytes_raw if raw is None else raw
        self.bytes_stored = self.bytes_stored if stored is None else stored
        if self._metrics is not None:
            self._metrics.progress(self.bytes_raw, self.bytes_stored, self.expected_raw)
        then, raw_then = self._last
        elapsed = self._monotonic() - then
        if elapsed >= _SECONDS:
            self._last = (then + elapsed, self.bytes_raw)
            self._write(self._line((self.bytes_raw - raw_then) / elapsed))

    def copied(self) -> None:
        """The bulk is in the volume; what makes it a whole result is still to come."""
        self.say("copied; finishing")
        if self._metrics is not None:
            self._metrics.copied(self.bytes_raw, self.bytes_stored)

    def lag(self, seconds: float | None) -> None:
        """Take how far a follower is behind its source; None for one that follows no more."""
        if self._metrics is not None:
            self._metrics.lag(seconds)

    def say(self, text: str) -> None:
        """A line of its own, for a step that takes long."""
        self._write(f"{text}\n")

    def _line(self, rate: float) -> str:
        """For example: 40.0 of about 300.0 MB read, 20.0 MB stored, 4.0 MB/s, 65 s to go."""
        of = to_go = ""
        if self.expected_raw is not None and self.expected_raw >= self.bytes_raw:
            of = f" of about {self.expected_raw / _MEGABYTE:.1f}"
            to_go = f", {(self.expected_raw - self.bytes_raw) / rate:.0f} s to go" if rate else ""
        return (
            f"{self.bytes_raw / _MEGABYTE:.1f}{of} MB read, {self.bytes_stored / _MEGABYTE:.1f} MB stored, "
            f"{rate / _MEGABYTE:.1f} MB/s{to_go}\n"
        )
