"""Delivery without a spool: the same batch again until the far end has taken it."""

from __future__ import annotations

from collections.abc import Sequence

from collector.outputs.sink import OutputError, Sink
from tests.support.wait import wait_until

DEADLINE = 30.0


def deliver(sink: Sink, batch: Sequence[bytes]) -> list[OutputError]:
    """Write the batch; what was said in vain attempts before. One that may not be tried again fails the test."""
    errors: list[OutputError] = []

    def written() -> bool:
        try:
            sink.write(batch)
        except OutputError as error:
            if not error.retryable:
                raise
            errors.append(error)
            return False
        return True

    wait_until(written, deadline=DEADLINE, what=f"{sink.name} takes the batch")
    return errors
