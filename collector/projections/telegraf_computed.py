"""What telegraf computes out of readings, with its meanings, which are not those of the Prometheus names.

- `docker_container_mem usage`: without page cache on cgroup v1, without inactive file pages on v2 (inputs.docker).
- `mem cached` includes reclaimable slab; `mem used` leaves out free, buffers and cached (gopsutil).
- `disk free` is what others than root may fill; `used_percent` is of used + free.
- `cpu usage_user` and `usage_nice` are without the time of virtual machines, `time_user` and `time_nice` are with it.
- All that compares two readings is absent in the first collection, and where a counter began anew.

What needs one reading changes the fields of its point in place; what compares two gets them as they were read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Fields = dict[str, Any]  # numbers, and the few texts and flags of telegraf
Tag = tuple[str, str]
Compare = Callable[[Fields, Fields, int], Fields]  # now, before, nanoseconds between them; gives more fields

_CPU_MODES = ("user", "system", "idle", "nice", "iowait", "irq", "softirq", "steal")
# What the Docker daemon sums up as the host's CPU time: the first seven columns of /proc/stat, so without `steal`.
_DOCKER_SYSTEM_MODES = _CPU_MODES[:-1]
_MEMORY_TWINS = (
    *("active_anon", "active_file", "inactive_anon", "inactive_file", "unevictable"),
    *("cache", "mapped_file", "pgpgin", "pgpgout", "rss", "rss_huge", "writeback"),
)
_NANOSECONDS = 10**9
_DAY, _HOUR, _MINUTE = 86400, 3600, 60


class Moment(NamedTuple):
    """What the computed fields need besides their own point; empty where it wasn't read.

    Attributes:
        memory: the point `mem` of the host.
        cpu: the point `cpu,cpu=cpu-total`.
    """

    timestamp_ns: int
    memory: Fields
    cpu: Fields


def uptime_format(seconds: int) -> str:
    """`12 days, 3:07`, as telegraf spells it."""
    days = seconds // _DAY
    clock = f"{seconds % _DAY // _HOUR:2d}:{seconds % _HOUR // _MINUTE:02d}"
    return f"{days} day{'s' if days > 1 else ''}, {clock}" if days else clock


def _memory(fields: Fields, _moment: Moment) -> None:
    page_cache = fields.pop("_page_cache", None)
    if page_cache is not None:
        fields["cached"] = page_cache + fields.get("sreclaimable", 0)
    total = fields.get("total")
    if not total:
        return
    if {"free", "buffered", "cached"} <= fields.keys():
        fields["used"] = total - fields["free"] - fields["buffered"] - fields["cached"]
        fields["used_percent"] = 100 * fields["used"] / total
    if "available" in fields:
        fields["available_percent"] = 100 * fields["available"] / total


def _swap(fields: Fields, _moment: Moment) -> None:
    if {"total", "free"} <= fields.keys():
        fields["used"] = fields["total"] - fields["free"]
        fields["used_percent"] = 100 * fields["used"] / fields["total"] if fields["total"] else 0.0


def _system(fields: Fields, moment: Moment) -> None:
    boot_time = fields.pop("_boot_time", None)
    if boot_time is not None:
        fields["uptime"] = moment.timestamp_ns // _NANOSECONDS - boot_time
        fields["uptime_format"] = uptime_format(fields["uptime"])


def _filesystem(fields: Fields, _moment: Moment) -> Tag | None:
    free = fields.pop("_free_with_reserve", None)
    readonly = fields.pop("_readonly", None)
    if free is not None and "total" in fields:
        fields["used"] = fields["total"] - free
        reachable = fields["used"] + fields.get("free", 0)
        fields["used_percent"] = 100 * fields["used"] / reachable if reachable else 0.0
    if {"inodes_total", "inodes_free"} <= fields.keys():
        inodes = fields["inodes_total"]
        fields["inodes_used"] = inodes - fields["inodes_free"]
        fields["inodes_used_percent"] = 100 * fields["inodes_used"] / inodes if inodes else 0.0
    return None if readonly is None else ("mode", "ro" if readonly else "rw")


def _engine(fields: Fields, _moment: Moment) -> None:
    states = [fields.get(f"n_containers_{state}") for state in ("running", "paused", "stopped")]
    if None in states:  # no engine, or nothing is known of it yet
        for name in ("n_cpus", "memory_total"):
            fields.pop(name, None)
    else:
        fields["n_containers"] = sum(states)


def _container_cpu(fields: Fields, moment: Moment) -> None:
    if "usage_total" in fields and moment.cpu:
        seconds = sum(moment.cpu.get(f"time_{mode}", 0.0) for mode in _DOCKER_SYSTEM_MODES)
        fields["usage_system"] = round(seconds * _NANOSECONDS)


def _container_memory(fields: Fields, moment: Moment) -> None:
    """A container without a limit has the machine's memory, as Docker says it."""
    is_v1 = _spell_memory(fields)
    if "limit" not in fields and "total" in moment.memory:
        fields["limit"] = moment.memory["total"]
    usage = fields.pop("_usage", None)
    if usage is None:
        return
    cache, inactive_file = fields.get("cache"), fields.get("inactive_file")
    if is_v1 and cache is not None and cache < usage:
        usage -= cache
    elif inactive_file is not None and inactive_file < usage:
        usage -= inactive_file
    fields["usage"] = usage
    if fields.get("limit"):
        fields["usage_percent"] = 100 * usage / fields["limit"]


def _spell_memory(fields: Fields) -> bool:
    """Give the fields the names of the cgroup version that they come from; True for v1.

    There each stands twice, for the cgroup alone and (`total_`) with those beneath it; ours are with them. Only v1
    counts page faults of a cgroup alone, which tells the versions apart.
    """
    is_v1 = "_pgfault_container" in fields
    for kind in ("pgfault", "pgmajfault"):
        own, all_ = fields.pop(f"_{kind}_container", None), fields.pop(f"_{kind}_hierarchy", None)
        if is_v1 and all_ is not None:
            fields[f"total_{kind}"] = all_
        if (own if is_v1 else all_) is not None:
            fields[kind] = own if is_v1 else all_
    if is_v1:
        for name in _MEMORY_TWINS:
            if name in fields:
                fields[f"total_{name}"] = fields[name]
    return is_v1


def _container_status(fields: Fields, moment: Moment) -> None:
    if "started_at" in fields:  # it runs; Docker has 0 for the exit code until it ends
        fields["uptime_ns"] = moment.timestamp_ns - fields["started_at"]
        fields.setdefault("exitcode", 0)


def _lookup(fields: Fields, _moment: Moment) -> None:
    fields["running"] = fields["pid_count"]
    fields["result_code"] = 0


def _process_group(fields: Fields, moment: Moment) -> None:
    fields.pop("_cpu_time", None)
    if "memory_rss" in fields and moment.memory.get("total"):
        fields["memory_usage"] = 100 * fields["memory_rss"] / moment.memory["total"]


def _cpu(fields: Fields, _moment: Moment) -> None:
    """The kernel counts the time of virtual machines always; the host input tells it where there was any."""
    fields["time_guest"] = fields.pop("_guest_user", 0.0)
    fields["time_guest_nice"] = fields.pop("_guest_nice", 0.0)
    fields["time_active"] = sum(fields.get(f"time_{mode}", 0.0) for mode in _CPU_MODES if mode != "idle")


def _cpu_usage(now: Fields, before: Fields, _elapsed_ns: int) -> Fields:
    """Per cent of the time between the readings, by mode; counters that ran backwards count as standing still."""

    def spent(name: str) -> float:
        return max(float(now.get(name, 0.0) - before.get(name, 0.0)), 0.0)

    times = {mode: spent(f"time_{mode}") for mode in _CPU_MODES}
    total = sum(times.values())
    if total <= 0:
        return {}
    active = total - times["idle"]
    for mode in ("user", "nice"):
        guest = spent(f"_guest_{mode}")
        times[mode] = max(times[mode] - guest, 0.0)
        times["guest" if mode == "user" else "guest_nice"] = guest
    usage = {f"usage_{mode}": 100 * seconds / total for mode, seconds in times.items()}
    return {**usage, "usage_active": 100 * active / total}


def _container_cpu_usage(now: Fields, before: Fields, elapsed_ns: int) -> Fields:
    """Per cent of one core between the readings."""
    spent_ns = _growth(now, before, "usage_total")
    return {} if spent_ns is None else {"usage_percent": 100 * spent_ns / elapsed_ns}


def _process_group_usage(now: Fields, before: Fields, elapsed_ns: int) -> Fields:
    spent = _growth(now, before, "_cpu_time")
    return {} if spent is None else {"cpu_usage": 100 * spent * _NANOSECONDS / elapsed_ns}


def _disk_io(now: Fields, before: Fields, elapsed_ns: int) -> Fields:
    """Milliseconds a request, and per cent of the time with any in flight."""
    names = ("reads", "writes", "read_time", "write_time", "io_time")
    reads, writes, read_time, write_time, busy = (_growth(now, before, name) for name in names)
    if None in (reads, writes, read_time, write_time, busy):
        return {}
    found = {"io_util": 100 * busy * 10**6 / elapsed_ns}
    requests = reads + writes
    return found | {"io_await": (read_time + write_time) / requests, "io_svctm": busy / requests} if requests else found


def _growth(now: Fields, before: Fields, name: str) -> Any:
    """What a counter grew by; None where it wasn't read twice or began anew."""
    if name not in now or name not in before or now[name] < before[name]:
        return None
    return now[name] - before[name]


COMPUTED: dict[str, Callable[[Fields, Moment], Tag | None]] = {
    "cpu": _cpu,
    "mem": _memory,
    "swap": _swap,
    "system": _system,
    "disk": _filesystem,
    "docker": _engine,
    "docker_container_cpu": _container_cpu,
    "docker_container_mem": _container_memory,
    "docker_container_status": _container_status,
    "procstat": _process_group,
    "procstat_lookup": _lookup,
}
# By measurement: the input that reads it, and what two of its readings tell.
COMPARED: dict[str, tuple[str, Compare]] = {
    "cpu": ("host", _cpu_usage),
    "diskio": ("host", _disk_io),
    "docker_container_cpu": ("cgroup", _container_cpu_usage),
    "procstat": ("process", _process_group_usage),
}
