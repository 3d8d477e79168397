"""Filters of inputs: samples go by either of their two names."""

import pytest
from pydantic import TypeAdapter

from collector.catalogue import cgroup, containers, docker, host, internal
from collector.filters import SelectorSettings
from collector.metrics import Sample
from collector.sample_filter import compile_sample_filter

CPU0_USER = host.CPU_SECONDS.sample(1, "0", "user")
CPU0_IDLE = host.CPU_SECONDS.sample(9, "0", "idle")
LOAD1 = host.LOAD1.sample(0.5)
SWAP = host.MEMORY["SwapTotal"].sample(0)
USAGE = cgroup.MEMORY_USAGE.sample(5, "dr-1", "mariadb:10.11")
OTHER = cgroup.MEMORY_USAGE.sample(6, "web", "nginx:1")
RUNNING = containers.RUNNING.sample(2)
PAUSED = docker.STATES.sample(0, "paused")
UP = internal.INPUT_UP.sample(1, "host")
SAMPLES = [CPU0_USER, CPU0_IDLE, LOAD1, SWAP, USAGE, OTHER, RUNNING, PAUSED, UP]


def left(**settings: object) -> list[Sample]:
    compiled = compile_sample_filter(TypeAdapter(SelectorSettings).validate_python(settings))
    assert compiled is not None
    first = compiled(SAMPLES)
    assert compiled(SAMPLES) == first, "what is remembered changes nothing"
    return first


def test_settings_that_filter_nothing_cost_nothing() -> None:
    assert compile_sample_filter(SelectorSettings()) is None


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"namepass": ["node_load*"]}, [LOAD1]),
        ({"namepass": ["system"]}, [LOAD1]),
        ({"namepass": ["swap", "node_load1"]}, [LOAD1, SWAP]),
        ({"namepass": ["prometheus"]}, [UP]),
        ({"namepass": ["{cpu,mem}"], "namedrop": ["swap"]}, [CPU0_USER, CPU0_IDLE]),
        ({"tagpass": {"cpu": ["0"]}}, [CPU0_USER, CPU0_IDLE]),
        ({"tagpass": {"cpu": ["cpu0"]}, "tagdrop": {"mode": ["idle"]}}, [CPU0_USER]),
        ({"tagpass": {"name": ["dr-*"]}}, [USAGE]),
        ({"tagpass": {"container_name": ["*"]}, "tagdrop": {"container_version": ["10.*"]}}, [OTHER]),
        ({"fieldinclude": ["load1"]}, [LOAD1]),
        ({"fieldinclude": ["time_*"], "fieldexclude": ["time_idle"]}, [CPU0_USER]),
        ({"fieldinclude": ["node_cpu_seconds_total"]}, [CPU0_USER, CPU0_IDLE]),
        ({"namepass": ["docker"], "fieldexclude": ["n_containers_paused"]}, [RUNNING]),
        ({"fieldinclude": ["usage"]}, [USAGE, OTHER]),
    ],
)
def test_a_sample_goes_by_both_of_its_names(settings: dict[str, object], expected: list[Sample]) -> None:
    assert left(**settings) == expected
