"""What the Docker daemon last wrote down of its containers, running or not.

Source: `containers/ID/config.v2.json` below the daemon's data root (moby, container/container.go and state.go). The
files can be read while the daemon hangs; they say then what it knew before.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from collector.containers import MALFORMED, unix_time
from collector.kernelfile import SkippedLines


class Status(StrEnum):
    """The words of Docker's own engine_daemon_container_states_containers: what is none of the others is stopped."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ContainerState:
    """One container.

    Attributes:
        exit_code: of its last run; 0 while it never ended.
        health: `healthy`, `unhealthy`, `starting`; empty without a health check.
        finished_at: Unix seconds; None while it never ended.
        failing_streak: health checks that failed in a row, the last one included.
    """

    name: str
    image: str
    status: Status
    restarts: int
    exit_code: int
    oom_killed: bool
    health: str
    finished_at: float | None
    failing_streak: int = 0


def parse_state(config: Mapping[str, Any]) -> ContainerState:
    """A container's state out of its config.v2.json.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: the file has another shape.
    """
    state = config["State"]
    health = state.get("Health") or {}
    return ContainerState(
        name=str(config["Name"]).removeprefix("/"),
        image=str(config["Config"]["Image"]),
        status=_status(state),
        restarts=_whole(config.get("RestartCount", 0), 0, 2**31),
        exit_code=_whole(state["ExitCode"], -(2**31), 2**32),
        oom_killed=bool(state["OOMKilled"]),
        health=str(health.get("Status", "")),
        finished_at=unix_time(state["FinishedAt"]),
        failing_streak=_whole(health.get("FailingStreak", 0), 0, 2**31),
    )


def _whole(value: Any, low: int, high: int) -> int:
    if not isinstance(value, int) or not low <= value < high:
        raise ValueError(f"{value!r} is no number that Docker writes here")
    return value


def _status(state: Mapping[str, Any]) -> Status:
    if not state["Running"] or state.get("Restarting"):
        return Status.STOPPED
    return Status.PAUSED if state.get("Paused") else Status.RUNNING


class ContainerFiles:
    """Reads the files that have changed; the daemon replaces a file whole, so its inode and time tell."""

    def __init__(self, docker_root: Callable[[], Path], skipped: SkippedLines) -> None:
        self._docker_root = docker_root
        self._skipped = skipped
        self._known: dict[str, tuple[tuple[int, int, int], ContainerState]] = {}

    def scan(self) -> tuple[ContainerState, ...]:
        """All containers that the daemon has. One whose file is not understood is left out and counted.

        Raises:
            OSError: the daemon's data root can't be read.
        """
        known: dict[str, tuple[tuple[int, int, int], ContainerState]] = {}
        folder = f"{self._docker_root()}/containers"
        for container_id in os.listdir(folder):  # noqa: PTH208 - strings are enough, and cheaper
            path = f"{folder}/{container_id}/config.v2.json"
            try:
                stat = os.stat(path)  # noqa: PTH116
                version = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
                before = self._known.get(container_id)
                if before is not None and before[0] == version:
                    known[container_id] = before
                else:
                    known[container_id] = (version, parse_state(json.loads(Path(path).read_bytes())))
            except OSError:
                continue  # being made or removed
            except MALFORMED:
                self._skipped.add()
        self._known = known
        return tuple(state for _, state in known.values())
