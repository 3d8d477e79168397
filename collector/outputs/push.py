"""Delivery of an output's records: a thread that takes them from the spool and writes them to the far end.

Guarantee: at least once, in order, with the timestamps of the collection.

- A batch of which it isn't known whether it arrived is sent again, with growing waits between. It stays in the spool
  until the far end has accepted it.
- A batch that the far end calls bad is halved until the bad records are alone; they are given up, counted and logged,
  and don't hold up the others. SPLITS bounds the requests that this may take; beyond it what is refused goes whole.
- An answer about the endpoint (wrong token, no such bucket) is about every batch alike: all is kept.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from collector.outputs.sink import OutputError
from collector.outputs.spool import Batch, Cause, Spool, SpoolStats
from collector.quantities import Seconds

logger = logging.getLogger(__name__)

SPLITS = 40  # halvings of one batch: enough to find three or four bad ones among a thousand
LONGEST_RETRY_AFTER: Seconds = 600.0  # a server may keep an output waiting so long; telegraf's limit too


@dataclass(frozen=True, slots=True)
class PushStats:
    """How an output fares.

    Attributes:
        up: the last write was accepted; False as long as none was tried.
        written: points accepted; one that was dropped while under way counts as dropped.
        batches: writes that were accepted.
        errors: writes that were not.
        write_seconds: time spent in writes, accepted or not.
        last_write: seconds that the last one took.
        waiting: what is in the spool, and what was dropped.
    """

    up: bool
    written: int
    batches: int
    errors: int
    write_seconds: Seconds
    last_write: Seconds
    waiting: SpoolStats


@dataclass(frozen=True, slots=True, kw_only=True)
class Flush:
    """When and how much is written; telegraf's words and meanings.

    Attributes:
        batch_size: points of one write at the most. As soon as so many wait, they are written.
        interval: fewer wait for so long.
        jitter: a time by chance between none and this is added to the interval.
    """

    batch_size: int = 1000
    interval: Seconds = 10.0
    jitter: Seconds = 0.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits between attempts: twice as long each time up to a limit, less up to half of it by chance.

    Chance keeps a hundred agents from coming back to a restarted server in the same moment.
    """

    first: Seconds = 1.0
    limit: Seconds = 60.0
    chance: Callable[[], float] = random.random

    def wait(self, failures: int, retry_after: Seconds | None = None) -> Seconds:
        """Seconds to wait after so many failures in a row (at least 1), longer if the far end asks for it."""
        longest = self.limit if failures > 30 else min(self.first * 2.0 ** (failures - 1), self.limit)  # noqa: PLR2004
        return max(longest * (1.0 - self.chance() / 2), min(retry_after or 0.0, LONGEST_RETRY_AFTER))


class Pusher:
    """Spools records and writes them in batches from its own thread.

    Args:
        name: names the output in logs and metrics.
        write: writes one batch; raises OutputError.
        spool: is closed with the pusher.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[Sequence[bytes]], object],
        spool: Spool,
        flush: Flush = Flush(),
        backoff: Backoff = Backoff(),
    ) -> None:
        self.name = name
        self._write = write
        self._spool = spool
        self._flush = flush
        self._backoff = backoff
        self._changed = threading.Condition()
        self._closing = False
        self._up = False
        self._written = self._batches = self._errors = 0
        self._write_seconds = self._last_write = 0.0
        self._thread = threading.Thread(target=self._run, name=f"push-{name}", daemon=True)

    def start(self) -> None:
        """Begin to write; what was put before waits in the spool."""
        self._thread.start()

    def put(self, records: Sequence[bytes]) -> None:
        """Spool the records of one collection. Never waits for the far end."""
        size = self._flush.batch_size
        for begin in range(0, len(records), size):
            self._spool.put(records[begin : begin + size])
        with self._changed:
            self._changed.notify()

    def stats(self) -> PushStats:
        """How the output fares now."""
        waiting = self._spool.stats()
        with self._changed:
            return PushStats(
                self._up,
                self._written,
                self._batches,
                self._errors,
                self._write_seconds,
                self._last_write,
                waiting,
            )

    def close(self, deadline: Seconds) -> None:
        """Try once more to write what waits, for at most `deadline` seconds; the rest stays in the spool."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(deadline)
        self._spool.close()
        left = self._spool.stats().records
        if left:
            logger.info("output %s: %d points stay in the spool", self.name, left)

    def _run(self) -> None:
        failures = 0
        closing = False
        while not closing:
            closing = self._closing
            error = self._write_all()
            self._spool.sync()
            if error is None:
                failures = 0
                self._wait(self._flush.interval + random.uniform(0, self._flush.jitter), for_batch=True)  # noqa: S311
            else:
                failures += 1
                logger.log(logging.WARNING if failures == 1 else logging.DEBUG, "output %s: %s", self.name, error)
                self._wait(self._backoff.wait(failures, error.retry_after), for_batch=False)

    def _wait(self, seconds: Seconds, *, for_batch: bool) -> None:
        """Until the time is over, the end has come, or (if so told) a whole batch waits."""
        size = self._flush.batch_size
        with self._changed:
            self._changed.wait_for(
                lambda: self._closing or (for_batch and self._spool.stats().records >= size), seconds
            )

    def _write_all(self) -> OutputError | None:
        """Write until nothing waits, or until the far end is away."""
        while batch := self._spool.take(self._flush.batch_size):
            error = self._deliver(batch)
            if error is not None:
                return error
        return None

    def _deliver(self, batch: Batch) -> OutputError | None:
        """Write a batch, or the parts that are good; the error if some of it has to be tried again."""
        parts = [batch]
        splits = SPLITS
        refused = 0
        reason: OutputError | None = None
        while parts:
            part = parts.pop()
            end = part.number + len(part.records)
            error = self._attempt(part.records)
            if error is None:
                self._accepted(self._spool.done(end))
            elif error.retryable:
                break
            elif len(part.records) > 1 and splits:
                splits -= 1
                parts += reversed(_halves(part))
            else:
                refused += self._spool.done(end, Cause.REJECTED)
                reason = error
        else:
            error = None
        if refused:
            total = len(batch.records)
            logger.warning("output %s: %d of %d points refused and given up: %s", self.name, refused, total, reason)
        return error

    def _attempt(self, records: Sequence[bytes]) -> OutputError | None:
        begin = time.monotonic()
        error: OutputError | None = None
        try:
            self._write(records)
        except OutputError as refusal:
            error = refusal
        except Exception as bug:
            # Of ours or of a library. The thread must live on, and the same records would hit it again.
            logger.debug("output %s", self.name, exc_info=True)
            error = OutputError(f"unexpected {bug!r}", retryable=False)
        with self._changed:
            self._last_write = time.monotonic() - begin
            self._write_seconds += self._last_write
            self._errors += error is not None
            self._up = error is None
        return error

    def _accepted(self, points: int) -> None:
        with self._changed:
            if not self._batches:
                logger.info("output %s: the far end accepts points", self.name)
            self._batches += 1
            self._written += points


def _halves(batch: Batch) -> tuple[Batch, Batch]:
    middle = len(batch.records) // 2
    return (
        Batch(batch.number, batch.records[:middle]),
        Batch(batch.number + middle, batch.records[middle:]),
    )
