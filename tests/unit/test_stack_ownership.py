"""Which processes are a stack's own, on real processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from vdbmon.stack.layout import Layout
from vdbmon.stack.ownership import SUPERVISOR_MODULE, own_supervisors

FORKS = "import os; os.fork() and print('forked', flush=True); os.read(0, 1)"


def test_a_program_that_was_forked_but_not_yet_executed_is_no_second_supervisor(tmp_path: Path) -> None:
    layout = Layout(state=tmp_path / "var", config=tmp_path / "vdbmon.toml")
    command = [sys.executable, "-c", FORKS, SUPERVISOR_MODULE, str(layout.supervisor_conf)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "forked\n"
        found = [process.pid for process in own_supervisors(layout)]
        parent.communicate()
    assert found == [parent.pid]
