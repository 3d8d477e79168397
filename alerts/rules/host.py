"""Alerts of a host: CPUs, memory, pressure, and the kernel's own limits.

What users feel pages; what explains it informs. Rates look back 5 minutes, gates one minute.
"""

from __future__ import annotations

from alerts.recording import CPU_BUSY, CPU_IOWAIT, CPU_STEAL, PRESSURE
from alerts.rule import (
    DURATION,
    HOST,
    PERCENT,
    AlertRule,
    Closes,
    Severity,
    highest,
    increase,
    lowest,
    rate,
    selector,
)
from alerts.selectors import NO_VIRTUAL_DISK
from alerts.thresholds import (
    CLOCK_SKEW,
    CPU_BUSY_RATIO,
    CPU_IOWAIT_RATIO,
    CPU_STEAL_RATIO,
    CPU_WAITING_RATIO,
    DISK_BUSY_RATIO,
    FILE_HANDLES_CRITICAL,
    FILE_HANDLES_WARNING,
    GATE_FOR,
    IO_STALLED_RATIO,
    KEEP_FIRING_FOR,
    LOAD_PER_CPU,
    MAJOR_FAULTS,
    MEMORY_STALLED_RATIO,
    MEMORY_USED_RATIO,
    REBOOTED_WITHIN,
    THREADS_RATIO,
)
from collector.catalogue import host, tables

_MEMORY_USED = f"1 - {selector(host.MEMORY['MemAvailable'])} / {selector(host.MEMORY['MemTotal'])}"
_DISK_BUSY = f"max by (host) ({rate(host.DISK_IO_TIME, '1m', NO_VIRTUAL_DISK)})"
_IO_STALLED = f"max by (host) ({rate(host.PRESSURE['io', 'full'], '1m')})"
# timestamp() is when Prometheus scraped; the agent gives the clock of at most a second before.
_CLOCK_SKEW = f"abs({selector(host.TIME)} - timestamp({selector(host.TIME)}))"

MEMORY_RULES = (
    AlertRule(
        name="HostMemoryLow",
        expr=f"max by (host) ({_MEMORY_USED}) > {MEMORY_USED_RATIO.value:g}",
        for_=GATE_FOR,
        keep_firing_for=KEEP_FIRING_FOR,
        severity=Severity.WARNING,
        closes=Closes.HOST,
        limits=(MEMORY_USED_RATIO,),
        summary=f"{HOST} uses {PERCENT} of its memory",
        description=(
            f"Less than {1 - MEMORY_USED_RATIO.value:.0%} of the memory of {HOST} is available; page cache counts as "
            "available. No backup is placed here. Find the container that grew with `vdbmon ps` and lower its limit."
        ),
    ),
    AlertRule(
        name="HostMemoryPressure",
        expr=f"max by (host) ({PRESSURE['memory', 'full'].name}) > {MEMORY_STALLED_RATIO.value:g}",
        for_=5 * 60,
        severity=Severity.WARNING,
        limits=(MEMORY_STALLED_RATIO,),
        summary=f"{HOST} is stalled for memory {PERCENT} of the time",
        description=(
            f"All tasks of {HOST} wait for memory at once for more than {MEMORY_STALLED_RATIO.value:.0%} of the time: "
            "the host pages instead of working, and backups crawl. Move or stop a container."
        ),
    ),
    AlertRule(
        name="HostMajorFaults",
        expr=f"max by (host) ({rate(host.VMSTAT['pgmajfault'], '5m')}) > {MAJOR_FAULTS.value:g}",
        for_=15 * 60,
        severity=Severity.INFO,
        limits=(MAJOR_FAULTS,),
        summary=f"{HOST} fetches {{{{ $value | humanize }}}} pages per second from disk on access",
        description=(
            f"The memory of {HOST} does not hold what its processes use. HostMemoryPressure says whether that hurts; "
            "this says why."
        ),
    ),
    AlertRule(
        name="HostOOMKill",
        expr=f"max by (host) ({increase(host.OOM_KILL, '15m')}) > 0",
        severity=Severity.WARNING,
        summary=f"The kernel of {HOST} killed a process for want of memory",
        description=(
            f"Within the last 15 minutes a process on {HOST} was killed. If ContainerOOMKilled names a container it "
            "was that container's limit; if not, the whole host ran out of memory. The kernel log has the process."
        ),
    ),
)

CPU_RULES = (
    AlertRule(
        name="HostCPUPressure",
        expr=f"max by (host) ({PRESSURE['cpu', 'some'].name}) > {CPU_WAITING_RATIO.value:g}",
        for_=15 * 60,
        severity=Severity.INFO,
        limits=(CPU_WAITING_RATIO,),
        summary=f"Tasks of {HOST} wait for a CPU {PERCENT} of the time",
        description=(
            f"More runs on {HOST} than it has CPUs for. Backups take longer; nothing is lost. Check the host's cpus "
            "in the inventory against its real ones."
        ),
    ),
    AlertRule(
        name="HostCPUBusy",
        expr=f"{lowest(CPU_BUSY.name, '5m')} > {CPU_BUSY_RATIO.value:g}",
        for_=15 * 60,
        severity=Severity.INFO,
        limits=(CPU_BUSY_RATIO,),
        summary=f"The CPUs of {HOST} are busy {PERCENT} of the time",
        description=(
            f"Compression keeps the CPUs of {HOST} busy; that is what they are for. HostCPUPressure says whether tasks "
            "have to wait."
        ),
    ),
    AlertRule(
        name="HostLoadHigh",
        expr=(f"max by (host) ({lowest(host.LOAD1, '5m')} / {highest(host.CPU_CORES, '5m')}) > {LOAD_PER_CPU.value:g}"),
        for_=15 * 60,
        severity=Severity.INFO,
        limits=(LOAD_PER_CPU,),
        summary=f"The load of {HOST} is {{{{ $value | humanize }}}} per CPU",
        description=(
            f"More tasks of {HOST} run or wait for a disk than it has CPUs. HostCPUPressure and HostIOPressure say for "
            "which of them they wait."
        ),
    ),
    AlertRule(
        name="HostCPUSteal",
        expr=f"{lowest(CPU_STEAL.name, '5m')} > {CPU_STEAL_RATIO.value:g}",
        for_=10 * 60,
        severity=Severity.WARNING,
        limits=(CPU_STEAL_RATIO,),
        summary=f"The hypervisor takes {PERCENT} of the CPU time of {HOST}",
        description=(
            f"{HOST} is a virtual machine and its hypervisor gives the CPUs to others. The scheduler counts on CPUs "
            "that are not there: lower the host's cpus in the inventory, or move the machine."
        ),
    ),
    AlertRule(
        name="HostIOWait",
        expr=f"{lowest(CPU_IOWAIT.name, '5m')} > {CPU_IOWAIT_RATIO.value:g}",
        for_=10 * 60,
        severity=Severity.INFO,
        limits=(CPU_IOWAIT_RATIO,),
        summary=f"The CPUs of {HOST} wait for I/O {PERCENT} of the time",
        description=(
            f"CPUs of {HOST} have nothing else to do than to wait for a disk. Normal for backups; HostIOPressure "
            "says whether it hurts."
        ),
    ),
)

PRESSURE_RULES = (
    AlertRule(
        name="HostIOPressure",
        expr=f"{_IO_STALLED} > {IO_STALLED_RATIO.value:g} and {_DISK_BUSY} > {DISK_BUSY_RATIO.value:g}",
        for_=GATE_FOR,
        keep_firing_for=KEEP_FIRING_FOR,
        severity=Severity.WARNING,
        closes=Closes.HOST,
        limits=(IO_STALLED_RATIO, DISK_BUSY_RATIO),
        summary=f"{HOST} is stalled for I/O {PERCENT} of the time",
        description=(
            f"Tasks of {HOST} mostly wait for I/O while a disk is busy more than {DISK_BUSY_RATIO.value:.0%} of the "
            "time: the disk is the bottleneck, not a limit. No backup is placed here until the running ones have "
            "eased off."
        ),
    ),
)


def _file_handles(used: str, limit: str) -> str:
    return f"max by (host) ({used} / {limit})"


KERNEL_RULES = (
    AlertRule(
        name="HostFileHandlesLow",
        expr=(
            f"{_file_handles(lowest(host.FILES_ALLOCATED, '5m'), highest(host.FILES_MAXIMUM, '5m'))} > "
            f"{FILE_HANDLES_WARNING.value:g}"
        ),
        for_=15 * 60,
        severity=Severity.WARNING,
        limits=(FILE_HANDLES_WARNING,),
        summary=f"{HOST} uses {PERCENT} of its file handles",
        description=(
            f"Something on {HOST} opens files and does not close them. At {FILE_HANDLES_CRITICAL.value:.0%} the host "
            "is closed. Find the process with `lsof` and raise fs.file-max meanwhile."
        ),
    ),
    AlertRule(
        name="HostFileHandlesFull",
        expr=(
            f"{_file_handles(selector(host.FILES_ALLOCATED), selector(host.FILES_MAXIMUM))} > "
            f"{FILE_HANDLES_CRITICAL.value:g}"
        ),
        for_=GATE_FOR,
        keep_firing_for=KEEP_FIRING_FOR,
        severity=Severity.CRITICAL,
        closes=Closes.HOST,
        limits=(FILE_HANDLES_CRITICAL,),
        summary=f"{HOST} uses {PERCENT} of its file handles",
        description=(
            f"Soon nothing on {HOST} can open a file: backups fail, the daemon hangs, nobody can log in. No backup is "
            "placed here. Raise fs.file-max at once, then find the leak."
        ),
    ),
    AlertRule(
        name="HostThreadsLow",
        expr=(
            f"max by (host) ({lowest(host.THREADS, '5m')} / {highest(tables.PIDS_LIMIT, '5m')}) > "
            f"{THREADS_RATIO.value:g}"
        ),
        for_=5 * 60,
        severity=Severity.WARNING,
        limits=(THREADS_RATIO,),
        summary=f"{HOST} has {PERCENT} of the threads that it can have",
        description=(
            f"At kernel.pid_max nothing on {HOST} can start a process or a thread. Find the container with "
            "`vdbmon top`, and raise kernel.pid_max."
        ),
    ),
    AlertRule(
        name="HostClockSkewed",
        expr=f"min_over_time(max by (host) ({_CLOCK_SKEW})[5m:]) > {CLOCK_SKEW.value:g}",
        for_=5 * 60,
        severity=Severity.WARNING,
        limits=(CLOCK_SKEW,),
        summary=f"The clock of {HOST} is off by {DURATION}",
        description=(
            f"The clock of {HOST} differs from that of Prometheus. Ages of backups and of telemetry are misjudged, and "
            "the host may be closed for stale data. Mend its time synchronisation."
        ),
    ),
    AlertRule(
        name="HostRebooted",
        expr=f"time() - max by (host) ({highest(host.BOOT_TIME, '5m')}) < {REBOOTED_WITHIN.value:g}",
        severity=Severity.INFO,
        limits=(REBOOTED_WITHIN,),
        summary=f"{HOST} booted {DURATION} ago",
        description=(
            f"{HOST} was started anew. Backups that ran on it have failed and BackupFailed names them; this says why."
        ),
    ),
)

RULES = (*MEMORY_RULES, *CPU_RULES, *PRESSURE_RULES, *KERNEL_RULES)
