"""The agent put together: the settings of an input reach its metrics."""

from collector.agent.build import tags_of_inputs
from collector.catalogue import METRICS, cgroup, host, internal
from collector.settings import CommonSettings, InputSettings, TimedSettings


def test_the_tags_of_an_input_are_on_its_metrics_and_on_no_others() -> None:
    inputs = InputSettings(host=TimedSettings(tags={"rack": "r7"}), internal=CommonSettings(tags={"site": "own"}))
    tags_of = tags_of_inputs(inputs, {"site": "fra"})
    assert dict(tags_of(host.LOAD1)) == {"rack": "r7", "site": "fra"}
    assert dict(tags_of(internal.INPUT_UP)) == {"site": "own"}
    assert dict(tags_of(cgroup.CPU_USAGE)) == {"site": "fra"}


def test_without_tags_nothing_is_added() -> None:
    tags_of = tags_of_inputs(InputSettings(), {})
    assert {tags_of(metric) for metric in METRICS.values()} == {()}
