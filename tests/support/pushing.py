"""A process that spools and pushes until it is killed: `python -m tests.support.pushing FOLDER URL FIRST`.

It numbers its points from FIRST on and tells on its standard output what it has come to, a line each:
`spooled N` (all numbers below N are), `writing`, `written`.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from collector.outputs.influxdb import InfluxOutput
from collector.outputs.push import Backoff, Flush, Pusher
from collector.outputs.settings import InfluxSettings
from collector.outputs.spool import Spool

SPOOL_LIMIT = 2**22
BATCH_SIZE = 20
PUT_SIZE = 7
PAUSE = 0.002  # seconds


def line(number: int) -> bytes:
    """Every number is a point of its own."""
    return b"killed value=%di %d" % (number, number + 1)


def say(text: str) -> None:
    """At once, in one write, so that it is not lost with the process."""
    os.write(1, text.encode() + b"\n")


def main(folder: Path, url: str, first: int) -> None:
    """Put and push for ever."""
    output = InfluxOutput(InfluxSettings(urls=(url,)))

    def write(batch: Sequence[bytes]) -> None:
        say("writing")
        output.write(batch)
        say("written")

    pusher = Pusher(
        "far",
        write,
        Spool(folder, limit=SPOOL_LIMIT),
        Flush(batch_size=BATCH_SIZE, interval=PAUSE),
        Backoff(first=PAUSE, limit=PAUSE),
    )
    pusher.start()
    pause = threading.Event()
    while True:
        pusher.put([line(number) for number in range(first, first + PUT_SIZE)])
        first += PUT_SIZE
        say(f"spooled {first}")
        pause.wait(PAUSE)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
