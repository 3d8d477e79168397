"""The unit files as systemd itself reads and rates them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
AGENT, SERVE = UNITS / "vdbmon-agent.service", UNITS / "vdbmon-serve.service"
MOST_EXPOSED = {AGENT: 4.0, SERVE: 7.0}
"""Of 10; below 5 systemd says OK. Serve mounts and unmounts volumes of the host, so it can't be shut in so far."""

unit_files = pytest.mark.parametrize("unit", [AGENT, SERVE], ids=["agent", "serve"])


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=60)


@unit_files
def test_systemd_has_nothing_to_complain_of(unit: Path, tmp_path: Path) -> None:
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/usr/local/bin/vdbmon", str(Path(sys.executable).with_name("vdbmon"))))
    verified = analyze("verify", "--man=no", str(copy))
    complaints = [line for line in verified.stderr.splitlines() if unit.name in line]
    assert complaints == []
    assert verified.returncode == 0


@unit_files
def test_little_is_left_to_an_attacker(unit: Path) -> None:
    rated = analyze("security", "--offline=true", "--no-pager", str(unit))
    found = re.search(r"Overall exposure level for \S+: (\d+\.\d+)", rated.stdout)
    assert found, rated.stderr
    assert float(found[1]) <= MOST_EXPOSED[unit]


@pytest.mark.parametrize(("unit", "command"), [(AGENT, "agent run"), (SERVE, "serve")], ids=["agent", "serve"])
def test_it_starts_and_checks_the_same_file(unit: Path, command: str) -> None:
    commands = re.findall(r"^Exec\w+=/usr/local/bin/vdbmon (.*)$", unit.read_text(), re.MULTILINE)
    assert commands == [
        f"{command} --config /etc/vdbmon/vdbmon.toml",
        "agent check-config --config /etc/vdbmon/vdbmon.toml",
    ]
