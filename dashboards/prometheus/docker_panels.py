"""The Docker daemon, endpoint by endpoint: a hung one often still answers some of them."""

from __future__ import annotations

from grafanalib.formatunits import SECONDS

from alerts import thresholds
from collector import catalogue
from dashboards.colours import above
from dashboards.panels import lines
from dashboards.prometheus import usage
from dashboards.prometheus.promql import Scope
from dashboards.spec import Panel, Query, StateTimeline, Text

_docker = catalogue.docker

_HOW_TO_READ = """\
**All answer**: the daemon is well.

**`ping`, `images` or `volumes` answer, `containers` or `info` don't**: a lock around one container is held, often by a
plugin that hangs, or containerd hangs. The containers run on and their figures stay right. Get the daemon's stacks with
`kill -USR1 $(pidof dockerd)` before you restart it; with `live-restore` a restart leaves the containers alone.

**None answers**: the daemon is stopped, or its socket is full. Look at its log, then restart it.

`vdbmon place` sends nothing to this host until all answer again.
"""


def probe_ladder(scope: Scope, by: str, legend: str, width: int) -> StateTimeline:
    """Which endpoint answered when."""
    return StateTimeline(
        slug="docker-endpoints",
        title="Endpoints",
        description="Each endpoint has its own probe and deadline. Compare the pattern with the text beside it.",
        query=Query(f"min by ({by}) ({scope.gauge(_docker.PROBE_SUCCESS)})", legend),
        mappings=usage.ANSWERS,
        width=width,
    )


def how_to_read(width: int = 8) -> Text:
    """What each pattern of answers means, and what to do."""
    return Text(
        slug="docker-patterns",
        title="How to read the pattern",
        description="What each pattern of answers means, and what to do.",
        content=_HOW_TO_READ,
        width=width,
    )


def docker_panels(scope: Scope) -> tuple[Panel, ...]:
    """Which endpoint of one host's daemon answers, how fast, and how to read the pattern."""
    return (
        probe_ladder(scope, "endpoint", "{{endpoint}}", width=8),
        lines(
            "docker-duration",
            "Time of a call",
            "A call that hangs counts up. Slow calls under load come before a hang: see the disk first.",
            Query(f"max by (endpoint) ({scope.gauge(_docker.PROBE_DURATION)})", "{{endpoint}}"),
            unit=SECONDS,
            steps=above(thresholds.DOCKER_SLOW_SECONDS),
        ),
        how_to_read(),
    )
