"""The files: the same bytes everywhere, the committed ones up to date, and `build` and `--check` tell the truth."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dashboards.generated import dashboard_files
from dashboards.spec import Source
from dashboards.targets import PROVISIONED
from vdbmon.stack.render import SCRAPE_INTERVAL

GRAFANA = Path(__file__).parents[2] / "deploy/grafana"


def vdbmon(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from vdbmon.cli import main; main()", "dashboards", "build", *arguments]
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
    assert sorted(path.name for path in built.iterdir()) == sorted(dashboard_files())
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
    prometheus, victoria = document["datasources"]
    assert (prometheus["uid"], prometheus["isDefault"]) == (PROVISIONED[Source.PROMETHEUS], True)
    assert prometheus["jsonData"]["timeInterval"] == SCRAPE_INTERVAL
    assert victoria["uid"] != prometheus["uid"]
    assert "jsonData" in victoria


def test_one_provider_serves_the_dashboards_and_keeps_them_from_being_edited() -> None:
    document = yaml.safe_load((GRAFANA / "provisioning/dashboards/vdbmon.yaml").read_text())
    (provider,) = document["providers"]
    assert (provider["type"], provider["allowUiUpdates"]) == ("file", False)
