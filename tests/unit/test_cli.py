import subprocess
import sys
from pathlib import Path

VDBMON = (sys.executable, "-c", "from vdbmon.cli import main; main()")


def test_output_that_can_not_be_written_is_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*VDBMON, "agent", "metrics"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert (done.returncode, done.stderr) == (1, "vdbmon: No space left on device\n")
