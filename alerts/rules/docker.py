"""Alerts of the Docker daemon. A hung daemon leaves its containers running: nothing here says that a backup failed."""

from __future__ import annotations

from alerts.rule import HOST, AlertRule, Closes, Severity, selector
from alerts.thresholds import DOCKER_DAEMON_NOT_ANSWERING, GATE_FOR, KEEP_FIRING_FOR
from collector.catalogue import docker

_PROBE = docker.PROBE_SUCCESS
# A label value goes into a query here, so it is quoted with %q.
_SILENT_ENDPOINTS = (
    f'{{{{ range printf "{_PROBE.name}{{host=%q}} == 0" $labels.host | query | sortByLabel "endpoint" }}}}'
    " {{ .Labels.endpoint }}{{ end }}"
)

_NEEDED = selector(_PROBE, 'endpoint=~"ping|containers|info"')

RULES = (
    AlertRule(
        name=DOCKER_DAEMON_NOT_ANSWERING,
        expr=f"count by (host) ({_NEEDED} == 0)",
        for_=GATE_FOR,
        keep_firing_for=KEEP_FIRING_FOR,
        severity=Severity.CRITICAL,
        closes=Closes.HOST,
        summary=f"The Docker daemon of {HOST} does not answer",
        description=(
            f"Endpoints of {HOST} that do not answer:{_SILENT_ENDPOINTS}. Running containers go on and stay visible, "
            "but none can be started, stopped or removed, and no backup is placed here. Save a goroutine dump "
            "(SIGUSR1 to dockerd) before restarting the daemon."
        ),
    ),
    AlertRule(
        name="DockerDaemonHung",
        expr=f"max by (host) ({selector(docker.HANG_PATTERN)}) == 1",
        for_=90,
        keep_firing_for=KEEP_FIRING_FOR,
        severity=Severity.CRITICAL,
        summary=f"The Docker daemon of {HOST} hangs on a container",
        description=(
            f"On {HOST} `docker ps` or `docker info` hangs while `docker images` or `docker volume ls` answers: the "
            "daemon waits for the lock of one container, usually behind a stuck plugin, shim or mount. Save a "
            "goroutine dump (SIGUSR1 to dockerd) and look in it for the container before restarting the daemon."
        ),
    ),
)
