"""Finish or undo one launch that stopped halfway, under a turn of one's own.

A container that was started is left to run: it is verified and committed, or settled if it has ended meanwhile. One
that wasn't started is undone: whoever wanted it was told that it stopped, or was killed; the gate may be closed now.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from collector import labels
from collector.errors import VdbmonError
from orchestrator.decision.resources import HELD_WHILE_RUNNING, ResourceClass
from orchestrator.engines.engine import ContainerSpec, ContainerState, Engine, EngineUnreachableError
from orchestrator.host.blockdevices import BlockDevice
from orchestrator.launch import Addresses, Undo, Verifier, Volumes
from orchestrator.launch.spec import container_spec, parse_spec
from orchestrator.ledger import LaunchRecord, LaunchState, Ledger
from orchestrator.placement.removal import holds_backup

RECONCILE = "reconcile"
"""The step that a launch is at while it is finished or undone."""

_NEVER_STARTED = "created"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What there is to work with on one host.

    Attributes:
        disk_of: the disk under a folder of the host.
        clock: seconds since the epoch.
    """

    host: str
    engine: Engine
    volumes: Volumes
    addresses: Addresses | None
    verifier: Verifier
    disk_of: Callable[[Path], BlockDevice]
    ledger: Ledger
    clock: Callable[[], float]


def mend(record: LaunchRecord, ground: Ground) -> LaunchState:
    """Finish or undo it; the state that it is in now.

    Raises:
        TakenOverError: somebody else works on it.
        EngineUnreachableError: nobody knows.
        VdbmonError: it can't be undone now; the next time is another try.
    """
    turn = ground.ledger.take_over(record, RECONCILE, at=ground.clock())
    state = _own_container(record, ground.engine)
    cause = "it stopped halfway, and was not started"
    if state is not None and state.status != _NEVER_STARTED:
        try:
            return _finish(record, state, ground, turn)
        except EngineUnreachableError:
            raise
        except VdbmonError as error:
            cause = str(error)
    return _undo(record, ground, turn, cause)


def _own_container(record: LaunchRecord, engine: Engine) -> ContainerState | None:
    state = engine.inspect(record.name)
    return state if state is not None and state.labels.get(labels.REQUEST_ID) == record.request_id else None


def _finish(record: LaunchRecord, state: ContainerState, ground: Ground, turn: int) -> LaunchState:
    limits = None
    container = _expected(record, ground)
    if container is not None and not state.ended:
        limits = ground.verifier.verify(container, state.id)
    ground.ledger.advance(
        record.request_id,
        LaunchState.RUNNING,
        at=ground.clock(),
        turn=turn,
        container_id=state.id,
        step=None,
        detail=limits.document() if limits else None,
    )
    return LaunchState.RUNNING


def _expected(record: LaunchRecord, ground: Ground) -> ContainerSpec | None:
    """The container that was asked for; None where the ledger doesn't know, because it was rebuilt."""
    spec = parse_spec(record.spec)
    if spec is None or record.volume is None:
        return None
    volume = ground.volumes.get(record.volume)
    if volume is None:
        raise VdbmonError("volume.missing", f"volume {record.volume} is gone")
    return container_spec(spec, volume=volume, disks=map(ground.disk_of, spec.read_from), container_labels={})


def _undo(record: LaunchRecord, ground: Ground, turn: int, cause: str) -> LaunchState:
    undo = Undo(record, ground.engine, ground.volumes, ground.addresses)
    undo.container()
    kept = record.volume is not None and holds_backup(ground.volumes, record.volume)
    if not kept:
        undo.volume()
    undo.address()
    ground.ledger.advance(
        record.request_id,
        LaunchState.REMOVED,
        at=ground.clock(),
        turn=turn,
        release=HELD_WHILE_RUNNING if kept else frozenset(ResourceClass),
        volume=record.volume if kept else None,
        step=None,
        detail=cause,
    )
    return LaunchState.REMOVED
