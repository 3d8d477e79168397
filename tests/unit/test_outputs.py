import logging
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.agent.outputs import SINKS, Outputs, spool_folder
from collector.errors import ConfigError, VdbmonError
from collector.outputs.settings import FileSettings, InfluxSettings, OutputSettings
from collector.outputs.spool import Spool
from collector.projections.point import Point
from collector.settings import AgentSettings
from tests.support.wait import wait_until
from vdbmon.config import check_config

PATIENCE = 10.0
POINT = Point("m", (("host", "h"),), {"value": 1}, 5)


@pytest.fixture
def agent(tmp_path: Path) -> AgentSettings:
    return AgentSettings(buffer_directory=tmp_path / "spool", flush_interval=0.01)


@pytest.fixture
def opened() -> Iterator[list[Outputs]]:
    outputs: list[Outputs] = []
    yield outputs
    for one in outputs:
        one.close(PATIENCE)


def file_output(*files: Path, alias: str | None = None, metric_buffer_limit: int | None = None) -> FileSettings:
    return FileSettings(files=tuple(map(str, files)), alias=alias, metric_buffer_limit=metric_buffer_limit)


def test_every_sink_has_a_section() -> None:
    assert set(SINKS) == set(OutputSettings.__dataclass_fields__)


def test_points_go_to_every_file(tmp_path: Path, agent: AgentSettings) -> None:
    files = [tmp_path / "a", tmp_path / "b"]
    outputs = Outputs(agent, OutputSettings(file=(file_output(*files),)))
    outputs.start()
    outputs.put([POINT, POINT])
    outputs.close(PATIENCE)
    assert [path.read_text() for path in files] == ["m,host=h value=1i 5\n" * 2] * 2


def test_stdout(capfdbinary: pytest.CaptureFixture[bytes], agent: AgentSettings) -> None:
    outputs = Outputs(agent, OutputSettings(file=(file_output(Path("stdout")),)))
    outputs.start()
    outputs.put([POINT])
    outputs.close(PATIENCE)
    assert capfdbinary.readouterr().out == b"m,host=h value=1i 5\n"


def test_a_file_that_cannot_be_written_keeps_the_points(
    tmp_path: Path, agent: AgentSettings, opened: list[Outputs]
) -> None:
    outputs = Outputs(agent, OutputSettings(file=(file_output(tmp_path / "missing" / "file"),)))
    opened.append(outputs)
    outputs.start()
    outputs.put([POINT])

    def errors() -> int:
        (state,) = outputs.states().values()
        return state.errors

    wait_until(errors, deadline=PATIENCE, what="a failed write")
    (state,) = outputs.states().values()
    assert (state.up, state.queued, state.written) == (False, 1, 0)


def test_the_age_of_the_oldest_point(tmp_path: Path, agent: AgentSettings, opened: list[Outputs]) -> None:
    now = [100.0]
    outputs = Outputs(agent, OutputSettings(file=(file_output(tmp_path / "a"),)), clock=lambda: now[0])
    opened.append(outputs)
    outputs.put([POINT])
    now[0] = 160.0
    outputs.put([POINT])
    (state,) = outputs.states().values()
    assert (state.queued, state.queued_age) == (2, 60.0)
    assert state.queued_bytes > 0


def test_an_output_may_have_its_own_limits(tmp_path: Path, agent: AgentSettings, opened: list[Outputs]) -> None:
    small = file_output(tmp_path / "a", metric_buffer_limit=2)
    outputs = Outputs(agent, OutputSettings(file=(small, file_output(tmp_path / "b"))))
    opened.append(outputs)
    for _ in range(3):
        outputs.put([POINT])
    assert [state.queued for state in outputs.states().values()] == [2, 3]


def test_an_alias_names_the_output(tmp_path: Path, agent: AgentSettings, opened: list[Outputs]) -> None:
    outputs = Outputs(agent, OutputSettings(file=(file_output(tmp_path / "a", alias="local"),)))
    opened.append(outputs)
    assert list(outputs.states()) == ["local"]


def test_two_outputs_of_one_name_are_refused_and_leave_nothing_held(tmp_path: Path, agent: AgentSettings) -> None:
    twice = file_output(tmp_path / "a")
    with pytest.raises(ConfigError, match="two outputs are called"):
        Outputs(agent, OutputSettings(file=(twice, twice)))
    Outputs(agent, OutputSettings(file=(twice,))).close(PATIENCE)


def test_a_spool_has_one_agent(tmp_path: Path, agent: AgentSettings, opened: list[Outputs]) -> None:
    settings = OutputSettings(file=(file_output(tmp_path / "a"),))
    opened.append(Outputs(agent, settings))
    with pytest.raises(VdbmonError, match="another agent uses the spool"):
        Outputs(agent, settings)


def test_a_user_without_a_password_is_refused(agent: AgentSettings) -> None:
    settings = InfluxSettings(urls=("http://127.0.0.1:1",), username="writer")
    with pytest.raises(ConfigError, match="one of username and password_file"):
        Outputs(agent, OutputSettings(influxdb=(settings,)))


def test_a_spool_that_belongs_to_no_output_is_named(
    tmp_path: Path, agent: AgentSettings, opened: list[Outputs], caplog: pytest.LogCaptureFixture
) -> None:
    stranger = Spool(agent.buffer_directory / "old", limit=1000)
    stranger.put([b"m f=1i 5"])
    stranger.close()
    (agent.buffer_directory / "empty").mkdir()
    with caplog.at_level(logging.WARNING):
        opened.append(Outputs(agent, OutputSettings(file=(file_output(tmp_path / "a"),))))
    assert [record.getMessage() for record in caplog.records] == [
        f"spool {agent.buffer_directory / 'old'} belongs to no output; delete it if nobody misses what waits there"
    ]


def test_folders_are_told_apart_and_fit_a_file_system() -> None:
    names = ["influxdb:http://a:8086", "influxdb:http://a-8086", "x" * 300, "../../etc", "ünïcode ☃", "."]
    folders = [spool_folder(name) for name in names]
    assert len(set(folders)) == len(names)
    assert all("/" not in folder and len(folder) < 80 and not folder.startswith(".") for folder in folders)
    assert folders[0].startswith("influxdb-http-a-8086-")


def test_the_words_of_the_file() -> None:
    text = """
        [host]
        name = "h"
        [agent]
        flush_interval = "30s"
        flush_jitter = "5s"
        buffer_directory = "/srv/spool"
        buffer_disk_limit = "1GiB"
        [[outputs.influxdb]]
        urls = ["http://127.0.0.1:8086"]
        database = "telegraf"
        retention_policy = "month"
        metric_batch_size = 5000
        metric_buffer_limit = 10000
        buffer_disk_limit = "64MiB"
        [[outputs.file]]
        files = ["stdout"]
        data_format = "influx"
    """
    config = check_config(tomllib.loads(text), Path("vdbmon.toml"))
    assert (config.agent.flush_interval, config.agent.flush_jitter, config.agent.buffer_disk_limit) == (30, 5, 2**30)
    (influxdb,) = config.outputs.influxdb
    assert (influxdb.metric_batch_size, influxdb.metric_buffer_limit, influxdb.buffer_disk_limit) == (
        5000,
        10000,
        2**26,
    )
    assert influxdb.flush_interval is None, "the agent's"


def test_libraries_of_sinks_that_are_not_configured_are_not_loaded() -> None:
    code = "import sys, collector.agent.service; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"influxdb_client", "zabbix_utils"} & set(done.stdout.split())
