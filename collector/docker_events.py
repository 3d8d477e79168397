"""Follows the Docker event stream: renames, restarts and OOM kills.

Source: Docker Engine API, `GET /events`. Nothing depends on it but freshness: while the daemon hangs the stream is
silent and the index goes on with the cgroup tree.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker.errors
import requests

from collector.clock import Clock
from collector.containers import MALFORMED, ContainerIndex
from collector.oom import OomKills

_NANOSECONDS = 10**9
_FIRST_WAIT = 0.5
_KEPT_BY_DAEMON = 256
_LONGEST_WAIT = 30.0


class EventFollower:
    """Keeps a connection to `/events` in a daemon thread and feeds what it hears to the index and the OOM counts.

    After a pause it asks for what it missed; the daemon keeps the last 256 events. `found_root` is told the daemon's
    data root at each connection.
    """

    def __init__(
        self,
        connect: Callable[[], docker.APIClient],
        index: ContainerIndex,
        oom_kills: OomKills,
        clock: Clock,
        found_root: Callable[[Path], None],
    ) -> None:
        self._connect = connect
        self._index = index
        self._oom_kills = oom_kills
        self._started = self._heard = int(clock() * _NANOSECONDS)
        self._counted: deque[tuple[str, int]] = deque(maxlen=_KEPT_BY_DAEMON)
        self._found_root = found_root
        self._stop = threading.Event()
        self._stream: docker.types.CancellableStream[Any] | None = None

    def start(self) -> None:
        """Begin to follow; returns at once."""
        threading.Thread(target=self._follow, name="docker-events", daemon=True).start()

    def stop(self) -> None:
        """Follow no further, and close the connection."""
        self._stop.set()
        self._close_stream()

    def handle(self, event: object) -> None:
        """Take one event of type `container`; events of another shape, and kills heard of before, are ignored."""
        match event:
            case {
                "Type": "container",
                "Action": "oom",
                "timeNano": int(moment),
                "Actor": {"ID": str(container_id), "Attributes": {"name": str(name), "image": str(image)}},
            }:
                self._heard = moment
                if self._is_new(container_id, moment):
                    self._oom_kills.event(container_id, (name, image))
            case {"Type": "container", "timeNano": int(moment), "Actor": {"ID": str(container_id)}}:
                self._heard = moment
                self._index.invalidate(container_id)

    def _is_new(self, container_id: str, moment: int) -> bool:
        """Not by its time alone: that of an event is before the last one's where the clock was set back."""
        before_start = self._started // _NANOSECONDS == moment // _NANOSECONDS and moment <= self._started
        if before_start or (container_id, moment) in self._counted:
            return False
        self._counted.append((container_id, moment))
        return True

    def _follow(self) -> None:
        wait = 0.0
        while not self._stop.wait(wait):
            wait = min(max(wait * 2, _FIRST_WAIT), _LONGEST_WAIT)
            try:
                since = self._heard // _NANOSECONDS  # whole seconds; `handle` drops what comes twice
                with contextlib.closing(self._connect()) as client:
                    self._found_root(Path(client.info()["DockerRootDir"]))
                    self._stream = client.events(since=since, decode=True, filters={"type": "container"})
                    if self._stop.is_set():
                        self._close_stream()
                    self._index.invalidate_all()  # what is older than what the daemon keeps
                    for event in self._stream:
                        wait = _FIRST_WAIT
                        self.handle(event)
            except (docker.errors.DockerException, requests.RequestException, OSError, *MALFORMED):
                continue

    def _close_stream(self) -> None:
        """End the reading, which else waits for the next event without end."""
        if self._stream is not None:
            with contextlib.suppress(OSError, AttributeError):  # it has ended already
                self._stream.close()
