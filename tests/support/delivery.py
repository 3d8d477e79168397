"""Delivery without a spool: the same batch again until the far end has taken it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from collector.outputs.sink import OutputError, Sink
from tests.support.servers import exported, free_port, victoria_metrics
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


def stored_across_restart(
    folder: Path, listen: str, sink: Sink, batches: Sequence[Sequence[bytes]], series: str
) -> list[tuple[dict[str, str], list[float], list[int]]]:
    """What VictoriaMetrics has of a series (`exported`) that was delivered while it was restarted.

    `listen` is the option that names the sink's port.
    """
    port = free_port()
    with contextlib.ExitStack() as running:

        def start() -> None:
            running.enter_context(victoria_metrics(folder, port, listen))

        start()
        deliver_across_restart(sink, batches, stop=running.close, start=start)
        return wait_until(lambda: exported(f"http://127.0.0.1:{port}", series), deadline=DEADLINE, what="the series")
