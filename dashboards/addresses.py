"""The dashboards' addresses in Grafana; links and bookmarks depend on them, so they never change."""

from __future__ import annotations

FLEET_UID = "vdbmon-fleet"
HOST_UID = "vdbmon-host"
CONTAINER_UID = "vdbmon-container"
