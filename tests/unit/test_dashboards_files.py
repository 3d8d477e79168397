"""The files: the same bytes everywhere, the committed ones up to date, and `build` and `--check` tell the truth."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from collector.settings import AgentSettings
from dashboards.generated import all_dashboards, dashboard_files, folder_files
from dashboards.page import dashboards_page
from dashboards.spec import Source
from dashboards.targets import PROVISIONED
from vdbmon.stack.render import SCRAPE_INTERVAL

GRAFANA = Path(__file__).parents[2] / "deploy/grafana"


def vdbmon(*arguments: str) -> subprocess.CompletedProcess[str]:
    return dashboards("build", *arguments)


def dashboards(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from vdbmon.cli import main; main()", "dashboards", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def built(tmp_path: Path) -> Path:
    folder = tmp_path / "new" / "dashboards"
    result = vdbmon("-o", str(folder))
    assert (result.returncode, result.stderr) == (0, "")
    return folder


def test_committed_files_are_those_of_the_generator() -> None:
    result = vdbmon("-o", str(GRAFANA / "dashboards"), "--check")
    assert (result.returncode, result.stderr) == (0, "")


def test_bytes_do_not_depend_on_the_hash_seed() -> None:
    code = (
        "import hashlib; from dashboards.generated import dashboard_files;"
        "print(hashlib.sha256(b''.join(dashboard_files().values())).hexdigest())"
    )
    here = hashlib.sha256(b"".join(dashboard_files().values())).hexdigest()
    for seed in ("1", "4242"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        output = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True, timeout=60)
        assert output.strip() == here


def test_files_end_with_a_newline_and_hold_keys_in_order() -> None:
    for content in dashboard_files().values():
        lines = content.decode().splitlines()
        assert content.endswith(b"}\n")
        top = [line for line in lines if line.startswith('  "')]
        assert top == sorted(top)


def test_build_writes_what_check_accepts(built: Path) -> None:
    assert sorted(path.name for path in built.iterdir()) == sorted(folder_files())
    assert vdbmon("-o", str(built), "--check").returncode == 0


def test_check_names_each_file_that_differs_is_missing_or_is_left_over(built: Path) -> None:
    (built / "vdbmon-host.json").unlink()
    (built / "vdbmon-fleet.json").write_text("{}")
    (built / "vdbmon-old.json").write_text("{}")
    (built / "somebody-elses.json").write_text("{}")
    result = vdbmon("-o", str(built), "--check")
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert len(lines) == 3
    for name, words in {"fleet": "differs", "host": "is missing", "old": "is left over"}.items():
        assert any(f"vdbmon-{name}.json {words}; " in line for line in lines)
    assert (built / "vdbmon-fleet.json").read_text() == "{}"
    assert not (built / "vdbmon-host.json").exists()


def test_a_folder_that_cannot_be_is_one_line_and_not_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = vdbmon("-o", str(tmp_path / "file" / "below"))
    assert result.returncode == 1
    assert result.stderr.startswith("vdbmon: can't write ")
    assert len(result.stderr.splitlines()) == 1


def test_provisioned_data_sources_have_fixed_uids_and_know_the_scrape_interval() -> None:
    document = yaml.safe_load((GRAFANA / "provisioning/datasources/vdbmon.yaml").read_text())
    prometheus, victoria, influxdb = document["datasources"]
    assert (prometheus["uid"], prometheus["isDefault"]) == (PROVISIONED[Source.PROMETHEUS], True)
    assert prometheus["jsonData"]["timeInterval"] == SCRAPE_INTERVAL
    assert victoria["uid"] != prometheus["uid"]
    assert "jsonData" in victoria
    assert (influxdb["uid"], influxdb["type"]) == (PROVISIONED[Source.INFLUXDB], "influxdb")
    assert influxdb["jsonData"]["version"] == "InfluxQL"
    assert influxdb["jsonData"]["timeInterval"] == f"{AgentSettings().interval:g}s"


def test_one_provider_serves_the_dashboards_and_keeps_them_from_being_edited() -> None:
    document = yaml.safe_load((GRAFANA / "provisioning/dashboards/vdbmon.yaml").read_text())
    (provider,) = document["providers"]
    assert (provider["type"], provider["allowUiUpdates"]) == ("file", False)


def test_check_has_no_findings_in_what_is_delivered() -> None:
    for words in ((), (str(GRAFANA / "dashboards"),)):
        result = dashboards("check", *words)
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout == f"{len(dashboard_files())} dashboards, no findings\n"


def test_check_names_each_finding_in_a_line_and_fails(built: Path) -> None:
    path = built / "vdbmon-host.json"
    path.write_text(path.read_text().replace("node_load1{", "node_load1_total{"))
    result = dashboards("check", str(built))
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("vdbmon-host.json: panel Runnable and blocked tasks, query C: node_load1_total is a counter")


def test_check_of_an_empty_folder_is_one_line_and_not_a_traceback(tmp_path: Path) -> None:
    result = dashboards("check", str(tmp_path))
    assert result.returncode == 1
    assert "holds no *.json" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_committed_page_has_a_line_for_every_panel() -> None:
    page = (GRAFANA.parents[1] / "docs/dashboards.md").read_text()
    assert page == dashboards_page(all_dashboards())
    assert page == dashboards("list").stdout
    panels = sum(1 for dashboard in all_dashboards() for _ in dashboard.panels())
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert len(rows) == panels + len(all_dashboards())  # each table has a head
