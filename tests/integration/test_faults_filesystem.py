"""A file system that hangs in the kernel, where SIGKILL ends no process: the agent goes on, and so does the next."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support import hanging_fs
from tests.support.servers import free_port, http_get, process
from tests.support.wait import wait_until

VDBMON = str(Path(sys.executable).with_name("vdbmon"))
PATIENCE = 20.0


def stat_of(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on; empty once it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def children_of(parent: int) -> list[int]:
    pids = [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]
    return [pid for pid in pids if stat_of(pid)[1:2] == [str(parent)]]


def only_child(pid: int) -> int | None:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else None


class Ward:
    """Namespaces with a file system that hangs, and agents in them."""

    def __init__(self, holder: subprocess.Popen[bytes], mount_point: Path, folder: Path) -> None:
        self.init = wait_until(lambda: only_child(holder.pid), deadline=PATIENCE, what="the namespaces")
        self.mount_point = str(mount_point)
        self.port = free_port()
        self.log = folder / "agent.log"
        self.config = folder / "vdbmon.toml"
        self.config.write_text(
            f'[host]\nname = "testhost"\n[agent]\nlisten = "127.0.0.1:{self.port}"\nmin_age = "10ms"\n'
            f'[inputs.docker]\naddress = "unix://{folder}/none.sock"\nroot = "{folder}/none"\ntimeout = "1s"\n'
        )

    def agent(self) -> AbstractContextManager[subprocess.Popen[bytes]]:
        namespaces = ["nsenter", f"--target={self.init}", "--mount", "--pid"]
        return process([*namespaces, VDBMON, "agent", "run", "--config", str(self.config)], self.log)

    def scrape(self) -> dict[str, list[tuple[dict[str, str], float]]]:
        text = http_get(f"http://127.0.0.1:{self.port}/metrics") or ""
        series: dict[str, list[tuple[dict[str, str], float]]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                series.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
        return series

    def seen_hanging(self) -> bool:
        errors = self.scrape().get("node_filesystem_device_error", [])
        return any(labels["mountpoint"] == self.mount_point and value == 1 for labels, value in errors)

    def root_has_a_size(self) -> bool:
        sizes = self.scrape().get("node_filesystem_size_bytes", [])
        return any(labels["mountpoint"] == "/" and value > 0 for labels, value in sizes)


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    mount_point = tmp_path / "hanging"
    mount_point.mkdir()
    unshared = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    log = tmp_path / "hanging.log"
    with process([*unshared, sys.executable, hanging_fs.__file__, str(mount_point)], log) as holder:
        wait_until(lambda: "mounted" in log.read_text(), deadline=PATIENCE, what="the file system is mounted")
        try:
            yield Ward(holder, mount_point, tmp_path)
        finally:
            holder.kill()  # unshare(1) takes no SIGTERM while its child runs
    assert str(mount_point) not in Path("/proc/self/mounts").read_text(), "it was never mounted outside"


def check_others_go_on(ward: Ward) -> None:
    series = ward.scrape()
    up = {labels["input"]: value for labels, value in series["vdbmon_input_up"]}
    assert up["cgroup"] == up["network"] == up["process"] == up["containers"] == 1
    wait_until(ward.root_has_a_size, deadline=PATIENCE, what="the size of another file system")
    assert series["node_memory_MemTotal_bytes"][0][1] > 0


def test_a_file_system_that_hangs_costs_only_itself_and_holds_no_port(ward: Ward) -> None:
    with ward.agent() as first:
        wait_until(ward.seen_hanging, deadline=PATIENCE, what="the file system is told to hang")
        check_others_go_on(ward)
        child = only_child(first.pid)
        assert child is not None
        askers = children_of(child)
        os.kill(child, signal.SIGKILL)
        first.wait(PATIENCE)
    for asker in askers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(asker, signal.SIGKILL)
    wait_until(
        lambda: any(stat_of(asker)[:1] == ["D"] for asker in askers),
        deadline=PATIENCE,
        what="one child is left, which SIGKILL does not end",
    )
    with ward.agent() as second:
        wait_until(ward.seen_hanging, deadline=PATIENCE, what="the next agent has the port and says the same")
        check_others_go_on(ward)
        child = only_child(second.pid)
        assert child is not None
        os.kill(child, signal.SIGTERM)
        assert second.wait(PATIENCE) == 0, ward.log.read_text()
