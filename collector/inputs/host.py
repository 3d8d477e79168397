"""The host: CPU, memory, load, filesystems, disks, network, pressure.

Names and label sets are node_exporter's. Sources: psutil; /proc/pressure (Documentation/accounting/psi.rst);
/proc/vmstat; statvfs(3) in a child process, because it can hang.
"""

from __future__ import annotations

from collector.metrics import Unit, counter, gauge

CPU_SECONDS = counter("node_cpu_seconds_total", "CPU time by mode.", "cpu", "mode", unit=Unit.SECONDS)
CPU_CORES = gauge("machine_cpu_cores", "Logical CPUs online.", unit=Unit.CORES)
MACHINE_MEMORY = gauge("machine_memory_bytes", "Memory of the machine.", unit=Unit.BYTES)
BOOT_TIME = gauge("node_boot_time_seconds", "When the machine booted.", unit=Unit.TIMESTAMP)
TIME = gauge("node_time_seconds", "The host's clock.", unit=Unit.TIMESTAMP)
LOAD1 = gauge("node_load1", "Load average over 1 minute.")
LOAD5 = gauge("node_load5", "Load average over 5 minutes.")
LOAD15 = gauge("node_load15", "Load average over 15 minutes.")
PROCS_RUNNING = gauge("node_procs_running", "Tasks that run or could.")
PROCS_BLOCKED = gauge("node_procs_blocked", "Tasks that wait for I/O.")
CONTEXT_SWITCHES = counter("node_context_switches_total", "Context switches.")
INTERRUPTS = counter("node_intr_total", "Interrupts served.")
FORKS = counter("node_forks_total", "Processes created.")
OOM_KILL = counter("node_vmstat_oom_kill", "Processes killed for want of memory on the whole host.")

MEMORY = {
    field: gauge(f"node_memory_{field}_bytes", f"{field} of /proc/meminfo.", unit=Unit.BYTES)
    for field in (
        "MemTotal",
        "MemFree",
        "MemAvailable",
        "Buffers",
        "Cached",
        "SwapTotal",
        "SwapFree",
        "Dirty",
        "Writeback",
        "Slab",
        "SReclaimable",
        "Shmem",
        "AnonPages",
    )
}

_FS = ("device", "mountpoint", "fstype")
FS_SIZE = gauge("node_filesystem_size_bytes", "Size of the filesystem.", *_FS, unit=Unit.BYTES)
FS_FREE = gauge("node_filesystem_free_bytes", "Free space, root's reserve included.", *_FS, unit=Unit.BYTES)
FS_AVAIL = gauge("node_filesystem_avail_bytes", "Free space for others than root.", *_FS, unit=Unit.BYTES)
FS_FILES = gauge("node_filesystem_files", "Inodes of the filesystem.", *_FS)
FS_FILES_FREE = gauge("node_filesystem_files_free", "Free inodes.", *_FS)
FS_READONLY = gauge("node_filesystem_readonly", "1 if mounted read-only.", *_FS)
FS_DEVICE_ERROR = gauge("node_filesystem_device_error", "1 if the filesystem did not answer statvfs in time.", *_FS)

DISK_READ_BYTES = counter("node_disk_read_bytes_total", "Bytes read.", "device", unit=Unit.BYTES)
DISK_WRITTEN_BYTES = counter("node_disk_written_bytes_total", "Bytes written.", "device", unit=Unit.BYTES)
DISK_READS = counter("node_disk_reads_completed_total", "Reads completed.", "device")
DISK_WRITES = counter("node_disk_writes_completed_total", "Writes completed.", "device")
DISK_READ_TIME = counter("node_disk_read_time_seconds_total", "Time of all reads.", "device", unit=Unit.SECONDS)
DISK_WRITE_TIME = counter("node_disk_write_time_seconds_total", "Time of all writes.", "device", unit=Unit.SECONDS)
DISK_IO_TIME = counter("node_disk_io_time_seconds_total", "Time with I/O in flight.", "device", unit=Unit.SECONDS)

NET_RECEIVE_BYTES = counter("node_network_receive_bytes_total", "Bytes received.", "device", unit=Unit.BYTES)
NET_TRANSMIT_BYTES = counter("node_network_transmit_bytes_total", "Bytes sent.", "device", unit=Unit.BYTES)
NET_RECEIVE_PACKETS = counter("node_network_receive_packets_total", "Packets received.", "device")
NET_TRANSMIT_PACKETS = counter("node_network_transmit_packets_total", "Packets sent.", "device")
NET_RECEIVE_ERRS = counter("node_network_receive_errs_total", "Receive errors.", "device")
NET_TRANSMIT_ERRS = counter("node_network_transmit_errs_total", "Transmit errors.", "device")
NET_RECEIVE_DROP = counter("node_network_receive_drop_total", "Received packets dropped.", "device")
NET_TRANSMIT_DROP = counter("node_network_transmit_drop_total", "Sent packets dropped.", "device")
NET_UP = gauge("node_network_up", "1 if the interface is up.", "device")

PRESSURE = {
    (resource, kind): counter(
        f"node_pressure_{resource}_{word}_seconds_total",
        f"Time in which {who} waited for {resource}.",
        unit=Unit.SECONDS,
    )
    for resource, kind, word, who in (
        ("cpu", "some", "waiting", "some task"),
        ("io", "some", "waiting", "some task"),
        ("io", "full", "stalled", "all tasks"),
        ("memory", "some", "waiting", "some task"),
        ("memory", "full", "stalled", "all tasks"),
    )
}
