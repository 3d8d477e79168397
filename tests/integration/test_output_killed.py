"""An agent's spool and delivery killed with SIGKILL, before, while and after a flush, fifty times."""

import random
import subprocess
import sys
import threading
from pathlib import Path

from collector.outputs.influxdb import InfluxOutput
from collector.outputs.push import Flush, Pusher
from collector.outputs.settings import InfluxSettings
from collector.outputs.spool import Cause, Spool
from tests.support.pushing import SPOOL_LIMIT
from tests.support.servers import influx_query, influxdb
from tests.support.wait import wait_until

ROUNDS = 50
MOMENTS = ("spooled", "writing", "written")
ROUND = 10**6  # numbers from round to round
LATEST = 0.02  # seconds after the moment
SEED = 4


def run_and_kill(folder: Path, url: str, first: int, moment: str, delay: float) -> tuple[int, int]:
    """Kill a pushing process so long after it came to this moment; what it had spooled, and how often it wrote."""
    command = [sys.executable, "-m", "tests.support.pushing", str(folder), url, str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        said: list[bytes] = []
        for line in child.stdout:
            said.append(line)
            if line.startswith(moment.encode()):
                break
        threading.Event().wait(delay)
        child.kill()
        said += child.stdout.read().splitlines()
    spooled = [int(line.split()[1]) for line in said if line.startswith(b"spooled ")]
    return max(spooled, default=first), len([line for line in said if line.startswith(b"written")])


def test_nothing_that_was_spooled_is_lost(tmp_path: Path) -> None:
    chance = random.Random(SEED)  # noqa: S311 - the same moments in every run
    promised: set[int] = set()
    left_behind, written = [], []
    with influxdb(tmp_path) as server:
        influx_query(server, "CREATE DATABASE telegraf")
        for number in range(ROUNDS):
            first = number * ROUND
            delay = chance.random() * LATEST
            end, writes = run_and_kill(tmp_path / "spool", server.url, first, MOMENTS[number % len(MOMENTS)], delay)
            promised |= set(range(first, end))
            written.append(writes)
            spool = Spool(tmp_path / "spool", limit=SPOOL_LIMIT)
            left_behind.append(spool.stats().records)
            assert spool.stats().dropped[Cause.CORRUPT] <= 7, "only a put that wasn't finished can be torn"
            spool.close()
        output = InfluxOutput(InfluxSettings(urls=(server.url,)))
        pusher = Pusher("far", output.write, Spool(tmp_path / "spool", limit=SPOOL_LIMIT), Flush(interval=0.01))
        pusher.start()
        wait_until(lambda: pusher.stats().waiting.records == 0, deadline=60, what="the rest is delivered")
        pusher.close(10)
        (series,) = influx_query(server, "SELECT value FROM killed", "telegraf")
    stored = [(time - 1, value) for time, value in series["values"]]
    assert all(time == value for time, value in stored)
    assert promised <= {value for _, value in stored}
    assert len(stored) == len(set(stored)), "none twice"
    assert len(stored) - len(promised) <= 7 * ROUNDS, "no more than one put a round was spooled and not said"
    assert any(left_behind), "some were killed before a flush"
    assert any(written), "some after one"
