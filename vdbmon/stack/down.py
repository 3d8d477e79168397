"""`vdbmon stack down`: stops what `up` started, and nothing else; also twice, and after any interruption."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from collector.errors import VdbmonError
from vdbmon.config import load_config
from vdbmon.stack.demo import stop_demonstration
from vdbmon.stack.dockerd import survey_engine
from vdbmon.stack.layout import Layout
from vdbmon.stack.mounts import release_volumes
from vdbmon.stack.openvswitch import remove_devices, unplug_container
from vdbmon.stack.steps import Steps
from vdbmon.stack.supervise import Supervisor


@dataclass(frozen=True, slots=True)
class Leaving:
    """What `down` must know of the configuration: the engine's address if it answers, and where volumes are."""

    engine: str | None
    volumes: Path


def stop_stack(layout: Layout, steps: Steps) -> None:
    """Stop the demonstration's containers, the volumes' mounts, and every program of the stack.

    Raises:
        VdbmonError: `stack.not_stopping`, a process doesn't end.
    """
    leaving = _what_to_leave(layout, steps)
    if leaving.engine is not None:
        with steps.step("the demonstration's containers stopped"):
            told = _stop_demonstration(leaving.engine, layout, leaving.volumes)
        steps.lines(told)
    with steps.step("volumes unmounted, their files kept"):
        busy = release_volumes(leaving.volumes)
    steps.lines(busy)
    unplug_container(layout)
    with steps.step("programs stopped"):
        stopped = Supervisor(layout).stop()
    steps.line(", ".join(stopped) or "none ran")
    shutil.rmtree(layout.run, ignore_errors=True)
    remove_devices(layout)


def _stop_demonstration(engine: str, layout: Layout, volumes: Path) -> list[str]:
    """An engine that fails now must not keep the servers from stopping."""
    try:
        return stop_demonstration(engine, layout, volumes)
    except VdbmonError as error:
        return [str(error)]


def _what_to_leave(layout: Layout, steps: Steps) -> Leaving:
    """A configuration that somebody broke meanwhile must not keep the stack from stopping."""
    try:
        config = load_config(layout.config)
    except VdbmonError as error:
        steps.line(f"going by the defaults: {error}")
        return Leaving(engine=None, volumes=layout.volumes)
    engine = survey_engine(config)
    if not engine.answers and engine.listening:
        steps.line(f"{engine.address} doesn't answer: its containers stay as they are")
    return Leaving(engine=engine.address if engine.answers else None, volumes=config.volumes.dir)
