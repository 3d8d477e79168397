"""Run a launch: step after step, and back again if one fails.

The intent is in the ledger before the first step, and before each step its owner writes that he is alive
(`orchestrator.ledger.turns`). A step that fails undoes itself and those before it, and the allocation is given back.
Unknown is not failed: after an engine that didn't answer, or a step that didn't end, nothing is undone and nothing is
given back; `vdbmon reconcile` finishes or undoes it when it is known. A launch that somebody else took over meanwhile,
because its owner had been silent for too long, is left to him.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from collector.errors import VdbmonError
from orchestrator.decision.resources import ResourceClass
from orchestrator.engines.engine import EngineUnreachableError
from orchestrator.host.limits import Limits
from orchestrator.launch.deadlines import act_within
from orchestrator.launch.errors import LaunchFailedError, LaunchUnknownError, StepOverdueError
from orchestrator.launch.spec import LaunchSpec
from orchestrator.launch.steps import COMMIT, Step, Steps, Tools
from orchestrator.ledger import Event, LaunchRecord, LaunchState, LedgerError, TakenOverError


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """A container that runs, or has run already.

    Attributes:
        volume_sized: the volume can't outgrow what was asked for; an engine's own volume can.
        limits: as the kernel holds it to them; None if it ended before they were read.
    """

    container_id: str
    volume: str
    volume_sized: bool
    limits: Limits | None


class Launch:
    """One launch on one host. Its record is in the ledger already, in state intent."""

    def __init__(
        self, record: LaunchRecord, spec: LaunchSpec, *, container_labels: dict[str, str], tools: Tools
    ) -> None:
        self._record = record
        self._spec = spec
        self._tools = tools
        self._steps = Steps(record, spec, container_labels, tools)

    def run(self) -> Launched:
        """Run all steps, and commit.

        Raises:
            LaunchFailedError: a step failed; everything is undone.
            LaunchUnknownError: a step's outcome is unknown, an undo failed, or the ledger can't be written.
        """
        begun: list[Step] = []
        try:
            for step in self._steps.all():
                begun.append(step)
                self._begin(step.name)
                act_within(step.seconds, step.act)
            self._commit()
        except (EngineUnreachableError, StepOverdueError) as error:
            self._record_event(f"unknown.{begun[-1].name}", str(error))
            raise self._unknown(begun[-1].name, error) from error
        except TakenOverError as error:
            return self._yield(begun, error)
        except LaunchUnknownError:
            raise
        except (VdbmonError, KeyboardInterrupt) as error:
            self._record_event(f"failed.{begun[-1].name}", str(error))
            self._undo(begun, error)
            if isinstance(error, VdbmonError):
                raise LaunchFailedError(error.code, f"{self._spec.name} was not launched: {error}") from error
            raise
        return self._launched()

    def _begin(self, name: str) -> None:
        self._tools.ledger.begin_step(self._record.request_id, name, turn=self._record.turn, at=self._tools.clock())

    def _commit(self) -> None:
        limits = self._steps.limits
        try:
            self._advance(LaunchState.RUNNING, step=None, detail=limits.document() if limits else None)
        except TakenOverError:
            raise
        except LedgerError as error:
            raise self._unknown(COMMIT, error) from error

    def _launched(self) -> Launched:
        return Launched(
            container_id=self._steps.container_id,
            volume=self._spec.volume,
            volume_sized=self._tools.volumes.sized,
            limits=self._steps.limits,
        )

    def _yield(self, begun: Sequence[Step], error: TakenOverError) -> Launched:
        """Whoever took it over has finished it, removed it, or is about to; what was made since goes if it is removed.

        A container that this process made after that would belong to nobody.
        """
        record = self._tools.ledger.launch(self._record.request_id)
        if record is not None and record.state in {LaunchState.RUNNING, LaunchState.DONE}:
            return self._launched()
        if record is not None and record.state is LaunchState.REMOVED and record.volume is None:
            for step in reversed(begun):
                act_within(step.seconds, step.undo)
            raise LaunchFailedError("launch.removed", f"{self._spec.name} was removed meanwhile") from error
        raise self._unknown(begun[-1].name, error) from error

    def _undo(self, begun: Sequence[Step], cause: BaseException) -> None:
        for step in reversed(begun):
            with suppress(LedgerError):  # what is begun is undone, whoever else does so as well
                self._begin(step.name)
            try:
                act_within(step.seconds, step.undo)
            except VdbmonError as error:
                self._record_event(f"not_undone.{step.name}", str(error))
                raise self._unknown(step.name, error) from cause
        try:
            self._advance(
                LaunchState.REMOVED, release=frozenset(ResourceClass), volume=None, step=None, detail=str(cause)
            )
        except LedgerError as error:
            if not self._is_removed():  # by whoever took it over
                raise self._unknown(COMMIT, error) from cause

    def _is_removed(self) -> bool:
        with suppress(LedgerError):
            record = self._tools.ledger.launch(self._record.request_id)
            return record is not None and record.state is LaunchState.REMOVED
        return False

    def _unknown(self, step: str, error: VdbmonError) -> LaunchUnknownError:
        return LaunchUnknownError(
            "launch.unknown",
            f"launch of {self._spec.name} stopped at step {step}: {error.message}; its allocation is kept",
            "when that is mended, `vdbmon reconcile` finishes or undoes it",
        )

    def _advance(self, state: LaunchState, **changes: Any) -> None:
        record = self._record
        self._tools.ledger.advance(record.request_id, state, at=self._tools.clock(), turn=record.turn, **changes)

    def _record_event(self, kind: str, detail: str) -> None:
        """What can't be written down must not keep a launch from being undone."""
        record = self._record
        with suppress(LedgerError):
            self._tools.ledger.record(
                Event(
                    at=self._tools.clock(),
                    kind=kind,
                    request_id=record.request_id,
                    name=record.name,
                    host=record.host,
                    detail=detail,
                )
            )
