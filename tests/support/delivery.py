"""Delivery without a spool: the same batch again until the far end has taken it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from collector.outputs.sink import OutputError, Sink
from tests.support.wait import wait_until

DEADLINE = 30.0


def deliver(sink: Sink, batch: Sequence[bytes], errors: list[OutputError] | None = None) -> None:
    """Write the batch until it is taken; `errors` gets what was said in vain attempts.

    Raises:
        OutputError: one that may not be tried again.
    """

    def written() -> bool:
        try:
            sink.write(batch)
        except OutputError as error:
            if not error.retryable:
                raise
            if errors is not None:
                errors.append(error)
            return False
        return True

    wait_until(written, deadline=DEADLINE, what=f"{sink.name} takes the batch")


def deliver_across_restart(
    sink: Sink, batches: Sequence[Sequence[bytes]], stop: Callable[[], object], start: Callable[[], object]
) -> None:
    """Deliver a third of the batches, more while the far end is stopped, the others to none before it is started again.

    Fails if no batch was written in vain.
    """
    errors: list[OutputError] = []
    stopped = threading.Event()
    first, last = len(batches) // 3, 2 * len(batches) // 3
    for batch in batches[:first]:
        deliver(sink, batch)

    def deliver_others() -> None:
        for number, batch in enumerate(batches[first:], first):
            if number == last:
                stopped.wait(DEADLINE)
            deliver(sink, batch, errors)

    with ThreadPoolExecutor(1) as executor:
        delivered = executor.submit(deliver_others)
        stop()
        stopped.set()
        wait_until(lambda: errors, deadline=DEADLINE, what=f"{sink.name} can't be written to")
        start()
        delivered.result()
