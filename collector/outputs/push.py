"""Delivery of lines to a far end that may be away: a bounded queue and a thread of its own per output.

Guarantee: at least once, in order, with the timestamps of the collection. A batch of which it isn't known whether it
arrived is sent again unchanged. While the far end is away the queue fills; then the oldest go first, counted. A batch
that the far end calls bad is given up at once, so that it can't hold up those behind it. What is queued does not
survive the end of the agent.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from collector.outputs.sink import OutputError
from collector.quantities import Seconds

logger = logging.getLogger(__name__)

Batch = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class PushStats:
    """How an output fares; all counts are points (lines).

    Attributes:
        up: the last write was accepted; False as long as none was tried.
        written: accepted by the far end.
        dropped: given up: pushed out by newer ones, called bad, or left over at the end.
        queued: waiting, the batch under way included.
    """

    up: bool
    written: int
    dropped: int
    queued: int


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits between attempts: twice as long each time up to a limit, less up to half of it by chance.

    Chance keeps a hundred agents from coming back to a restarted server in the same moment.
    """

    first: Seconds = 1.0
    limit: Seconds = 60.0
    chance: Callable[[], float] = random.random

    def wait(self, failures: int) -> Seconds:
        """Seconds to wait after so many failures in a row (at least 1)."""
        longest = self.limit if failures > 30 else min(self.first * 2.0 ** (failures - 1), self.limit)  # noqa: PLR2004
        return longest * (1.0 - self.chance() / 2)


class Pusher:
    """Queues lines and writes them in batches from its own thread.

    Args:
        name: names the output in logs and metrics.
        write: writes one batch; raises OutputError.
        batch_size: points of one write at the most.
        buffer_limit: points that wait at the most; whole batches are dropped beyond it.
        sleep: waits so many seconds, less if the pusher is closed meanwhile; by default on its own event.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[Batch], object],
        *,
        batch_size: int,
        buffer_limit: int,
        backoff: Backoff = Backoff(),
        sleep: Callable[[Seconds], object] | None = None,
    ) -> None:
        self.name = name
        self._write = write
        self._batch_size = min(batch_size, buffer_limit)
        self._limit = buffer_limit
        self._backoff = backoff
        self._closing = threading.Event()
        self._sleep = sleep or self._closing.wait
        self._changed = threading.Condition()
        self._waiting: deque[Batch] = deque()
        self._waiting_points = self._under_way_points = self._written = self._dropped = 0
        self._up = False
        self._thread = threading.Thread(target=self._run, name=f"push-{name}", daemon=True)

    def start(self) -> None:
        """Begin to write; lines put before wait in the queue."""
        self._thread.start()

    def put(self, lines: Sequence[bytes]) -> None:
        """Queue the lines of one collection. Never waits for the far end."""
        with self._changed:
            for begin in range(0, len(lines), self._batch_size):
                batch = tuple(lines[begin : begin + self._batch_size])
                self._waiting.append(batch)
                self._waiting_points += len(batch)
            self._drop_oldest()
            self._changed.notify()

    def stats(self) -> PushStats:
        """How the output fares now."""
        with self._changed:
            queued = self._waiting_points + self._under_way_points
            return PushStats(self._up, self._written, self._dropped, queued)

    def close(self, deadline: Seconds) -> None:
        """Write what is queued, without waits between attempts, for at most `deadline` seconds; drop the rest."""
        with self._changed:
            self._closing.set()
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(deadline)
        with self._changed:
            left = self._waiting_points + self._under_way_points
            self._waiting.clear()
            self._waiting_points = self._under_way_points = 0
            self._dropped += left
        if left:
            logger.warning("output %s: %d points were not delivered before the end", self.name, left)

    def _run(self) -> None:
        failures = 0
        while batch := self._take():
            last_attempt = self._closing.is_set()
            error = self._attempt(batch)
            if error is None:
                self._accepted(batch)
                failures = 0
            elif not error.retryable:
                logger.warning("output %s: %d points given up: %s", self.name, len(batch), error)
                self._given_up(batch)
                failures = 0
            else:
                failures += 1
                logger.log(logging.WARNING if failures == 1 else logging.DEBUG, "output %s: %s", self.name, error)
                self._put_back(batch)
                if last_attempt:
                    return
                self._sleep(self._backoff.wait(failures))

    def _take(self) -> Batch:
        """The oldest batch, waiting for one; empty at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing.is_set())
            batch = self._waiting.popleft() if self._waiting else ()
            self._waiting_points -= len(batch)
            self._under_way_points = len(batch)
            return batch

    def _attempt(self, batch: Batch) -> OutputError | None:
        try:
            self._write(batch)
        except OutputError as error:
            return error
        except Exception as error:
            # A bug of ours or of a library; the thread must live on, and the same batch would hit it again.
            logger.debug("output %s", self.name, exc_info=True)
            return OutputError(f"unexpected {error!r}", retryable=False)
        return None

    def _accepted(self, batch: Batch) -> None:
        with self._changed:
            if not self._up:
                logger.info("output %s: the far end accepts points", self.name)
            self._up = True
            self._written += len(batch)
            self._under_way_points = 0

    def _given_up(self, batch: Batch) -> None:
        with self._changed:
            self._up = False
            self._dropped += len(batch)
            self._under_way_points = 0

    def _put_back(self, batch: Batch) -> None:
        """Make the batch the oldest again; if newer ones fill the queue meanwhile, it is dropped."""
        with self._changed:
            self._up = False
            self._under_way_points = 0
            self._waiting.appendleft(batch)
            self._waiting_points += len(batch)
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        while self._waiting_points > self._limit:
            points = len(self._waiting.popleft())
            self._waiting_points -= points
            self._dropped += points
