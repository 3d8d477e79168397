"""Containers that end, and pids that come back, between two looks of an input: real cgroups and real processes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from collector.blockdevices import BlockDevices
from collector.cgroup.hierarchy import Hierarchy, detect_hierarchy
from collector.containers import ContainerIndex, Metadata
from collector.inputs import cgroup, process
from collector.inputs.cgroup import CgroupInput
from collector.inputs.network import NetworkInput
from collector.inputs.process import ProcessInput
from collector.kernelfile import SkippedLines
from collector.metrics import Metric, Sample
from collector.oom import OomKills
from collector.settings import DEFAULT_PROCESS_GROUPS
from tests.support.wait import wait_until

PROC = Path("/proc")
PATIENCE = 20.0


def by_metric(samples: list[Sample]) -> dict[tuple[Metric, tuple[str, ...]], float]:
    return {(sample.metric, sample.labels): sample.value for sample in samples}


class RealCgroup:
    """A cgroup that looks like a container's, in every hierarchy of this machine, with one sleeping process."""

    def __init__(self) -> None:
        self.hierarchy = detect_hierarchy((PROC / "self/mounts").read_text(), Path("/sys/fs/cgroup"))
        roots = {self.hierarchy.v2} if self.hierarchy.v2 else set(self.hierarchy.v1.values())
        self.parent = f"vdbmon-test-{os.getpid()}"
        self.id = f"{os.getpid():064x}"
        self.folders = [Path(f"{root}/{self.parent}/{self.id}") for root in roots]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> int:
        """Make the cgroup and put a new process into it; its pid."""
        for folder in self.folders:
            folder.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(["sleep", "600"])
        for folder in self.folders:
            (folder / "cgroup.procs").write_text(str(self.process.pid))
        return self.process.pid

    def end(self) -> None:
        """Kill the process and remove the cgroup, as Docker does when a container dies."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        for folder in self.folders:
            if folder.exists():
                wait_until(lambda folder=folder: _removed(folder), deadline=PATIENCE, what="the cgroup is empty")  # type: ignore[misc]

    def clean(self) -> None:
        """Leave nothing behind."""
        self.end()
        for folder in self.folders:
            if folder.parent.exists():
                folder.parent.rmdir()


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


@pytest.fixture
def container() -> Iterator[RealCgroup]:
    made = RealCgroup()
    try:
        yield made
    finally:
        made.clean()


@dataclass
class Inputs:
    """The container inputs, whose index knows only the test's container."""

    index: ContainerIndex
    cgroup: CgroupInput
    network: NetworkInput
    process: ProcessInput
    skipped: SkippedLines

    def gather(self) -> dict[tuple[Metric, tuple[str, ...]], float]:
        samples = [*self.cgroup.gather(), *self.network.gather(), *self.process.gather()]
        return {key: value for key, value in by_metric(samples).items() if "ours" in key[1]}


@pytest.fixture
def inputs(container: RealCgroup) -> Iterator[Inputs]:
    def metadata(key: str) -> Metadata:
        return Metadata("ours" if key == container.id else key, "image:1")

    skipped = SkippedLines()
    index = ContainerIndex(container.hierarchy, metadata)
    made = Inputs(
        index,
        CgroupInput(index, BlockDevices(PROC), OomKills(), skipped, lambda: 5.0),
        NetworkInput(index, PROC, skipped),
        ProcessInput(index, PROC, DEFAULT_PROCESS_GROUPS, skipped),
        skipped,
    )
    yield made
    made.cgroup.close()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_container_that_dies_between_list_and_read_leaves_no_reading(container: RealCgroup, inputs: Inputs) -> None:
    container.start()
    inputs.index.refresh()
    container.end()
    left = {metric for metric, _ in inputs.gather()}
    assert left <= {cgroup.LAST_SEEN, cgroup.OOM_EVENTS}, "nothing was measured of it"
    assert inputs.skipped.count == 0, "a file that is gone is no torn line"


def test_a_cgroup_removed_while_its_files_are_open_ends_and_comes_back(container: RealCgroup, inputs: Inputs) -> None:
    before = descriptors()
    container.start()
    inputs.index.refresh()
    assert inputs.gather()[cgroup.THREADS, ("ours", "image:1")] == 1
    assert descriptors() > before, "files are kept open"
    container.end()
    assert (cgroup.THREADS, ("ours", "image:1")) not in inputs.gather()
    container.start()
    inputs.index.refresh()
    assert inputs.gather()[cgroup.THREADS, ("ours", "image:1")] == 1, "the new cgroup of the same path is read"
    container.end()
    inputs.index.refresh()
    assert inputs.gather() == {}
    assert inputs.skipped.count == 0


# A pid namespace of its own, in which the next pid can be chosen without disturbing anybody (ns_last_pid).
FORKER = """
import os, signal, sys
for line in sys.stdin:
    word, ticks = line.split()
    open('/proc/sys/kernel/ns_last_pid', 'w').write('4999')
    pid = os.fork()
    if pid == 0:
        while sum(os.times()[:2]) < int(ticks) / 100: pass
        os.kill(os.getpid(), signal.SIGSTOP)
    os.waitpid(pid, os.WUNTRACED)
    print(pid, flush=True)
    sys.stdin.readline()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    print('ended', flush=True)
"""


class Forker:
    """Starts processes that all get the same pid, one after the other."""

    def __init__(self) -> None:
        command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, "-c", FORKER]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def say(self, words: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(words + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    @property
    def procfs(self) -> Path:
        """/proc of the namespace, seen through its first process."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return Path("/proc", children[0], "root", "proc")

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def forker() -> Iterator[Forker]:
    made = Forker()
    yield made
    made.close()


def test_a_pid_that_is_used_again_is_another_process(forker: Forker, tmp_path: Path) -> None:
    def put(name: str, pids: str) -> None:
        folder = tmp_path / "docker" / (name * 64)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cgroup.procs").write_text(pids)

    index = ContainerIndex(Hierarchy(tmp_path, {}), lambda key: Metadata(key[0], "image:1"))
    pid = forker.say("fork 60")
    source = ProcessInput(index, forker.procfs, DEFAULT_PROCESS_GROUPS, SkippedLines())

    def cpu(name: str) -> float:
        index.refresh()
        return by_metric(source.gather())[process.CPU, (name, "image:1", process.OTHER)]

    put("a", f"{pid}\n")
    first = cpu("a")
    assert 0.6 <= first < 1.0
    forker.say("end")
    assert forker.say("fork 20") == pid, "the same pid"
    again = cpu("a")
    assert first + 0.2 <= again < first + 0.5, "what the old process did stays, what the new one did is added"
    forker.say("end")
    assert forker.say("fork 10") == pid
    put("a", "")
    put("b", f"{pid}\n")
    assert 0.1 <= cpu("b") < 0.4, "another container's process starts at its own count"
