"""The unit file as systemd itself reads and rates it."""

import re
import subprocess
import sys
from pathlib import Path

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "vdbmon-agent.service"
MOST_EXPOSED = 4.0  # of 10; below 5 systemd says OK


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=60)


def test_systemd_has_nothing_to_complain_of(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/usr/local/bin/vdbmon", str(Path(sys.executable).with_name("vdbmon"))))
    verified = analyze("verify", "--man=no", str(unit))
    complaints = [line for line in verified.stderr.splitlines() if UNIT.name in line]
    assert complaints == []
    assert verified.returncode == 0


def test_little_is_left_to_an_attacker() -> None:
    rated = analyze("security", "--offline=true", "--no-pager", str(UNIT))
    found = re.search(r"Overall exposure level for \S+: (\d+\.\d+)", rated.stdout)
    assert found, rated.stderr
    assert float(found[1]) <= MOST_EXPOSED


def test_it_starts_and_checks_the_same_file() -> None:
    commands = re.findall(r"^Exec\w+=/usr/local/bin/vdbmon (.*)$", UNIT.read_text(), re.MULTILINE)
    assert commands == [
        "agent run --config /etc/vdbmon/vdbmon.toml",
        "agent check-config --config /etc/vdbmon/vdbmon.toml",
    ]
