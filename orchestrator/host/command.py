"""Commands of the system that make and mount volumes; each ends or is given up."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence

from collector.errors import VdbmonError

_COMMAND_SECONDS = 60.0

RunCommand = Callable[[Sequence[str]], str]


def run_command(command: Sequence[str]) -> str:
    """Run a command; return what it printed.

    Raises:
        VdbmonError: `volume.command_failed`, it is missing, failed, or did not end in time.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_COMMAND_SECONDS)
    except FileNotFoundError:
        raise VdbmonError("volume.command_failed", f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise VdbmonError(
            "volume.command_failed", f"{' '.join(command)} did not end in {_COMMAND_SECONDS:g} s"
        ) from None
    if done.returncode:
        complaint = " ".join(done.stderr.split()) or "no message"
        raise VdbmonError("volume.command_failed", f"{' '.join(command)} failed ({done.returncode}): {complaint}")
    return done.stdout
