"""The Docker daemon of a host, endpoint by endpoint: a hung one often still answers some of them."""

from __future__ import annotations

from grafanalib.formatunits import DURATION_SECONDS, NUMBER_FORMAT, SECONDS

from collector import catalogue
from dashboards.prometheus import usage
from dashboards.panels import lines
from dashboards.prometheus.promql import Scope
from dashboards.spec import Column, Panel, Query, Table, Text

_docker = catalogue.docker

_HOW_TO_READ = """\
**All answer**: the daemon is well.

**`ping`, `images` or `volumes` answer, `containers` or `info` don't**: a lock around one container is held, often by a
plugin that hangs. The containers run on and their figures stay right. Get the daemon's stacks with
`kill -USR1 $(pidof dockerd)` before you restart it; with `live-restore` a restart leaves the containers alone.

**None answers**: the daemon is stopped, or its socket is full. Look at its log, then restart it.

`vdbmon place` sends nothing to this host until all answer again.
"""


def docker_panels(scope: Scope) -> tuple[Panel, ...]:
    """Which endpoint answers, how fast, and how to read the pattern."""
    success = f"min by (endpoint) ({scope.gauge(_docker.PROBE_SUCCESS)})"
    duration = f"max by (endpoint) ({scope.gauge(_docker.PROBE_DURATION)})"
    age = f"time() - max by (endpoint) ({scope.gauge(_docker.PROBE_LAST_SUCCESS)})"
    return (
        Table(
            slug="docker-endpoints",
            title="Endpoints",
            description="Each endpoint has its own probe and deadline. Compare the pattern with the text on the right.",
            keys=("endpoint",),
            sort_by="Last answer",
            columns=(
                Column("State", success, NUMBER_FORMAT, mappings=usage.ANSWERS),
                Column("Took", duration, SECONDS),
                Column("Last answer", age, DURATION_SECONDS),
            ),
            width=8,
        ),
        lines(
            "docker-duration",
            "Time of a call",
            "A call that hangs counts up. Slow calls under load come before a hang: see the disk first.",
            Query(duration, "{{endpoint}}"),
            unit=SECONDS,
        ),
        Text(
            slug="docker-patterns",
            title="How to read the pattern",
            description="What each pattern of answers means, and what to do.",
            content=_HOW_TO_READ,
        ),
    )
