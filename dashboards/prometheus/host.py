"""Host: use, saturation and errors of each resource (Gregg's USE method), the Docker daemon, the agent's own cost."""

from __future__ import annotations

from grafanalib.formatunits import NUMBER_FORMAT

from collector import catalogue
from dashboards.addresses import (
    CONTAINER_UID,
    DOCKER_UID,
    FLEET_UID,
    HOST_UID,
    NETWORK_UID,
    STORAGE_UID,
    neighbours,
)
from dashboards.panels import glance
from dashboards.prometheus import usage
from dashboards.prometheus.agent_panels import agent_panels
from dashboards.prometheus.alerts_table import closing_alerts_table
from dashboards.prometheus.container_table import busiest_containers
from dashboards.prometheus.docker_panels import docker_panels
from dashboards.prometheus.filesystem_panels import filesystem_panels
from dashboards.prometheus.host_panels import cpu_panels, disk_panels, memory_panels, network_panels
from dashboards.prometheus.marks import HOST_MARKS
from dashboards.prometheus.variables import HOST, JOB, ONE_HOST
from dashboards.shared import host as shared
from dashboards.spec import Dashboard, Panel, Row

_SCOPE = ONE_HOST
_host = catalogue.host


def dashboard() -> Dashboard:
    """Everything about one machine."""
    return Dashboard(
        uid=HOST_UID,
        title="vdbmon / Host",
        description="One host: what is used, what is saturated, whether its Docker daemon answers.",
        variables=(JOB, HOST),
        rows=(
            Row("now", "Now", (*_at_a_glance(), closing_alerts_table(), busiest_containers(_SCOPE))),
            Row("cpu", "CPU", cpu_panels(_SCOPE)),
            Row("memory", "Memory", memory_panels(_SCOPE)),
            Row("disk", "Disk I/O", disk_panels(_SCOPE)),
            Row("filesystems", "Filesystems", filesystem_panels(_SCOPE)),
            Row("network", "Network", network_panels(_SCOPE)),
            Row("docker", "Docker daemon", docker_panels(_SCOPE)),
            Row("agent", "Agent", agent_panels(_SCOPE), collapsed=True),
        ),
        neighbours=neighbours(FLEET_UID, CONTAINER_UID, STORAGE_UID, NETWORK_UID, DOCKER_UID),
        annotations=HOST_MARKS,
    )


def _at_a_glance() -> tuple[Panel, ...]:
    return (
        glance(
            "agent-up",
            "Agent",
            "Whether Prometheus can scrape it. If not, all below is old: check the host, then the agent's log.",
            usage.agent_up(_SCOPE),
            unit=NUMBER_FORMAT,
            mappings=usage.ANSWERS,
            width=3,
        ),
        glance(
            "docker-up",
            "Docker daemon",
            "Whether all probed endpoints answer. If not, go to the row `Docker daemon`; containers run on.",
            usage.docker_answers(_SCOPE),
            unit=NUMBER_FORMAT,
            mappings=usage.ANSWERS,
            width=3,
        ),
        shared.CPU_USED_NOW.of(usage.cpu_used(_SCOPE), width=3),
        shared.MEMORY_USED_NOW.of(usage.memory_used(_SCOPE), width=3),
        *_disk_and_containers(),
    )


def _disk_and_containers() -> tuple[Panel, ...]:
    uptime = f"{_SCOPE.gauge(_host.TIME)} - {_SCOPE.gauge(_host.BOOT_TIME)}"
    return (
        shared.DISK_SPACE_NOW.of(usage.least_disk_space(_SCOPE), width=3),
        shared.DISK_BUSY_NOW.of(usage.busiest_disk(_SCOPE), width=3),
        glance(
            "containers-running",
            "Containers running",
            "As the kernel shows them, whatever the daemon says.",
            f"max by (host) ({_SCOPE.gauge(catalogue.containers.RUNNING)})",
            unit=NUMBER_FORMAT,
            width=3,
        ),
        shared.UPTIME.of(f"max by (host) ({uptime})", width=3),
    )
