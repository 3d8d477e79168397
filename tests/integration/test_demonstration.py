"""The main job, end to end: what `make up` does, on free ports and a Docker daemon of the tests' own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.dockerd import OwnDockerd
from tests.support.servers import http_json
from tests.support.stack import OwnStack, write_stack
from vdbmon.config import Config, load_config

WRITE_LIMIT = 50e6


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, online_dockerd: OwnDockerd, backup_image: str
) -> Iterator[OwnStack]:
    """A stack whose demonstration has run; the image was built before so that only the demonstration is waited for."""
    assert backup_image
    own = write_stack(tmp_path_factory.mktemp("demonstration"), online_dockerd.address)
    try:
        yield own
    finally:
        own.command("rm", "demo-backup", "--volume")
        own.run("stack", "down")
        assert own.leftovers() == []


@pytest.fixture(scope="module")
def printed(stack: OwnStack) -> str:
    """What `vdbmon stack up` says."""
    up = stack.run("stack", "up")
    assert up.returncode == 0, up.stdout + up.stderr
    return up.stdout


@pytest.fixture(scope="module")
def config(stack: OwnStack) -> Config:
    return load_config(stack.layout.config)


def values(url: str, expression: str) -> list[float]:
    answer = http_json(f"{url}/api/v1/query?query={quote(expression)}")
    return [float(row["value"][1]) for row in answer["data"]["result"]]


def test_it_ends_with_the_decision_and_the_figures_of_the_backup(printed: str) -> None:
    assert "demo-backup: accepted" in printed
    assert "source.not_local" in printed
    assert re.search(r"raw +\d+\.\d MB", printed)
    assert re.search(r"sha256 +[0-9a-f]{64}", printed)
    assert re.search(r"position binlog\.\d+:\d+", printed)


@pytest.mark.usefixtures("printed")
def test_the_backups_series_are_in_both_stores(config: Config) -> None:
    assert values(
        config.prometheus.url, 'count_over_time(container_cpu_usage_seconds_total{name="demo-backup"}[10m])'
    ) >= [1.0]
    (far_end,) = config.outputs.influxdb_v2
    assert values(
        far_end.urls[0], 'count_over_time(docker_container_cpu_usage_total{container_name="demo-backup"}[10m])'
    ) >= [1.0]


@pytest.mark.usefixtures("printed")
def test_the_record_beside_the_backup_agrees_with_the_files(config: Config, stack: OwnStack) -> None:
    (launch,) = json.loads(stack.command("ps", "--json").stdout)
    (record_file,) = Path(config.volumes.dir).glob("demo-backup-*/*/record.json")
    record = json.loads(record_file.read_text())
    assert record["state"] == "done"
    assert (record_file.parent / "backup.xb.zst").stat().st_size == record["bytes_stored"]
    assert record["bytes_stored"] / record["seconds"] <= WRITE_LIMIT * 1.1
    assert (launch["record"]["name"], launch["record"]["state"]) == ("demo-backup", "done")


@pytest.mark.usefixtures("printed")
def test_a_container_that_does_not_fit_is_refused_with_the_figures(stack: OwnStack) -> None:
    refused = stack.command("place", "too-big", "--source", "demo", "--memory", "1TiB", "--json")
    assert refused.returncode == 3
    (here,) = [v for v in json.loads(refused.stdout)["decision"]["verdicts"] if v["host"] == "dr-host-01"]
    # A machine that is busy with tests may have more against it.
    (reason,) = [reason for reason in here["reasons"] if reason["code"] == "capacity.memory"]
    assert reason["needed"] - reason["free"] == reason["shortfall"] > 0


def test_a_second_run_replaces_the_first_backup(printed: str, stack: OwnStack, config: Config) -> None:
    again = stack.run("stack", "up")
    assert again.returncode == 0, again.stdout + again.stderr
    assert len(list(Path(config.volumes.dir).glob("demo-backup-*/"))) == 1
    assert re.findall(r"in +(\S+)", again.stdout)[-1] != re.findall(r"in +(\S+)", printed)[-1]


def test_down_leaves_the_backups_file_and_nothing_that_runs(printed: str, stack: OwnStack, config: Config) -> None:
    assert printed
    down = stack.run("stack", "down")
    assert down.returncode == 0, down.stdout + down.stderr
    assert stack.leftovers() == []
    assert str(stack.layout.state) not in Path("/proc/self/mounts").read_text()
    assert len(list(Path(config.volumes.dir).glob("demo-backup-*.img"))) == 1
