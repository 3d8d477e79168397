"""What serve knows as samples; the metrics are declared in `collector.fleet_metrics`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from collector import fleet_metrics as fleet
from collector.metrics import Metric, Sample
from orchestrator.capacity.figures import Dimension, HostCapacity, fleet_dimensions
from orchestrator.capacity.forecast import forecasts
from orchestrator.decision.reasons import Code
from orchestrator.decision.resources import MILLI, ResourceClass
from orchestrator.ledger import LaunchState
from orchestrator.serve.beat import BeatState
from orchestrator.serve.findings import RECONCILED, Counts, Findings, FleetCapacity, LaunchGroups, LeakGroups
from orchestrator.serve.tally import ACCEPTED, REFUSED
from orchestrator.serve.tasks import TaskState

_AMOUNTS: tuple[tuple[Metric, str], ...] = (
    (fleet.INVENTORY, "total"),
    (fleet.RESERVED, "reserved"),
    (fleet.SELLABLE, "sellable"),
    (fleet.ALLOCATED, "allocated"),
    (fleet.OTHERS, "others"),
    (fleet.USED, "used"),
    (fleet.FREE, "free"),
)
_REFUSING = (
    *(code.value for code in Code if not code.startswith("score.")),
    *(f"capacity.{key}" for key in ResourceClass),
)
"""Codes that are exported before they come up, so that their first rise is seen as one."""


def fleet_samples(findings: Findings, hosts: Sequence[str], now: float) -> Iterator[Sample]:
    """All of the fleet; `hosts` are those of the configuration."""
    found = findings.capacity.get()
    if found is not None:
        yield from capacity_samples(found)
        history = findings.history.get()
        if history is not None:
            for key, growth in forecasts(fleet_dimensions(found.hosts), history, now=now).items():
                if growth.full_at is not None:
                    yield fleet.FULL_AT.sample(growth.full_at, key.value)
    launches, leaks = findings.launches.get(), findings.leaks.get()
    if launches is not None:
        yield from launch_samples(launches, hosts)
    if leaks is not None:
        yield from leak_samples(leaks)
    yield from count_samples(findings.counts)
    yield from findings.told()


def capacity_samples(found: FleetCapacity) -> Iterator[Sample]:
    """What every host has, gave away, uses and has left, what closes it, and how full the address pools are."""
    for host in found.hosts:
        for key, dimension in host.dimensions.items():
            yield from _dimension_samples(host, key, dimension)
        if host.age is not None:
            yield fleet.USED_AGE.sample(host.age, host.host)
        yield fleet.HOST_OPEN.sample(float(not host.closed), host.host)
        for code in dict.fromkeys(str(reason.code) for reason in host.closed):
            yield fleet.HOST_CLOSED.sample(1.0, host.host, code)
    for name, answered in found.engines.items():
        yield fleet.ENGINE_UP.sample(float(answered), name)
    for name, use in found.pools.items():
        for state, number in (("free", use.free), ("held", use.held), ("resting", use.resting)):
            yield fleet.ADDRESSES.sample(number, name, state)


def _dimension_samples(host: HostCapacity, key: ResourceClass, dimension: Dimension) -> Iterator[Sample]:
    scale = MILLI if key is ResourceClass.CPU else 1
    for metric, name in _AMOUNTS:
        amount: int | None = getattr(dimension, name)
        if amount is not None:
            yield metric.sample(amount / scale, host.host, key.value)


def launch_samples(launches: LaunchGroups, hosts: Iterable[str]) -> Iterator[Sample]:
    """Launches by host and state; of the hosts of the configuration also the states that none is in."""
    for name in dict.fromkeys((*hosts, *(host for host, _ in launches))):
        for state in LaunchState:
            group = launches.get((name, state))
            yield fleet.LAUNCHES.sample(group.count if group else 0, name, state.value)
            if group:
                yield fleet.OLDEST_LAUNCH.sample(group.oldest, name, state.value)


def leak_samples(leaks: LeakGroups) -> Iterator[Sample]:
    """Leaks by host and kind."""
    for (name, kind), group in leaks.items():
        yield fleet.LEAKS.sample(group.count, name, kind)
        yield fleet.OLDEST_LEAK.sample(group.oldest, name, kind)


def count_samples(counts: Counts) -> Iterator[Sample]:
    """What only grows."""
    for kind, number in counts.entries.items():
        yield fleet.ENTRIES.sample(number, kind)
    for outcome in (ACCEPTED, REFUSED):
        yield fleet.DECISIONS.sample(counts.decisions[outcome], outcome)
    for code in dict.fromkeys((*_REFUSING, *counts.refusals)):
        yield fleet.REFUSALS.sample(counts.refusals[code], code)
    for action in RECONCILED:
        yield fleet.RECONCILED.sample(counts.reconciled[action], action)
    yield fleet.PRUNED.sample(counts.pruned)


def beat_samples(beat: BeatState | None, tasks: Iterable[TaskState]) -> Iterator[Sample]:
    """How the beat fares."""
    if beat is not None:
        yield fleet.LAST_BEAT.sample(beat.ended_at)
        yield fleet.BEAT_DURATION.sample(beat.duration)
        yield fleet.BEAT_SUCCESSFUL.sample(float(beat.successful))
    for task in tasks:
        yield fleet.TASK_UP.sample(float(task.error is None), task.name)
        yield fleet.TASK_DURATION.sample(task.duration, task.name)
        yield fleet.TASK_ERRORS.sample(task.errors, task.name)
        if task.last_success is not None:
            yield fleet.TASK_LAST_SUCCESS.sample(task.last_success, task.name)
