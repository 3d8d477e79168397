"""What running costs: CPU and memory of processes, from outside."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil

TICKS = os.sysconf("SC_CLK_TCK")
_WAITED_CHILDREN = (13, 14)  # cutime and cstime behind the command name (proc_pid_stat(5))


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, its children, and the children it has waited for.

    By the CPU clocks of the living (clock_getcpuclockid(3)), which are exact where /proc/PID/stat counts hundredths.
    """
    process = psutil.Process(pid)
    return sum(_cpu_clock(each.pid) + _of_waited_children(each.pid) for each in (process, *process.children(True)))


def _cpu_clock(pid: int) -> float:
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0.0  # it ended; whoever waited for it has its time


def _of_waited_children(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0.0
    return sum(int(fields[index]) for index in _WAITED_CHILDREN) / TICKS


def pss_mib(pid: int) -> float:
    """Proportional memory of a process and its children."""
    process = psutil.Process(pid)
    lines = [
        line
        for each in (process, *process.children(recursive=True))
        for line in Path(f"/proc/{each.pid}/smaps_rollup").read_text().splitlines()
        if line.startswith("Pss:")
    ]
    return sum(int(line.split()[1]) for line in lines) / 1024


def microseconds(call: Callable[[], object], rounds: int) -> float:
    """CPU time of one call of this process."""
    start = time.process_time()
    for _ in range(rounds):
        call()
    return (time.process_time() - start) / rounds * 1e6
