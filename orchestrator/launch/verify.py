"""Whether a started container is what was asked for: held to its limits by the kernel, alive, and measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from collector.errors import VdbmonError
from orchestrator.engines.engine import ContainerSpec, ContainerState, Engine
from orchestrator.host.limits import Limits, Told, mismatches
from orchestrator.launch.samples import Sampled

STARTED_AFTER_SECONDS = 1.0
"""A container that still runs after this has started; one that ends earlier with an error was never launched."""

SAMPLE_SECONDS = 30.0
"""Three scrapes of the usual interval; an agent that answers is asked itself, and says so at once."""

_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """What a check of a container needs.

    Attributes:
        read_limits: as the kernel has them for a container id; None once its cgroup is gone.
        sleep: seconds.
    """

    host: str
    engine: Engine
    read_limits: Callable[[str], Limits | None]
    sampled: Sampled
    sleep: Callable[[float], None]

    def verify(self, container: ContainerSpec, container_id: str) -> Limits | None:
        """Its limits; None for one that has ended well before they could be read.

        Raises:
            EngineUnreachableError: nobody knows.
            VdbmonError: `limits.not_applied`, `container.exited`, `container.gone`, `sample.missing`.
        """
        found = self.read_limits(container_id)
        wrong = tuple(mismatches(container, found)) if found else ("its cgroup is not to be found",)
        self.sleep(STARTED_AFTER_SECONDS)
        state = self._alive(container_id)
        if state.ended:
            return None if wrong else found
        if wrong:
            raise VdbmonError("limits.not_applied", f"the kernel has other limits: {'; '.join(wrong)}")
        self._await_sample(container.name, container_id)
        return self._proven(container, container_id, found)

    def _proven(self, container: ContainerSpec, container_id: str, found: Limits | None) -> Limits | None:
        """On another host the agent's first sample proves what until then only the engine said."""
        if found is None or found.told is not Told.ENGINE:
            return found
        seen = self.read_limits(container_id) or found
        wrong = "; ".join(mismatches(container, seen))
        if wrong and not self._alive(container_id).ended:
            raise VdbmonError("limits.not_applied", f"the kernel has other limits: {wrong}")
        return found if wrong else seen

    def _alive(self, container_id: str) -> ContainerState:
        """The container as it runs, or has ended well."""
        state = self.engine.inspect(container_id)
        if state is None:
            raise VdbmonError("container.gone", "the container was removed by somebody as it started")
        if state.exit_code:
            said = self.engine.last_line(container_id, errors=True) or state.error or "it said nothing"
            raise VdbmonError("container.exited", f"the container ended at once with code {state.exit_code}: {said}")
        return state

    def _await_sample(self, name: str, container_id: str) -> None:
        """A container that ends meanwhile needs no sample any more."""
        waited = 0.0
        while not self.sampled(self.host, name):
            if waited >= SAMPLE_SECONDS:
                raise VdbmonError(
                    "sample.missing",
                    f"neither the agent of {self.host} nor Prometheus has a sample of it after {SAMPLE_SECONDS:g} s",
                    "see `vdbmon doctor` there",
                )
            if self._alive(container_id).ended:
                return
            self.sleep(_POLL_SECONDS)
            waited += _POLL_SECONDS
