"""Recording rules: what alerts and panels both need, computed once; `level:metric:operations`.

The level names the labels that are left: `host`, `host_name` (a container), `source_backup_job` (a job's runs, wherever
they ran). Ratios are 0..1; rates look back 5 minutes. Gates don't read them: a gate depends on nothing but its metrics.
"""

from __future__ import annotations

from alerts.foreign import AGENT_JOB, UP
from alerts.rule import RecordingRule, rate, selector
from alerts.selectors import NO_LOOP, NO_VIRTUAL_DISK, PHYSICAL_NIC
from collector.catalogue import cgroup, fleet, host, job, network
from collector.metrics import Metric

_RUN = "host, name, source, backup_job"
_IDLE, _STEAL, _IOWAIT = 'mode=~"idle|iowait"', 'mode="steal"', 'mode="iowait"'
_RAW = 'kind="raw"'


def _rates(level: str, by: str, metric: Metric, *matchers: str) -> RecordingRule:
    name = metric.name.removesuffix("_total")
    return RecordingRule(f"{level}:{name}:rate5m", f"sum by ({by}) ({rate(metric, '5m', *matchers)})")


def _cpu_share(modes: str) -> str:
    return f"sum by (host) ({rate(host.CPU_SECONDS, '5m', modes)}) / sum by (host) ({rate(host.CPU_SECONDS, '5m')})"


CPU_BUSY = RecordingRule("host:node_cpu_busy:ratio_rate5m", f"1 - {_cpu_share(_IDLE)}")
CPU_STEAL = RecordingRule("host:node_cpu_steal:ratio_rate5m", _cpu_share(_STEAL))
CPU_IOWAIT = RecordingRule("host:node_cpu_iowait:ratio_rate5m", _cpu_share(_IOWAIT))
MEMORY_USED = RecordingRule(
    "host:node_memory_used:ratio",
    f"1 - max by (host) ({selector(host.MEMORY['MemAvailable'])}) / "
    f"max by (host) ({selector(host.MEMORY['MemTotal'])})",
)
PRESSURE = {key: _rates("host", "host", metric) for key, metric in host.PRESSURE.items()}
DISK_IO_TIME = _rates("host_device", "host, device", host.DISK_IO_TIME, NO_VIRTUAL_DISK)
DISK_QUEUE = _rates("host_device", "host, device", host.DISK_IO_TIME_WEIGHTED, NO_VIRTUAL_DISK)
DISK_READ_BYTES = _rates("host_device", "host, device", host.DISK_READ_BYTES, NO_VIRTUAL_DISK)
DISK_WRITTEN_BYTES = _rates("host_device", "host, device", host.DISK_WRITTEN_BYTES, NO_VIRTUAL_DISK)
FILESYSTEM_AVAIL = RecordingRule(
    "host_device_mountpoint:node_filesystem_avail:ratio",
    f"max by (host, device, mountpoint) ({selector(host.FS_AVAIL, NO_LOOP)} / {selector(host.FS_SIZE, NO_LOOP)})",
)
NIC_RECEIVE = _rates("host_device", "host, device", host.NET_RECEIVE_BYTES, PHYSICAL_NIC)
NIC_TRANSMIT = _rates("host_device", "host, device", host.NET_TRANSMIT_BYTES, PHYSICAL_NIC)

CONTAINER_CPU = _rates("host_name", "host, name", cgroup.CPU_USAGE)
CONTAINER_READ = _rates("host_name_device", "host, name, device", cgroup.FS_READ_BYTES)
CONTAINER_WRITE = _rates("host_name_device", "host, name, device", cgroup.FS_WRITE_BYTES)
CONTAINER_RECEIVE = _rates("host_name", "host, name", network.RECEIVE_BYTES)
CONTAINER_TRANSMIT = _rates("host_name", "host, name", network.TRANSMIT_BYTES)
CONTAINER_MEMORY = RecordingRule(
    "host_name:container_memory_working_set:ratio",
    f"max by (host, name) ({selector(cgroup.MEMORY_WORKING_SET)}) / "
    f"(max by (host, name) ({selector(cgroup.SPEC_MEMORY_LIMIT)}) > 0)",
)
CONTAINER_THROTTLED = RecordingRule(
    "host_name:container_cpu_cfs_throttled_periods:ratio_rate5m",
    f"sum by (host, name) ({rate(cgroup.CFS_THROTTLED_PERIODS, '5m')}) / "
    f"sum by (host, name) ({rate(cgroup.CFS_PERIODS, '5m')})",
)


def _told(by_job: Metric, by_catalogue: Metric) -> str:
    """What the jobs say, and the catalogue for those that no agent sees; of a host that is lost neither counts."""
    there = f"on (host) (max by (host) ({selector(UP, AGENT_JOB)}) == 1)"
    return f"{selector(by_job)} or ({selector(by_catalogue)} and {there})"


LAST_SUCCESS = RecordingRule(
    "source_backup_job:vdbmon_backup_last_success_timestamp_seconds:max",
    f"max by (source, backup_job) ({_told(job.LAST_SUCCESS, fleet.CATALOGUE_LAST_SUCCESS)})",
)


def _remembered(name: str, told: str) -> RecordingRule:
    """The newest time of a source; it outlives the job that said so, whose volume goes soon after."""
    return RecordingRule(name, f"max by (source) ({told} or last_over_time({name}[1h]))")


LAST_VERIFIED = _remembered(
    "source:vdbmon_backup_last_verified_timestamp_seconds:max",
    _told(job.LAST_VERIFIED, fleet.CATALOGUE_LAST_VERIFIED),
)
LAST_COPY = _remembered(
    "source:vdbmon_backup_last_copy_timestamp_seconds:max", _told(job.LAST_COPY, fleet.CATALOGUE_LAST_COPY)
)
# Of all backups of a job that lie about, the size of the one that ended last.
NEWEST_BYTES = RecordingRule(
    "source_backup_job:vdbmon_backup_bytes:newest",
    f"max by (source, backup_job) (max by ({_RUN}) ({selector(job.BYTES, _RAW)}) and "
    f"(max by ({_RUN}) ({selector(job.LAST_SUCCESS)}) == on (source, backup_job) group_left () {LAST_SUCCESS.name}))",
)
USUAL_DURATION = RecordingRule(
    "source_backup_job:vdbmon_backup_duration_seconds:p90_7d",
    f"quantile by (source, backup_job) (0.9, quantile_over_time(0.9, {selector(job.DURATION)}[7d:1h]))",
)


def _week_before(operation: str) -> RecordingRule:
    return RecordingRule(
        f"source_backup_job:vdbmon_backup_bytes:{operation}_7d",
        f"max by (source, backup_job) ({operation}_over_time({NEWEST_BYTES.name}[7d:1h] offset 1d))",
    )


SMALLEST_BYTES, LARGEST_BYTES, MEAN_BYTES = _week_before("min"), _week_before("max"), _week_before("avg")

HOST_RULES = (CPU_BUSY, CPU_STEAL, CPU_IOWAIT, MEMORY_USED, *PRESSURE.values())
STORAGE_RULES = (DISK_IO_TIME, DISK_QUEUE, DISK_READ_BYTES, DISK_WRITTEN_BYTES, FILESYSTEM_AVAIL)
NETWORK_RULES = (NIC_RECEIVE, NIC_TRANSMIT)
CONTAINER_RULES = (
    *(CONTAINER_CPU, CONTAINER_READ, CONTAINER_WRITE, CONTAINER_RECEIVE, CONTAINER_TRANSMIT),
    *(CONTAINER_MEMORY, CONTAINER_THROTTLED),
)
# In this order: NEWEST_BYTES reads what LAST_SUCCESS has just stored.
BACKUP_RULES = (LAST_SUCCESS, LAST_VERIFIED, LAST_COPY, NEWEST_BYTES)
# A week is looked back at by the hour and seldom: every sample of it would be millions for a fleet.
HISTORY_RULES = (USUAL_DURATION, SMALLEST_BYTES, LARGEST_BYTES, MEAN_BYTES)
