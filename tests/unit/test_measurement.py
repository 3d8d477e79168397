import contextlib
from pathlib import Path

import pytest

from collector.agent.config import AgentConfig
from collector.agent.measurement import Measurement
from collector.outputs.settings import OutputSettings
from collector.projections.prometheus import TextFormat
from collector.settings import AgentSettings, DockerSettings, InputSettings


def test_values_that_no_series_is_left_for_are_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Two containers of which nothing is known but the id have one name where their ids begin alike."""
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "mounts").write_text("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n")
    for last in "ab":
        folder = tmp_path / "cgroup" / "docker" / f"{'0' * 63}{last}"
        folder.mkdir(parents=True)
        (folder / "cgroup.procs").write_text("1\n")
        (folder / "memory.current").write_text("4096\n")
    agent = AgentSettings(procfs=tmp_path / "proc", cgroupfs=tmp_path / "cgroup", min_age=0.001)
    inputs = InputSettings(docker=DockerSettings(address=f"unix://{tmp_path}/none.sock", root=tmp_path))
    config = AgentConfig(host="h", agent=agent, inputs=inputs, outputs=OutputSettings(), global_tags={})
    with contextlib.closing(Measurement(config)) as measurement:
        for _ in range(2):
            text = measurement.scrape(TextFormat.PROMETHEUS)
    assert text.count(b"\ncontainer_memory_usage_bytes{") == 1
    assert [record.message for record in caplog.records if "/metrics" in record.message] == [
        "/metrics: 2 values left out: their series have others"
    ]
