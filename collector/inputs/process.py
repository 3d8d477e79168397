"""Processes inside containers, grouped by what they are (mariadbd, mariadb-backup, ...).

Source: /proc/PID/{stat,io,fd} (proc_pid_stat(5), proc_pid_io(5)). `smaps` is never read: it holds mmap_lock and stalls
a database. Counters of a group keep what ended processes have done, so they never run backwards.
"""

from __future__ import annotations

from collector.metrics import Unit, counter, gauge

_L = ("name", "image", "group")

COUNT = gauge("vdbmon_process_count", "Processes of this group.", *_L)
THREADS = gauge("vdbmon_process_threads", "Threads of this group.", *_L)
OPEN_FDS = gauge("vdbmon_process_open_fds", "Open file descriptors of this group.", *_L)
RESIDENT = gauge(
    "vdbmon_process_resident_memory_bytes",
    "Resident memory, shared pages counted in each.",
    *_L,
    unit=Unit.BYTES,
)
CPU = counter("vdbmon_process_cpu_seconds_total", "CPU time of this group.", *_L, unit=Unit.SECONDS)
READ_BYTES = counter(
    "vdbmon_process_read_bytes_total", "Bytes fetched from storage by this group.", *_L, unit=Unit.BYTES
)
WRITE_BYTES = counter("vdbmon_process_write_bytes_total", "Bytes sent to storage by this group.", *_L, unit=Unit.BYTES)
OLDEST_START = gauge(
    "vdbmon_process_oldest_start_time_seconds", "Start of the oldest process.", *_L, unit=Unit.TIMESTAMP
)
