"""The benchmark's own arithmetic, and both sides of its reading on a recorded host."""

import os
import subprocess
import sys
from pathlib import Path

from tests.bench.agents import most_series
from tests.bench.cost import cpu_seconds
from tests.bench.reading import both_sides, parse_total_calls
from tests.bench.recorded import RecordedHost
from tests.bench.scraping import percentile

SUMMARY = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 63.08    0.000598           2       293         2 read
 12.00    0.000114           3        38           close
------ ----------- ----------- --------- --------- ----------------
100.00    0.000948           2       331         2 total
"""


def test_the_calls_of_a_summary_are_read() -> None:
    assert parse_total_calls(SUMMARY) == 331


def test_a_percentile_is_one_of_the_values() -> None:
    assert (percentile([1, 2, 3, 4], 0.5), percentile([1, 2, 3, 4], 0.99), percentile([7], 0.5)) == (2, 4, 7)


def test_series_are_counted_by_container() -> None:
    text = b'# HELP a x\na{host="h",name="one"} 1\nb{name="one"} 1\nb{name="two"} 1\nc{host="h"} 1\n'
    assert most_series(text) == 2


def test_the_cpu_of_another_process_is_seen_with_that_of_its_children() -> None:
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    script = (
        f"import subprocess, sys\n{burn}\nsubprocess.run([sys.executable, '-c', {burn!r}])\nprint(flush=True)\ninput()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        spent = cpu_seconds(other.pid)
        other.communicate(b"\n")
    assert 0.35 < spent < 5.0
    assert cpu_seconds(os.getpid()) > 0


def test_both_sides_read_the_same_files(tmp_path: Path) -> None:
    with both_sides(RecordedHost(tmp_path, 3).host) as sides:
        assert sides.containers == 3
        assert sides.files / 3 > 10
        assert sides.samples / 3 > 20
        sides.ours()
        sides.pread()
