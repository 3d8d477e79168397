"""The values that the InfluxDB dashboards show, by what they are, and the choices at the top.

Per cent of telegraf become shares 0..1 (`PERCENT`), so that colours change at the same limits as with Prometheus.
"""

from __future__ import annotations

from collector import catalogue
from dashboards.influxdb.influxql import Scope, computed, stored, tag_values
from dashboards.spec import Variable

_host, _cgroup = catalogue.host, catalogue.cgroup

PERCENT = 100.0

TOTAL_CPU = "\"cpu\" = 'cpu-total'"
TOTAL_DEVICE = "\"device\" = 'total'"
ONE_DEVICE = "\"device\" != 'total'"
TOTAL_NETWORK = "\"network\" = 'total'"
ONE_NETWORK = "\"network\" != 'total'"
NO_LOOPBACK = "\"interface\" != 'lo' AND \"interface\" != 'all'"

CPU_ACTIVE = computed(_host.CPU_SECONDS, "usage_active")
MEMORY_AVAILABLE = computed(_host.MEMORY["MemAvailable"], "available_percent")
DISK_FREE = stored(_host.FS_AVAIL)
DISK_TOTAL = stored(_host.FS_SIZE)
DISK_UTIL = computed(_host.DISK_IO_TIME, "io_util")
DISK_AWAIT = computed(_host.DISK_IO_TIME, "io_await")
UPTIME = computed(_host.LOAD1, "uptime")
CONTAINERS = stored(catalogue.containers.RUNNING)
PROBE_SUCCESS = stored(catalogue.docker.PROBE_SUCCESS)
PROBE_DURATION = stored(catalogue.docker.PROBE_DURATION)

CONTAINER_CPU = computed(_cgroup.CPU_USAGE, "usage_percent")
CONTAINER_MEMORY = computed(_cgroup.MEMORY_RSS, "usage")
CONTAINER_MEMORY_OF_LIMIT = computed(_cgroup.MEMORY_RSS, "usage_percent")
CONTAINER_READ = stored(_cgroup.BLKIO_USAGE, operation_word="read")
CONTAINER_WRITTEN = stored(_cgroup.BLKIO_USAGE, operation_word="write")
CONTAINER_RECEIVED = stored(catalogue.network.RECEIVE_BYTES)
CONTAINER_SENT = stored(catalogue.network.TRANSMIT_BYTES)
THROTTLED = stored(_cgroup.CFS_THROTTLED_PERIODS)
PERIODS = stored(_cgroup.CFS_PERIODS)

_OF_HOST = '"host" =~ /^$host$/'
_OF_CONTAINER = f'{_OF_HOST} AND "container_name" =~ /^$name$/'

HOSTS = Variable("host", "Host", tag_values(UPTIME, "host"), all_value=".*")
HOST = Variable("host", "Host", tag_values(UPTIME, "host"))
NAME = Variable("name", "Container", tag_values(CONTAINER_CPU, "container_name", _OF_HOST))

HOSTS_SCOPE = Scope(_OF_HOST)
CONTAINER_SCOPE = Scope(_OF_CONTAINER)
PROMETHEUS_CONTAINER_SCOPE = Scope(f'{_OF_HOST} AND "name" =~ /^$name$/')
"""What telegraf has no name for keeps our labels, in the measurement `prometheus`."""


def pressure_of(resource: str, kind: str) -> str:
    """The condition for one of the pressures, which share a field."""
    return f"\"resource\" = '{resource}' AND \"type\" = '{kind}'"
