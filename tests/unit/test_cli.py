import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from collector.errors import ConfigError
from vdbmon.commands.limits import app

VDBMON = (sys.executable, "-c", "from vdbmon.cli import main; main()")


def test_an_argument_that_is_no_utf8_is_one_line(tmp_path: Path) -> None:
    config = tmp_path / "vdbmon.toml"
    config.write_text(f'[host]\nname = "here"\n[ledger]\nurl = "sqlite:///{tmp_path}/ledger.db"\n')
    command = [*(word.encode() for word in VDBMON), b"explain", b"\x80", b"--config", bytes(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (2, "vdbmon: '\\udc80' is no text in utf-8\n")


@pytest.mark.parametrize("cpu", ["nan", "inf", "-1", "0"])
def test_limits_are_checked_before_anything_is_asked(cpu: str) -> None:
    said = CliRunner().invoke(app, ["set", "b1", "--cpu", cpu])
    assert isinstance(said.exception, ConfigError)
    assert "--cpu: " in str(said.exception)


def test_output_that_can_not_be_written_is_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*VDBMON, "agent", "metrics"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert (done.returncode, done.stderr) == (1, "vdbmon: No space left on device\n")
