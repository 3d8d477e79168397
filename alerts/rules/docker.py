"""Alerts of the Docker daemon. A hung daemon leaves its containers running: nothing here says that a backup failed."""

from __future__ import annotations

from alerts.rule import DURATION, HOST, PERCENT, AlertRule, Closes, Severity, highest, label, lowest, selector
from alerts.thresholds import (
    DESCRIPTORS_CRITICAL,
    DESCRIPTORS_HORIZON,
    DESCRIPTORS_WARNING,
    DOCKER_DAEMON_NOT_ANSWERING,
    DOCKER_SLOW_SECONDS,
    GATE_FOR,
    GOROUTINES_PER_HOUR,
    KEEP_FIRING_FOR,
)
from collector.catalogue import docker

_PROBE = docker.PROBE_SUCCESS
# A label value goes into a query here, so it is quoted with %q.
_SILENT_ENDPOINTS = (
    f'{{{{ range printf "{_PROBE.name}{{host=%q}} == 0" $labels.host | query | sortByLabel "endpoint" }}}}'
    " {{ .Labels.endpoint }}{{ end }}"
)

_NEEDED = selector(_PROBE, 'endpoint=~"ping|containers|info"')
_QUICK = 'endpoint=~"ping|containers"'
_PROCESS = f"{label('process')} on {HOST}"
_DAY = f"{DESCRIPTORS_HORIZON.value:.0f}"

ANSWER_RULES = (
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
        # As long as DockerDaemonNotAnswering waits: that one is held back then, and one page goes out and not two.
        for_=GATE_FOR,
        keep_firing_for=KEEP_FIRING_FOR,
        severity=Severity.CRITICAL,
        closes=Closes.HOST,
        summary=f"The Docker daemon of {HOST} hangs on a container",
        description=(
            f"On {HOST} `docker ps` or `docker info` hangs while `docker images` or `docker volume ls` answers: the "
            "daemon waits for the lock of one container, usually behind a stuck plugin, shim or mount, or for "
            "containerd. Save a goroutine dump (SIGUSR1 to dockerd) and look in it before restarting the daemon."
        ),
    ),
    AlertRule(
        name="DockerDaemonSlow",
        expr=(
            f"max by (host, endpoint) (avg_over_time({selector(docker.PROBE_DURATION, _QUICK)}[10m])) > "
            f"{DOCKER_SLOW_SECONDS.value:g}"
        ),
        for_=10 * 60,
        severity=Severity.WARNING,
        limits=(DOCKER_SLOW_SECONDS,),
        summary=f"The Docker daemon of {HOST} takes {DURATION} for {label('endpoint')}",
        description=(
            f"The daemon of {HOST} answers, but slowly; a hang often begins so. Look at its disk, its descriptors and "
            "who asks it all the time (`docker stats` of a monitoring agent, a loop of `docker ps`)."
        ),
    ),
)

LEAK_RULES = (
    AlertRule(
        name="DockerDescriptorsLow",
        expr=(
            f"max by (host, process) ({lowest(docker.OPEN_FDS, '5m')} / {highest(docker.MAX_FDS, '5m')}) > "
            f"{DESCRIPTORS_WARNING.value:g}"
        ),
        for_=5 * 60,
        severity=Severity.WARNING,
        limits=(DESCRIPTORS_WARNING,),
        summary=f"{_PROCESS} has opened {PERCENT} of the files that it may open",
        description=(
            f"{_PROCESS} keeps descriptors open, usually sockets of plugins or pipes of containers that are gone. At "
            f"{DESCRIPTORS_CRITICAL.value:.0%} the host is closed. Plan a restart of the daemon, with live-restore."
        ),
    ),
    AlertRule(
        name="DockerDescriptorsFull",
        expr=(
            f"max by (host, process) ({selector(docker.OPEN_FDS)} / {selector(docker.MAX_FDS)}) > "
            f"{DESCRIPTORS_CRITICAL.value:g}"
        ),
        for_=GATE_FOR,
        keep_firing_for=KEEP_FIRING_FOR,
        severity=Severity.CRITICAL,
        closes=Closes.HOST,
        limits=(DESCRIPTORS_CRITICAL,),
        summary=f"{_PROCESS} has opened {PERCENT} of the files that it may open",
        description=(
            f"Soon {_PROCESS} can't open a file: no container starts and the daemon's log fills with `too many open "
            "files`. No backup is placed here. Raise its limit with `prlimit`, then restart it with live-restore."
        ),
    ),
    AlertRule(
        name="DockerDescriptorLeak",
        expr=(
            f"max by (host, process) (deriv({selector(docker.OPEN_FDS)}[6h])) > 0 and "
            f"max by (host, process) (predict_linear({selector(docker.OPEN_FDS)}[6h], {_DAY}) / "
            f"{highest(docker.MAX_FDS, '5m')}) > 1"
        ),
        for_=3600,
        severity=Severity.WARNING,
        limits=(DESCRIPTORS_HORIZON,),
        summary=f"{_PROCESS} runs out of descriptors within a day",
        description=(
            f"The open files of {_PROCESS} have grown for 6 hours at a pace that reaches their limit within a day. "
            "`ls -l /proc/PID/fd` shows what they are; a plugin that leaks sockets is the usual cause."
        ),
    ),
    AlertRule(
        name="DockerGoroutineLeak",
        expr=(f"max by (host) (deriv({selector(docker.GOROUTINES)}[1h])) * 3600 > {GOROUTINES_PER_HOUR.value:g}"),
        for_=30 * 60,
        severity=Severity.WARNING,
        limits=(GOROUTINES_PER_HOUR,),
        summary=f"The Docker daemon of {HOST} gains {{{{ $value | humanize }}}} goroutines an hour",
        description=(
            f"Calls to the daemon of {HOST} begin and never end. It will hang. Save a goroutine dump (SIGUSR1 to "
            "dockerd): what most of them wait for is the cause."
        ),
    ),
)

RULES = (*ANSWER_RULES, *LEAK_RULES)
