"""Tables that grow until they break: neighbours, connections, processes, Open vSwitch's flows, thin pools.

Sources: /proc/net/arp and /proc/net/stat/{arp,ndisc}_cache (net/core/neighbour.c), /proc/sys/net/ipv{4,6}/neigh/default
and /proc/sys/net/netfilter (Documentation/networking/{ip,nf_conntrack}-sysctl.rst); /proc/PID/stat and
/proc/sys/kernel/pid_max; ovs-vswitchd's `upcall/show` (ovs-vswitchd(8)) and OpenFlow's table statistics; `dmsetup
status` (Documentation/admin-guide/device-mapper/thin-provisioning.rst). Names are node_exporter's and
openstack-network-exporter's where they have one.

The kernel counts its neighbours in one table for each family and all network namespaces together, and holds that
against gc_thresh3; it tells them by device for ARP only. Processes, flows and thin pools are asked
for in threads of their own.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from collector.background import Background
from collector.clock import Clock
from collector.kernelfile import SkippedLines, complete_lines, parse_count, read_file
from collector.metrics import Sample, Unit, counter, gauge
from collector.openflow import flow_count
from collector.ovsdb import JsonRpc, Row, control_socket, select_rows
from collector.settings import OvsSettings
from collector.thin_pools import may_have_thin_pools, parse_thin_pools, thin_pool_status
from collector.vswitch import SYSTEM

ARP_ENTRIES = gauge("node_arp_entries", "IPv4 neighbours, by device.", "device")
NEIGHBOURS = gauge("vdbmon_neighbour_entries", "Neighbours of all network namespaces together.", "family")
NEIGHBOUR_LIMIT = gauge(
    "vdbmon_neighbour_limit",
    "From gc_thresh1 on entries are collected, above gc_thresh2 within seconds, beyond gc_thresh3 none is added.",
    "family",
    "threshold",
)
NEIGHBOUR_FULL = counter("vdbmon_neighbour_table_full_total", "Neighbours refused for want of room.", "family")
CONNTRACK = gauge("node_nf_conntrack_entries", "Connections that are tracked.")
CONNTRACK_LIMIT = gauge("node_nf_conntrack_entries_limit", "Connections that can be tracked.")
PROCESSES = gauge("node_processes_state", "Processes by state, in the kernel's letters.", "state")
PIDS = gauge("node_processes_pids", "Processes of the host.")
PIDS_LIMIT = gauge("node_processes_max_processes", "Highest number that a process or thread may get.")
BRIDGE_FLOWS = gauge("ovs_bridge_flow_count", "OpenFlow rules of a bridge.", "bridge", "datapath_type")
DATAPATH_FLOWS = gauge("vdbmon_ovs_datapath_flows", "Flows that a datapath has cached.", "datapath")
DATAPATH_FLOWS_LIMIT = gauge(
    "vdbmon_ovs_datapath_flows_limit", "Cached flows from which on Open vSwitch throws some away.", "datapath"
)
POOL_BLOCKS = gauge("vdbmon_thin_pool_blocks", "Size of a thin pool in its blocks, by kind.", "pool", "kind")
POOL_USED = gauge(
    "vdbmon_thin_pool_used_blocks", "Used blocks of a thin pool; full, it takes no writes.", "pool", "kind"
)
POOL_WRITABLE = gauge(
    "vdbmon_thin_pool_writable", "1 while a thin pool takes writes; 0 if read-only, out of space, or failed.", "pool"
)
TABLE_UP = gauge(
    "vdbmon_table_up", "1 if the last reading of a table that is read apart from scrapes ended well.", "table"
)
LAST_SUCCESS = gauge(
    "vdbmon_table_last_success_timestamp_seconds",
    "When a table that is read apart from scrapes was last read.",
    "table",
    unit=Unit.TIMESTAMP,
)

SLOW_EVERY = 30.0  # seconds
MOST_BRIDGES = 100
# The kernel's letters (proc_pid_stat(5)) and telegraf's words for them.
PROCESS_STATES = {
    "R": "running",
    "S": "sleeping",
    "D": "blocked",
    "Z": "zombies",
    "T": "stopped",
    "I": "idle",
    "X": "dead",
    "W": "paging",
    "P": "parked",
}
MOST_POOLS = 100

_FAMILIES = (("ipv4", "arp_cache"), ("ipv6", "ndisc_cache"))
_THRESHOLDS = ("gc_thresh1", "gc_thresh2", "gc_thresh3")
_ARP_COLUMNS = 6
_HEXADECIMAL = re.compile(rb"[0-9a-f]{1,16}")
_DATAPATH = re.compile(r"(\S+):")
_FLOWS = re.compile(r"\s+flows\s*:\s*\(current ([0-9]{1,20})\).*\(limit ([0-9]{1,20})\)")


def parse_arp(data: bytes, skipped: SkippedLines) -> Counter[str]:
    """Entries by device (proc_net(5), /proc/net/arp).

    A table that changes while it is read may show an entry twice; an address is in it once for a device.
    """
    entries: set[tuple[bytes, bytes]] = set()
    for line in list(complete_lines(data, skipped))[1:]:
        fields = line.split()
        if len(fields) == _ARP_COLUMNS:
            entries.add((fields[0], fields[-1]))
        else:
            skipped.add()
    return Counter(device.decode(errors="replace") for _, device in entries)


def parse_neighbour_statistics(data: bytes, skipped: SkippedLines) -> dict[str, int]:
    """A file of /proc/net/stat: hexadecimal columns under a line of names, a line for each CPU.

    `entries` is the same in each line, all else is to be added up.
    """
    lines = complete_lines(data, skipped)
    names = [name.decode(errors="replace") for name in next(lines, b"").split()]
    totals: dict[str, int] = {}
    for line in lines:
        fields = line.split()
        if len(fields) != len(names) or not all(map(_HEXADECIMAL.fullmatch, fields)):
            skipped.add()
            continue
        for name, value in zip(names, (int(field, 16) for field in fields), strict=True):
            totals[name] = value if name == "entries" else totals.get(name, 0) + value
    return totals


def parse_upcalls(text: str) -> dict[str, tuple[int, int]]:
    """Flows and their limit by datapath, from what `upcall/show` answers."""
    datapath, flows = "", {}
    for line in text.splitlines():
        if heading := _DATAPATH.fullmatch(line):
            datapath = heading[1]
        elif datapath and (found := _FLOWS.match(line)):
            flows[datapath] = (int(found[1]), int(found[2]))
    return flows


class TablesInput:
    """Reads the kernel's tables at each gathering, those of Open vSwitch and the device mapper apart."""

    name = "tables"

    def __init__(
        self,
        procfs: Path,
        sysfs: Path,
        ovs: OvsSettings,
        skipped: SkippedLines,
        clock: Clock,
        *,
        monotonic: Clock = time.monotonic,
    ) -> None:
        self._procfs = procfs
        self._ovs = ovs
        self._skipped = skipped
        self._database = JsonRpc(lambda: ovs.db_socket, ovs.timeout)
        self._vswitchd = JsonRpc(lambda: control_socket(ovs.run_dir), ovs.timeout)
        # Each with the condition under which there is something to ask for.
        slow = partial(Background[list[Sample]], every=SLOW_EVERY, clock=clock, monotonic=monotonic)
        self._slow_tables: dict[str, tuple[Callable[[], bool], Background[list[Sample]]]] = {
            "processes": (lambda: True, slow("processes", work=self._processes)),
            "ovs_flows": (ovs.run_dir.is_dir, slow("ovs-flows", work=self._flows)),
            "thin_pools": (partial(may_have_thin_pools, procfs, sysfs), slow("thin-pools", work=self._thin_pools)),
        }

    def gather(self) -> list[Sample]:
        """All samples of the tables that there are; of a slow one what the last run found."""
        return [*self._neighbours(), *self._single_numbers(), *self._slow()]

    def close(self) -> None:
        """Give the connections back; a reading under way fails."""
        self._database.close()
        self._vswitchd.close()

    def _neighbours(self) -> Iterator[Sample]:
        # Of process 1: the agent itself may live in a network namespace of its own.
        data = self._optional("1/net/arp")
        for device, entries in parse_arp(data, self._skipped).items() if data is not None else ():
            yield ARP_ENTRIES.sample(entries, device)
        for family, name in _FAMILIES:
            data = self._optional(f"net/stat/{name}")
            if data is None:
                continue  # a kernel without that family
            totals = parse_neighbour_statistics(data, self._skipped)
            for metric, key in ((NEIGHBOURS, "entries"), (NEIGHBOUR_FULL, "table_fulls")):
                if key in totals:
                    yield metric.sample(totals[key], family)
            for threshold in _THRESHOLDS:
                limit = self._number(f"sys/net/{family}/neigh/default/{threshold}")
                if limit is not None:
                    yield NEIGHBOUR_LIMIT.sample(limit, family, threshold)

    def _single_numbers(self) -> Iterator[Sample]:
        for metric, name in (
            (CONNTRACK, "net/netfilter/nf_conntrack_count"),
            (CONNTRACK_LIMIT, "net/netfilter/nf_conntrack_max"),
            (PIDS_LIMIT, "kernel/pid_max"),
        ):
            value = self._number(f"sys/{name}")
            if value is not None:
                yield metric.sample(value)

    def _slow(self) -> Iterator[Sample]:
        for table, (exists, reading) in self._slow_tables.items():
            if not exists():
                continue
            reading.start_if_due()
            if reading.error is not None or reading.last_success is not None:
                yield TABLE_UP.sample(float(reading.error is None), table)
            if reading.error is None:
                yield from reading.result or ()
            if reading.last_success is not None:
                yield LAST_SUCCESS.sample(reading.last_success, table)

    def _processes(self) -> list[Sample]:
        # One read for each process: too dear for every scrape.
        states = count_states(self._procfs)
        found = [PROCESSES.sample(states[letter], letter) for letter in PROCESS_STATES]
        return [*found, PIDS.sample(states.total())]

    def _flows(self) -> list[Sample]:
        return list(flow_samples(self._database, self._vswitchd, self._ovs, self._skipped))

    def _thin_pools(self) -> list[Sample]:
        return list(thin_pool_samples(thin_pool_status(), self._skipped))

    def _optional(self, path: str) -> bytes | None:
        try:
            return read_file(f"{self._procfs}/{path}")
        except OSError:
            return None

    def _number(self, path: str) -> int | None:
        data = self._optional(path)
        return None if data is None else parse_count(data, self._skipped)


def flow_samples(
    database: JsonRpc, vswitchd: JsonRpc, settings: OvsSettings, skipped: SkippedLines
) -> Iterator[Sample]:
    """Flows of every datapath and bridge; a bridge that doesn't answer is counted, and the others have theirs.

    Raises:
        VdbmonError: the database or ovs-vswitchd doesn't answer.
    """
    rows = select_rows(database, {"Bridge": ("name", "datapath_type")})["Bridge"]
    for datapath, (flows, limit) in parse_upcalls(str(vswitchd.call("upcall/show"))).items():
        yield DATAPATH_FLOWS.sample(flows, datapath)
        yield DATAPATH_FLOWS_LIMIT.sample(limit, datapath)
    for name, kind in sorted(_bridges(rows, skipped).items())[:MOST_BRIDGES]:
        try:
            flows = flow_count(settings.run_dir / f"{name}.mgmt", settings.timeout)
        except (OSError, ValueError):
            skipped.add()
        else:
            yield BRIDGE_FLOWS.sample(flows, name, kind)


def _bridges(rows: list[Row], skipped: SkippedLines) -> dict[str, str]:
    """Datapath types by name of bridge."""
    bridges: dict[str, str] = {}
    for row in rows:
        match row:
            case {"name": str(name), "datapath_type": str(kind)} if "/" not in name:
                bridges[name] = kind or SYSTEM
            case _:
                skipped.add()
    return bridges


def thin_pool_samples(status: bytes, skipped: SkippedLines) -> Iterator[Sample]:
    """The pools in what dmsetup printed; a pool that has failed tells no more than that."""
    for name, pool in sorted(parse_thin_pools(status, skipped).items())[:MOST_POOLS]:
        yield POOL_WRITABLE.sample(float(pool.writable), name)
        for kind, (used, total) in (("metadata", pool.metadata), ("data", pool.data)):
            if total:
                yield POOL_USED.sample(used, name, kind)
                yield POOL_BLOCKS.sample(total, name, kind)


def count_states(folder: Path) -> Counter[str]:
    """Processes by state; a stopped one may be traced or not.

    Raises:
        OSError: there is no such folder.
    """
    states: Counter[str] = Counter()
    for name in os.listdir(folder):  # noqa: PTH208 - strings are enough
        if name.isdecimal():
            try:
                data = read_file(f"{folder}/{name}/stat")
            except OSError:
                continue  # it ended
            state = data.rpartition(b") ")[2][:1].decode(errors="replace")
            if state:
                states["T" if state == "t" else state] += 1
    return states
