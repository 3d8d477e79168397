"""How full a host is, one number per host and resource: the questions that fleet and host dashboard share.

All are ratios 0..1; pressure is the share of time in which tasks waited (Documentation/accounting/psi.rst).
"""

from __future__ import annotations

from alerts import recording
from collector import catalogue
from dashboards.colours import CRITICAL, GOOD
from dashboards.prometheus.promql import Scope, recorded
from dashboards.prometheus.variables import HOST_MATCHER
from dashboards.spec import Mapping

ANSWERS = (Mapping(0, "no answer", CRITICAL), Mapping(1, "answers", GOOD))

_host = catalogue.host


def agent_up(scope: Scope) -> str:
    """1 if Prometheus' last scrape of the agent succeeded."""
    return f"max by (host) ({scope.up()})"


def docker_answers(scope: Scope) -> str:
    """1 if every probed endpoint of the daemon answered in time."""
    return f"min by (host) ({scope.gauge(catalogue.docker.PROBE_SUCCESS)})"


def docker_slowest_probe(scope: Scope) -> str:
    """Seconds of the slowest endpoint, a hung call counted up to now."""
    return f"max by (host) ({scope.gauge(catalogue.docker.PROBE_DURATION)})"


def cpu_used(scope: Scope) -> str:
    """Share of the CPUs' time that was spent neither idle nor waiting for I/O."""
    free = scope.rate(_host.CPU_SECONDS, 'mode=~"idle|iowait"')
    return f"1 - sum by (host) ({free}) / max by (host) ({scope.gauge(_host.CPU_CORES)})"


def memory_used(scope: Scope) -> str:
    """Share of the memory that a new process could not have."""
    available = scope.gauge(_host.MEMORY["MemAvailable"])
    return f"max by (host) (1 - {available} / {scope.gauge(_host.MEMORY['MemTotal'])})"


def least_disk_space(scope: Scope) -> str:
    """Available to size of the fullest writable filesystem, sized volumes included."""
    ratio = f"{scope.gauge(_host.FS_AVAIL)} / {scope.gauge(_host.FS_SIZE)}"
    return f"min by (host) ({ratio} and {scope.gauge(_host.FS_READONLY)} == 0)"


def busiest_disk(scope: Scope) -> str:
    """Share of time with I/O in flight of the busiest disk."""
    return f"max by (host) ({scope.rate(_host.DISK_IO_TIME)})"


def pressure(scope: Scope, resource: str, kind: str) -> str:
    """Share of time in which some (`some`) or all (`full`) tasks waited for the resource."""
    return f"max by (host) ({scope.rate(_host.PRESSURE[resource, kind])})"


def network_received(scope: Scope) -> str:
    """Bytes per second over the host's interfaces but loopback."""
    return f"sum by (host) ({scope.rate(_host.NET_RECEIVE_BYTES, _NOT_LOOPBACK)})"


def network_sent(scope: Scope) -> str:
    """Bytes per second over the host's interfaces but loopback."""
    return f"sum by (host) ({scope.rate(_host.NET_TRANSMIT_BYTES, _NOT_LOOPBACK)})"


_NOT_LOOPBACK = 'device!="lo"'


def recorded_cpu_used() -> str:
    """As `cpu_used`, over five minutes."""
    return recorded(recording.CPU_BUSY, HOST_MATCHER)


def recorded_memory_used() -> str:
    """As `memory_used`."""
    return recorded(recording.MEMORY_USED, HOST_MATCHER)


def recorded_pressure(resource: str, kind: str) -> str:
    """As `pressure`, over five minutes."""
    return recorded(recording.PRESSURE[resource, kind], HOST_MATCHER)


def recorded_busiest_disk() -> str:
    """As `busiest_disk`, over five minutes, of real disks only."""
    return f"max by (host) ({recorded(recording.DISK_IO_TIME, HOST_MATCHER)})"
