"""Real commands that do what commands do: hang, fork, flood, leave children behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from collector.command import CommandError, run_command
from tests.support.wait import wait_until


def shell(script: str, *, timeout: float = 10.0, max_output: int = 1000) -> tuple[int, bytes, str]:
    result = run_command(["sh", "-c", script], timeout=timeout, max_output=max_output)
    return result.status, result.output, result.message


def gone(pid_file: Path) -> bool:
    """Whether the process whose number a script wrote is no more, or a zombie that nobody reaps."""
    try:
        return Path(f"/proc/{pid_file.read_text().strip()}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_output_status_and_last_complaint_are_given() -> None:
    assert shell("echo out; echo first >&2; echo last >&2; exit 3") == (3, b"out\n", "last")
    assert shell("kill -9 $$") == (-9, b"", "")
    assert shell("true") == (0, b"", "")


def test_nothing_of_the_agent_reaches_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "secret")
    status, output, _ = shell("env; pwd; cat; ls /proc/self/fd", max_output=10_000)
    assert status == 0
    assert b"secret" not in output
    assert b"PYTHONPATH" not in output
    assert output.endswith(b"\n/\n0\n1\n2\n3\n"), "its folder is the root; the last descriptor is ls's own"


def test_a_word_is_no_shell_command() -> None:
    result = run_command(["echo", "$HOME; `id` > /tmp/x"], timeout=10, max_output=1000)
    assert result.output == b"$HOME; `id` > /tmp/x\n"


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(CommandError, match="/no/such can't be started: No such file or directory"):
        run_command(["/no/such"], timeout=1, max_output=1)
    with pytest.raises(CommandError, match="can't be started: embedded null byte"):
        run_command(["a\0b"], timeout=1, max_output=1)


def test_a_command_that_hangs_is_killed_with_all_its_children(tmp_path: Path) -> None:
    script = (
        f"trap '' TERM; (trap '' TERM HUP; echo $$ >{tmp_path}/none; exec sleep 60) & echo $! >{tmp_path}/pid; wait"
    )
    with pytest.raises(CommandError) as caught:
        shell(script, timeout=1.0)
    assert (caught.value.code, caught.value.message) == ("command.timeout", "sh did not end in time")
    wait_until(lambda: gone(tmp_path / "pid"), deadline=10, what="the grandchild ends")


def test_a_child_left_behind_neither_delays_the_end_nor_lives_on(tmp_path: Path) -> None:
    began = time.monotonic()
    assert shell(f"sleep 60 & echo $! >{tmp_path}/pid; echo done") == (0, b"done\n", "")
    assert time.monotonic() - began < 5
    wait_until(lambda: gone(tmp_path / "pid"), deadline=10, what="the child ends")


AGENT_OF_A_TEST = """
import sys
from collector.command import run_command
run_command(["sh", "-c", sys.argv[1]], timeout=60, max_output=1000)
"""


@pytest.mark.parametrize("whole_group", [False, True], ids=["the agent", "its process group"])
def test_a_command_and_its_children_end_with_an_agent_that_is_killed(tmp_path: Path, *, whole_group: bool) -> None:
    script = (
        f"trap '' TERM HUP; (trap '' TERM HUP; exec sleep 60) & echo $! >{tmp_path}/child.new; "
        f"echo $$ >{tmp_path}/pid; mv {tmp_path}/child.new {tmp_path}/child; wait"
    )
    agent = subprocess.Popen([sys.executable, "-c", AGENT_OF_A_TEST, script], process_group=0)
    try:
        wait_until((tmp_path / "child").exists, deadline=20, what="the command runs")
    finally:
        os.kill(-agent.pid if whole_group else agent.pid, signal.SIGKILL)
        agent.wait(20)
    for name in ("child", "pid"):
        wait_until(lambda name=name: gone(tmp_path / name), deadline=10, what=f"{name} ends")  # type: ignore[misc]


def test_a_flood_is_cut(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="yes wrote more than 100000 bytes"):
        run_command(["yes"], timeout=30, max_output=100_000)
    assert shell(f"yes complaint | head -c 3000000 >&2; echo $$ >{tmp_path}/pid")[1:] == (b"", "complaint")


def test_a_command_that_stops_itself_is_ended() -> None:
    with pytest.raises(CommandError, match="did not end in time"):
        shell("kill -STOP $$", timeout=0.5)


def test_a_command_that_closes_its_output_is_waited_for(tmp_path: Path) -> None:
    assert shell(f"exec >&- 2>&-; sleep 0.3; touch {tmp_path}/ended; exit 4")[0] == 4
    assert (tmp_path / "ended").exists()


def test_no_descriptor_and_no_zombie_is_left() -> None:
    shell("true")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        shell("sleep 60 & true")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    states = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in children]
    assert "Z" not in states
