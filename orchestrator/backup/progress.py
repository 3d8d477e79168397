"""How far running jobs are: what they say of themselves, as Prometheus has it. Works for every host of the fleet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from collector import catalogue
from orchestrator.backup.runner.record import State
from orchestrator.survey.prometheus import PrometheusClient, PrometheusError

_JOB = catalogue.job
_RAW, _STORED = 'kind="raw"', 'kind="stored"'
_RATE = "1m"
_OVER = frozenset({State.DONE, State.VERIFIED, State.FAILED})
"""A server that stays up on what was restored has nothing before it any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One job.

    Attributes:
        done: bytes read or written so far, before compression; None where that is over.
        expected: how many it is expected to come to; None where nobody knows.
        rate: bytes per second over the last minute.
        stored: bytes in its volume.
        state: `copied` when all is read and only what makes it whole is to be done; None where it doesn't say.
        lag: seconds that a standby, or the fetching of logs, is behind the source.
    """

    done: int | None = None
    expected: int | None = None
    rate: float | None = None
    stored: int = 0
    state: State | None = None
    lag: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """How long it will take at this rate; None where nobody knows."""
        if self.done is None or self.expected is None or not self.rate:
            return None
        return max(self.expected - self.done, 0) / self.rate


def read_progress(client: PrometheusClient) -> Mapping[str, Progress]:
    """The progress of all running jobs by their containers' names; nothing where Prometheus doesn't answer."""
    try:
        done = client.by_label(f"{_JOB.PROGRESS.name}{{{_RAW}}}", "name")
        expected = client.by_label(f"{_JOB.EXPECTED.name}{{{_RAW}}}", "name")
        rates = client.by_label(f"deriv({_JOB.PROGRESS.name}{{{_RAW}}}[{_RATE}])", "name")
        stored = client.by_label(f"{_JOB.PROGRESS.name}{{{_STORED}}}", "name")
        states = _states(client)
        lags = client.by_label(_JOB.LAG.name, "name")
    except PrometheusError:
        return {}
    moving = {
        name: Progress(
            done=int(value),
            expected=int(expected[name]) if expected.get(name) else None,
            rate=max(rates[name], 0.0) if name in rates else None,
            stored=int(stored.get(name, 0)),
            state=states.get(name),
        )
        for name, value in done.items()
        if states.get(name) not in _OVER
    }
    return moving | {name: replace(moving.get(name, Progress()), lag=lag) for name, lag in lags.items()}


def _states(client: PrometheusClient) -> dict[str, State]:
    """By container; what a newer runner calls otherwise is left out."""
    series = [labels for labels, _ in client.vector(f"{_JOB.STATE.name} == 1")]
    known = {state.value: state for state in State}
    return {
        labels["name"]: known[labels["state"]] for labels in series if "name" in labels and labels.get("state") in known
    }
