"""The wall clock is set back while the agent runs: collections go on, no duration is negative, no counter falls."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.agent.build import Inputs, build_inputs
from collector.inputs import host, internal
from collector.metrics import Kind
from collector.projections.telegraf import TelegrafProjection
from collector.settings import AgentSettings, DockerSettings, InputSettings


class Clock:
    def __init__(self) -> None:
        self.now = 1_795_410_700.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def inputs(clock: Clock, tmp_path: Path) -> Iterator[Inputs]:
    docker = DockerSettings(address=f"unix://{tmp_path}/none.sock", root=tmp_path)
    built = build_inputs(AgentSettings(min_age=0.0), InputSettings(docker=docker), dict, clock)
    yield built
    built.close()


def test_a_clock_that_is_set_back_costs_no_collection_and_gives_nothing_negative(inputs: Inputs, clock: Clock) -> None:
    before = inputs.collector.collect()
    clock.now -= 3600
    after = inputs.collector.collect()
    values = {(sample.metric, sample.labels): sample.value for sample in after.samples}
    assert after.taken_at == before.taken_at - 3600, "points are stamped with the time that the host has"
    assert values[host.TIME, ()] == after.taken_at
    assert values[internal.INPUT_UP, ("host",)] == values[internal.INPUT_UP, ("cgroup",)] == 1
    for state in inputs.collector.states():
        assert state.duration >= 0
    ours = ("node_cpu", "node_context", "node_intr", "node_disk", "vdbmon_", "process_")
    for metric, labels, value in before.samples:
        if metric.kind is Kind.COUNTER and metric.name.startswith(ours) and (metric, labels) in values:
            assert values[metric, labels] >= value, metric.name


def test_rates_of_the_telegraf_names_are_left_out_or_positive(inputs: Inputs, clock: Clock) -> None:
    projection = TelegrafProjection("host")
    for step in (0.0, -3600.0, 10.0):
        clock.now += step
        collection = inputs.collector.collect()
        for point in projection.project(collection.samples, int(collection.taken_at * 1e9)):
            for name, value in point.fields.items():
                if name.startswith("usage_") and not isinstance(value, str):
                    assert value >= 0, f"{point.measurement} {name}"
