"""Hosts made of copies of the recorded cgroup v1 container, in a folder: as many containers as are wanted."""

from __future__ import annotations

import itertools
import shutil
from collections import deque
from pathlib import Path

from tests.bench.reading import Host

RECORDED = Path(__file__).parents[1] / "fixtures" / "cgroup1"


class RecordedHost:
    """A host's cgroups and /proc with containers that can be replaced one by one; they share their processes."""

    def __init__(self, root: Path, living: int) -> None:
        shutil.copytree(RECORDED, root, symlinks=True, dirs_exist_ok=True)
        self.host = Host(root / "proc", root / "sys/fs/cgroup", root / "docker")
        self._controllers = list(self.host.cgroupfs.iterdir())
        (self._recorded,) = (folder.name for folder in (self._controllers[0] / "docker").iterdir())
        self._numbers = itertools.count(1)
        self._alive: deque[str] = deque()
        for controller in self._controllers:
            (controller / "docker" / self._recorded).rename(controller / "recorded")
        for _ in range(living):
            self._start()

    def replace_one(self) -> None:
        """The oldest container ends, a new one begins."""
        ended = self._alive.popleft()
        for controller in self._controllers:
            shutil.rmtree(controller / "docker" / ended)
        self._start()

    def _start(self) -> None:
        name = f"{next(self._numbers):064x}"
        for controller in self._controllers:
            shutil.copytree(controller / "recorded", controller / "docker" / name)
        self._alive.append(name)
