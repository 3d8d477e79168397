"""Outputs that are replaced while the agent runs: what is set as before runs on, what waits outlives the change."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.agent.outputs import Outputs
from collector.errors import ConfigError
from collector.outputs.settings import FileSettings, InfluxV2Settings, OutputSettings
from collector.projections.point import Point
from collector.settings import AgentSettings
from tests.support.wait import wait_until

PATIENCE = 10.0
NOBODY = "http://127.0.0.1:9"
CPU = Point("cpu", (("host", "dr-01"),), {"usage_idle": 1.0}, 1)
MEM = Point("mem", (("host", "dr-01"),), {"free": 1}, 1)


@pytest.fixture
def agent(tmp_path: Path) -> AgentSettings:
    return AgentSettings(buffer_directory=tmp_path / "spool", flush_interval=0.05)


def store(**more: object) -> OutputSettings:
    return OutputSettings(influxdb_v2=(InfluxV2Settings(urls=(NOBODY,), alias="store", **more),))  # type: ignore[arg-type]


def file(path: Path, **more: object) -> OutputSettings:
    return OutputSettings(file=(FileSettings(files=(str(path),), alias="file", **more),))  # type: ignore[arg-type]


@pytest.fixture
def outputs(agent: AgentSettings) -> Iterator[Outputs]:
    made = Outputs(agent, store())
    made.start()
    yield made
    made.close(PATIENCE)


def queued(outputs: Outputs) -> dict[str, int]:
    return {name: state.queued for name, state in outputs.states().items()}


def test_an_output_that_is_set_as_before_is_not_touched(outputs: Outputs, agent: AgentSettings) -> None:
    before = outputs._outputs[0]
    outputs.reload(agent, store())
    assert outputs._outputs == [before]


def test_what_waits_is_taken_over_by_an_output_that_is_set_otherwise(outputs: Outputs, agent: AgentSettings) -> None:
    outputs.put([CPU, MEM])
    outputs.reload(agent, store(timeout=1.0))
    assert queued(outputs) == {"store": 2}


def test_what_waits_for_an_output_that_is_gone_waits_until_it_is_back(outputs: Outputs, agent: AgentSettings) -> None:
    outputs.put([CPU, MEM])
    outputs.reload(agent, OutputSettings())
    assert not outputs
    outputs.put([CPU])
    outputs.reload(agent, store())
    assert queued(outputs) == {"store": 2}


def test_the_agent_s_defaults_are_part_of_what_an_output_is(outputs: Outputs, agent: AgentSettings) -> None:
    before = outputs._outputs[0]
    outputs.reload(AgentSettings(buffer_directory=agent.buffer_directory, metric_batch_size=1), store())
    assert outputs._outputs[0] is not before


def test_a_new_secret_in_the_same_file_is_read(outputs: Outputs, agent: AgentSettings, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.touch(mode=0o600)
    secret.write_text("old")
    outputs.reload(agent, store(token_file=secret))
    before = outputs._outputs[0]
    outputs.reload(agent, store(token_file=secret))
    assert outputs._outputs[0] is before
    (tmp_path / "new").touch(mode=0o600)
    (tmp_path / "new").write_text("new")
    (tmp_path / "new").rename(secret)
    outputs.reload(agent, store(token_file=secret))
    assert outputs._outputs[0] is not before


@pytest.mark.parametrize(
    "stores",
    [store(token_file=Path("/nowhere/token")).influxdb_v2, store().influxdb_v2 * 2],
    ids=["secret", "double"],
)
def test_what_can_not_be_opened_changes_nothing(
    outputs: Outputs, agent: AgentSettings, tmp_path: Path, stores: tuple[InfluxV2Settings, ...]
) -> None:
    outputs.put([CPU])
    before = outputs._outputs[0]
    other = file(tmp_path / "out").file
    with pytest.raises(ConfigError):
        outputs.reload(agent, OutputSettings(influxdb_v2=stores, file=other))
    assert outputs._outputs == [before]
    assert queued(outputs) == {"store": 1}
    outputs.reload(agent, OutputSettings(influxdb_v2=store().influxdb_v2, file=other))
    assert sorted(queued(outputs)) == ["file", "store"]


def test_a_filter_chooses_what_is_spooled(outputs: Outputs, agent: AgentSettings, tmp_path: Path) -> None:
    path = tmp_path / "out"
    outputs.reload(agent, file(path, namepass=("mem",)))
    outputs.put([CPU, MEM])
    text = wait_until(lambda: path.exists() and path.read_text(), deadline=PATIENCE, what="a line in the file")
    assert text == "mem,host=dr-01 free=1i 1\n"
