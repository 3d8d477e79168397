"""`vdbmon top` in a real terminal, on real agents and containers; one agent hangs, at one address nothing listens."""

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from docker.models.containers import Container

from collector import procfs
from tests.support.agent import VDBMON, Agent, run_container
from tests.support.disks import loop_disk
from tests.support.dockerd import own_dockerd
from tests.support.servers import free_port, process
from tests.support.terminal import TerminalProgram, in_terminal
from tests.support.wait import wait_until
from vdbmon.top.glyphs import ASCII, UTF8

PATIENCE = 30.0
BUSY, WRITER = "busy-backup", "writing-backup"
ENTER = b"\x1b[?1049h"
LEAVE = b"\x1b[?7h\x1b[?25h\x1b[?1049l"
WRITE_LIMIT = 2 * 2**20
COUNT_AND_WRITE = """
while :; do
    i=0; while [ $i -lt 10000 ]; do i=$((i + 1)); done
    dd if=/dev/zero of=/data/y bs=4k count=1 oflag=direct
done
"""


@dataclass
class Site:
    """A host with containers, a second agent of it that a test may stop, and an address without any."""

    busy: Container
    agent: Agent
    second: Agent
    second_process: subprocess.Popen[bytes]
    nobody: str

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{self.agent.port}", f"127.0.0.1:{self.second.port}", self.nobody]

    def command(self, *options: str, agents: int = 3) -> list[str]:
        """Sorted by writes: whatever else runs on the machine, these containers are on the first screen."""
        urls = (word for url in self.urls[:agents] for word in ("--agent", url))
        return [VDBMON, "top", "--sort", "write", *urls, *options]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("top")
    (folder / "second").mkdir()
    with contextlib.ExitStack() as stack:
        disk = stack.enter_context(loop_disk(folder))
        daemon = stack.enter_context(own_dockerd())
        busy = run_container(
            daemon,
            BUSY,
            *("sh", "-c", COUNT_AND_WRITE),
            network_mode="none",
            volumes=[f"{disk.point}:/data"],
            mem_limit="64m",
            nano_cpus=200_000_000,
        )
        run_container(
            daemon,
            WRITER,
            *("sh", "-c", "while :; do dd if=/dev/zero of=/data/x bs=64k count=256 oflag=direct; done"),
            network_mode="none",
            volumes=[f"{disk.point}:/data"],
            device_write_bps=[{"Path": disk.device, "Rate": WRITE_LIMIT}],
        )
        agents: list[Agent] = []
        started: list[subprocess.Popen[bytes]] = []
        for where in (folder, folder / "second"):
            agent = Agent(daemon, where)
            agent.config.write_text(agent.config.read_text().replace("testhost", where.name.replace("second", "db2")))
            command = [VDBMON, "agent", "run", "--config", str(agent.config)]
            started.append(stack.enter_context(process(command, agent.log)))
            agents.append(agent)
        for agent in agents:
            wait_until(
                lambda: agent.value("container_last_seen", name=WRITER),  # noqa: B023 - used at once
                deadline=PATIENCE,
                what="the containers are seen by name",
            )
        yield Site(busy, agents[0], agents[1], started[1], f"127.0.0.1:{free_port()}")


def row(program: TerminalProgram, name: str) -> str:
    """The line of a host or container; empty while it isn't shown."""
    return next((line for line in program.lines if line.split()[:1] == [name]), "")


def wait_for_row(program: TerminalProgram, name: str, pattern: str) -> re.Match[str]:
    return wait_until(
        lambda: re.search(pattern, row(program, name)), deadline=PATIENCE, what=f"{pattern!r} in the row of {name}"
    )


@pytest.mark.parametrize(("width", "height"), [(80, 24), (160, 50)])
def test_the_table_shows_use_against_limits_while_hosts_hang_and_are_gone(site: Site, width: int, height: int) -> None:
    with in_terminal(site.command("--interval", "1s"), width, height) as program:
        found = wait_for_row(program, BUSY, r"(0\.\d\d)/0\.2 .*?\d+% .*/64M")
        assert 0.0 < float(found[1]) < 0.3
        wait_for_row(program, WRITER, r" (1\.[5-9]|2\.[0-4])M/2\.0M")
        wait_for_row(program, site.nobody, "connection refused; never answered")
        os.kill(site.second_process.pid, signal.SIGSTOP)
        try:
            wait_for_row(program, "db2", r"no answer within 4 s; last answer \d+ s ago")
            before = program.lines[0][-8:]
            wait_until(lambda: program.lines[0][-8:] != before, deadline=PATIENCE, what="the display goes on")
            assert "3 hosts, 2 without answer" in program.lines[0]
            wait_for_row(program, BUSY, r"0\.\d\d/0\.2")
        finally:
            os.kill(site.second_process.pid, signal.SIGCONT)
        wait_until(lambda: "1 without answer" in program.lines[0], deadline=PATIENCE, what="it is back")
        assert all(len(line) <= width for line in program.lines)
        assert set(UTF8.levels) & set(program.text)
        wide = width > 100
        assert ("INSIDE" in program.text, "other 0." in row(program, BUSY)) == (wide, wide)
        program.type("q")
        assert program.end() == 0


def test_keys_select_filter_and_sort(site: Site) -> None:
    with in_terminal(site.command("--interval", "1s", agents=1)) as program:
        wait_for_row(program, BUSY, r"0\.\d\d/0\.2")
        program.type("/writ")
        wait_until(lambda: not row(program, BUSY), deadline=PATIENCE, what="the filter")
        assert row(program, WRITER)
        assert "filter: writ_" in program.lines[-1]
        program.type("\r\x1b[B\x1b[B")
        program.wait_for(f"{WRITER} on ")
        program.wait_for("inside: ")
        program.type("\x1b")
        wait_for_row(program, BUSY, "0")
        program.type("c")
        program.wait_for("by cpu")
        program.resize(160, 40)
        program.wait_for("INSIDE")
        program.resize(60, 12)
        wait_until(lambda: program.lines[1].split()[:1] == ["NAME"], deadline=PATIENCE, what="the narrow table")
        program.type("q")
        assert program.end() == 0


@pytest.mark.parametrize(
    ("how", "code"), [("q", 0), ("\x03", 0), (signal.SIGTERM, -signal.SIGTERM)], ids=["q", "Ctrl-C", "SIGTERM"]
)
def test_the_terminal_is_given_back(site: Site, how: str | signal.Signals, code: int) -> None:
    with in_terminal(site.command(agents=1)) as program:
        program.wait_for("vdbmon top")
        wait_until(lambda: program.modes_now != program.modes, deadline=PATIENCE, what="the terminal is taken")
        if isinstance(how, str):
            program.type(how)
        else:
            program.process.send_signal(how)
        assert program.end() == code
        assert program.modes_now == program.modes
        assert program.raw.endswith(LEAVE)


def test_the_terminal_is_given_back_after_a_crash() -> None:
    crash = "from vdbmon.top.terminal import Terminal\nwith Terminal():\n    raise RuntimeError('crash')"
    with in_terminal([sys.executable, "-c", crash]) as program:
        assert program.end() == 1
        assert program.modes_now == program.modes
        assert program.raw.index(LEAVE) < program.raw.index(b"RuntimeError: crash")


def test_the_terminal_is_given_back_while_the_program_is_stopped(site: Site) -> None:
    # The kernel stops only what a shell of the same session can continue.
    script = f"{shlex.join(site.command(agents=1))}; read -r _; fg %1; exit $?"
    with in_terminal(["bash", "-mc", script]) as program:
        program.wait_for("q quit")
        program.type("\x1a")
        wait_until(lambda: program.lines and LEAVE in program.raw, deadline=PATIENCE, what="Ctrl-Z gives it back")
        wait_until(lambda: program.modes_now == program.modes, deadline=PATIENCE, what="its modes")
        program.type("\r")
        wait_until(lambda: program.lines and program.raw.count(ENTER) == 2, deadline=PATIENCE, what="it goes on")
        program.type("q")
        assert program.end() == 0
        assert program.modes_now == program.modes


def test_the_first_frame_takes_less_than_a_second_of_cpu(site: Site) -> None:
    with in_terminal(site.command()) as program:
        program.wait_for("vdbmon top")
        stat = procfs.parse_stat(Path(f"/proc/{program.process.pid}/stat").read_bytes())
    assert stat is not None
    ticks = int(stat[1][procfs.UTIME]) + int(stat[1][procfs.STIME])
    assert ticks / os.sysconf("SC_CLK_TCK") < 1.0


def test_a_restarted_container_shows_no_absurd_rate(site: Site) -> None:
    with in_terminal(site.command("--interval", "500ms", agents=1)) as program:
        wait_for_row(program, BUSY, r"0\.\d\d/0\.2")
        site.busy.restart(timeout=0)
        shown = set()

        def restarted_and_measured() -> bool:
            found = re.search(r"([\d.]+|-)/0\.2", row(program, BUSY))
            now = found[1] if found else ""
            shown.add(now)
            return bool({"", "-"} & shown) and now not in {"", "-"}

        wait_until(restarted_and_measured, deadline=PATIENCE, what="a gap, and rates again", every=0.02)
        assert all(float(rate) < 0.5 for rate in shown - {"", "-"})


def test_without_a_terminal_one_table_is_printed(site: Site) -> None:
    def table() -> str | None:
        run = subprocess.run(
            site.command(), capture_output=True, text=True, timeout=60, check=True, env={**os.environ, "COLUMNS": "110"}
        )
        busy = next(line for line in run.stdout.splitlines() if BUSY in line)
        # On a busy machine the second question may be answered too late: then there are no rates.
        return run.stdout if re.search(r"0\.\d\d/0\.2 .*% .*/64M .*other 0\.\d\d", busy) else None

    text = wait_until(table, deadline=PATIENCE, what="a table with rates")
    first, headings, *_ = text.splitlines()
    assert first.startswith("vdbmon top  3 hosts, 1 without answer")
    assert headings.split() == ["HOST,", "CONTAINER", "CPU", "THR", "MEM", "READ", "WRITE", "IN", "OUT", "INSIDE"]
    assert "\x1b" not in text


def test_a_dumb_terminal_and_one_without_utf8_get_what_they_can_show(site: Site) -> None:
    with in_terminal(site.command("--filter", BUSY, agents=1), environment={"TERM": "dumb"}) as program:
        assert program.end(PATIENCE) == 0
        assert BUSY in program.text
        assert b"\x1b" not in program.raw
    with in_terminal(site.command("--interval", "1s", agents=1), environment={"LC_ALL": "C"}) as program:
        wait_for_row(program, BUSY, f"[{re.escape(ASCII.levels)}]{{2}}")
        assert program.text.isascii()


def test_json_has_the_figures_and_the_exit_code_says_whether_any_agent_answered(site: Site) -> None:
    run = subprocess.run(site.command("--json"), capture_output=True, text=True, timeout=60, check=True)
    hosts = {host["name"]: host for host in json.loads(run.stdout)["hosts"]}
    assert hosts[site.nobody]["problem"] == "connection refused"
    assert hosts["db2"]["problem"] is None
    busy = next(row for row in hosts["db2"]["containers"] if row["name"] == BUSY)
    assert busy["cpu"]["limit"] == pytest.approx(0.2)
    assert 0.0 < busy["cpu"]["used"] < 0.3
    assert busy["memory"]["limit"] == 64 * 2**20
    nobody = subprocess.run(
        [VDBMON, "top", "--once", "--agent", site.nobody], capture_output=True, text=True, timeout=60, check=False
    )
    assert nobody.returncode == 1
    assert "connection refused" in nobody.stdout
