"""The dashboards' addresses in Grafana; links and bookmarks depend on them, so they never change."""

from __future__ import annotations

from dashboards.spec import Neighbour

FLEET_UID = "vdbmon-fleet"
HOST_UID = "vdbmon-host"
CONTAINER_UID = "vdbmon-container"
JOBS_UID = "vdbmon-jobs"
NETWORK_UID = "vdbmon-network"
STORAGE_UID = "vdbmon-storage"
DOCKER_UID = "vdbmon-docker"
CAPACITY_UID = "vdbmon-capacity"
ITSELF_UID = "vdbmon-itself"

INFLUX_FLEET_UID = "vdbmon-influxdb-fleet"
INFLUX_HOST_UID = "vdbmon-influxdb-host"
INFLUX_CONTAINER_UID = "vdbmon-influxdb-container"
INFLUX_NETWORK_UID = "vdbmon-influxdb-network"

FOLDER_UID = "vdbmon"
"""The folder that holds them all."""

_SHORT_TITLES = {
    FLEET_UID: "Fleet",
    HOST_UID: "Host",
    CONTAINER_UID: "Container",
    JOBS_UID: "Database jobs",
    NETWORK_UID: "Network",
    STORAGE_UID: "Storage",
    DOCKER_UID: "Docker engines",
    CAPACITY_UID: "Capacity",
    ITSELF_UID: "vdbmon itself",
    INFLUX_FLEET_UID: "Fleet",
    INFLUX_HOST_UID: "Host",
    INFLUX_CONTAINER_UID: "Container",
    INFLUX_NETWORK_UID: "Network",
}


def neighbours(*uids: str) -> tuple[Neighbour, ...]:
    """The dashboards that a reader wants next, as links."""
    return tuple(Neighbour(_SHORT_TITLES[uid], uid) for uid in uids)
