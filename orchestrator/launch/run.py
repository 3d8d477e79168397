"""Turn an allocation into a running container: volume, create, start, verify; each step with its undo.

The intent is in the ledger before the first step. A step that fails undoes itself and those before it, and the
allocation is given back. An engine that doesn't answer in the middle is another matter: what it did is unknown, so
nothing is undone and nothing is given back; `vdbmon rm NAME` clears it when the engine answers again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from collector import labels
from collector.errors import VdbmonError
from orchestrator.blockdevices import device_of
from orchestrator.engine import ContainerSpec, Engine, EngineUnreachableError
from orchestrator.jobs import LaunchSpec, container_spec
from orchestrator.launch.protocols import Volumes
from orchestrator.ledger import Event, LaunchRecord, LaunchState, Ledger
from orchestrator.limits import Limits, mismatches
from orchestrator.resources import ResourceClass
from orchestrator.volumes import SizedVolume

STARTED_AFTER_SECONDS = 1.0
"""A container that still runs after this has started; one that ends earlier with an error was never launched."""


class LaunchFailedError(VdbmonError):
    """The launch failed and is undone; the code is the cause's."""


class LaunchUnknownError(VdbmonError):
    """The launch stopped halfway and could not be undone; its allocation is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """A container that runs, or has run already.

    Attributes:
        limits: as the kernel holds it to them; None if it ended before they were read.
    """

    container_id: str
    volume: str
    limits: Limits | None


@dataclass(frozen=True, slots=True)
class Step:
    """One act and what takes it back; both may be done again, and `undo` also after an act that failed halfway."""

    name: str
    act: Callable[[], None]
    undo: Callable[[], None]


class Launch:
    """One launch on one host. Its record is in the ledger already, in state intent."""

    def __init__(
        self,
        record: LaunchRecord,
        spec: LaunchSpec,
        *,
        container_labels: dict[str, str],
        engine: Engine,
        volumes: Volumes,
        ledger: Ledger,
        read_limits: Callable[[str], Limits | None],
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._record = record
        self._spec = spec
        self._labels = container_labels
        self._engine = engine
        self._volumes = volumes
        self._ledger = ledger
        self._read_limits = read_limits
        self._clock = clock
        self._sleep = sleep
        self._volume: SizedVolume | None = None
        self._container: ContainerSpec | None = None
        self._container_id = ""
        self._limits: Limits | None = None

    def run(self) -> Launched:
        """Run all steps.

        Raises:
            LaunchFailedError: a step failed; everything is undone.
            LaunchUnknownError: the engine went silent, or an undo failed.
        """
        steps = (
            Step("volume", self._make_volume, self._remove_volume),
            Step("create", self._create, self._remove_container),
            Step("start", self._start, _nothing),
            Step("verify", self._verify, _nothing),
        )
        begun: list[Step] = []
        try:
            for step in steps:
                begun.append(step)
                step.act()
        except EngineUnreachableError as error:
            self._record_event(f"unknown.{begun[-1].name}", str(error))
            raise self._unknown(begun[-1], error) from error
        except (VdbmonError, KeyboardInterrupt) as error:
            self._record_event(f"failed.{begun[-1].name}", str(error))
            self._undo(begun, error)
            if isinstance(error, VdbmonError):
                raise LaunchFailedError(error.code, f"{self._spec.name} was not launched: {error}") from error
            raise
        self._advance(LaunchState.RUNNING, detail=asdict(self._limits) if self._limits else None)
        return Launched(container_id=self._container_id, volume=self._spec.volume, limits=self._limits)

    def _make_volume(self) -> None:
        volume_labels = {**self._labels, labels.IMAGE: self._spec.image}
        self._volume = self._volumes.create(self._spec.volume, self._spec.volume_size, volume_labels)

    def _remove_volume(self) -> None:
        self._volumes.remove(self._spec.volume)

    def _create(self) -> None:
        if self._volume is None:
            raise AssertionError("the volume comes before the container")
        self._container = container_spec(
            self._spec,
            volume=self._volume,
            disks=map(device_of, self._spec.read_from),
            container_labels=self._labels,
        )
        self._container_id = self._engine.create(self._container)
        self._advance(LaunchState.CREATED, container_id=self._container_id)

    def _remove_container(self) -> None:
        remove_own(self._engine, self._spec.name, self._record.request_id)

    def _start(self) -> None:
        self._engine.start(self._container_id)

    def _verify(self) -> None:
        """Compare the cgroup with what was asked for, and see the container live on for a moment.

        One that ended before its cgroup could be read has only its exit code to tell.
        """
        if self._container is None:
            raise AssertionError("the container comes before its check")
        found = self._read_limits(self._container_id)
        wrong = tuple(mismatches(self._container, found)) if found else ("its cgroup is not to be found",)
        if not wrong:
            self._limits = found
        self._sleep(STARTED_AFTER_SECONDS)
        state = self._engine.inspect(self._container_id)
        if state is None:
            raise VdbmonError("container.gone", "the container was removed by somebody as it started")
        if not state.ended and wrong:
            raise VdbmonError("limits.not_applied", f"the kernel has other limits: {'; '.join(wrong)}")
        if state.exit_code:
            said = self._engine.last_line(self._container_id, errors=True) or state.error or "it said nothing"
            raise VdbmonError("container.exited", f"the container ended at once with code {state.exit_code}: {said}")

    def _undo(self, begun: Sequence[Step], cause: BaseException) -> None:
        for step in reversed(begun):
            try:
                step.undo()
            except VdbmonError as error:
                self._record_event(f"not_undone.{step.name}", str(error))
                raise self._unknown(step, error) from cause
        self._advance(LaunchState.REMOVED, release=frozenset(ResourceClass), volume=None, detail=str(cause))

    def _unknown(self, step: Step, error: VdbmonError) -> LaunchUnknownError:
        name = self._spec.name
        return LaunchUnknownError(
            "launch.unknown",
            f"launch of {name} stopped at step {step.name}: {error.message}; its allocation is kept",
            f"when that is mended, `vdbmon ps` says how it stands and `vdbmon rm {name}` clears it",
        )

    def _advance(self, state: LaunchState, **changes: Any) -> None:
        self._ledger.advance(self._record.request_id, state, at=self._clock(), **changes)

    def _record_event(self, kind: str, detail: str) -> None:
        record = self._record
        self._ledger.record(
            Event(
                at=self._clock(),
                kind=kind,
                request_id=record.request_id,
                name=record.name,
                host=record.host,
                detail=detail,
            )
        )


def remove_own(engine: Engine, container: str, request_id: str) -> bool:
    """Remove the container of that name or id if it is that request's; whether there was one.

    One that somebody else made under the same name is left alone.
    """
    state = engine.inspect(container)
    if state is None or state.labels.get(labels.REQUEST_ID) != request_id:
        return False
    engine.remove(state.id)
    return True


def _nothing() -> None:
    """A container is removed whether it runs or not, so a start needs no undo of its own."""
