"""What a far end of pushed points has to offer; one module beside this one per kind of far end.

Points go out as records: bytes that the sink makes and the spool keeps. A record says all that is needed to deliver it,
for an agent that is started later finds nothing but the records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

from collector.errors import VdbmonError
from collector.projections.point import Point
from collector.quantities import Seconds


class OutputError(VdbmonError):
    """A write did not succeed.

    Attributes:
        retryable: False where the batch itself is bad and would be refused for ever.
        retry_after: seconds that the far end asks to be left alone.
    """

    def __init__(self, message: str, remedy: str = "", *, retryable: bool, retry_after: Seconds | None = None) -> None:
        super().__init__("output.write", message, remedy)
        self.retryable = retryable
        self.retry_after = retry_after


class Sink(Protocol):
    """One far end."""

    @property
    def name(self) -> str:
        """Kind and address, as `influxdb_v2:http://127.0.0.1:8086`: its label in metrics and logs."""
        ...

    def encode(self, points: Iterable[Point]) -> Iterator[bytes]:
        """The records of one collection; what the format can't carry is left out. Called in the collecting thread."""
        ...

    def write(self, batch: Sequence[bytes]) -> None:
        """Deliver records in one request. Called in the output's own thread, again after a failure.

        Raises:
            OutputError: not accepted; says whether the same batch may be tried again.
        """
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


@runtime_checkable
class RefusesValues(Protocol):
    """A sink whose far end may take a batch and refuse single values of it for good.

    Attributes:
        rejected: values so refused since the start.
    """

    rejected: int
