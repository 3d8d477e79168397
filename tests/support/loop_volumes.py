"""Sized volumes of a test, gone afterwards."""

from __future__ import annotations

import contextlib
from functools import partial

from collector.errors import VdbmonError
from orchestrator.host.volumes import LoopVolumes
from tests.support.wait import wait_until

_PATIENCE = 60.0


def remove_volumes(volumes: LoopVolumes) -> None:
    """All of them. A process that copies all mounts of the host may hold one for a moment."""
    for name in volumes.list():
        wait_until(partial(_removed, volumes, name), deadline=_PATIENCE, what=f"{name} is removed")


def _removed(volumes: LoopVolumes, name: str) -> bool:
    with contextlib.suppress(VdbmonError):
        volumes.remove(name)
        return True
    return False
