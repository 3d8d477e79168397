"""Mounts from lxcfs of made-up containers; files on the disk stand for those of lxcfs."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.cgroup.hierarchy import Hierarchy
from collector.child import ChildPool
from collector.containers import ContainerIndex, Metadata
from collector.inputs import lxcfs
from collector.inputs.lxcfs import LxcfsInput
from collector.kernelfile import SkippedLines
from collector.metrics import Metric
from collector.statvfs import FILESYSTEM_CHILD
from tests.support.wait import wait_until

Values = dict[tuple[Metric, tuple[str, ...]], float]
PATIENCE = 15.0


class Host:
    def __init__(self, folder: Path) -> None:
        device = folder.stat().st_dev
        self.disk = f"{os.major(device)}:{os.minor(device)}"
        self.procfs = folder / "proc"
        self.procfs.mkdir()
        self.with_fuse()
        self.cgroups = folder / "cgroup"
        self.cgroups.mkdir()
        self.metadata: dict[str, Metadata] = {}
        self.index = ContainerIndex(Hierarchy(self.cgroups, {}), self.metadata.get)
        self.children = ChildPool(FILESYSTEM_CHILD, deadline=PATIENCE, limit=1)
        self.input = LxcfsInput(
            self.index, procfs=self.procfs, children=self.children, skipped=SkippedLines(), clock=lambda: 1000.0
        )

    def with_fuse(self, *, there: bool = True) -> None:
        (self.procfs / "filesystems").write_text("nodev\tproc\n" + "nodev\tfuse\n" * there)

    def container(self, name: str, pid: int, *mounts: tuple[str, str, str], fstype: str = "fuse.lxcfs") -> Path:
        """A container with mounts of number, root and point; gives its root."""
        key = f"{pid:064x}"
        self.metadata[key] = Metadata(name, "image:1", pid=pid)
        (self.cgroups / "docker" / key).mkdir(parents=True)
        (self.cgroups / "docker" / key / "cgroup.procs").write_text(f"{pid}\n")
        root = self.procfs / str(pid) / "root"
        (root / "proc").mkdir(parents=True)
        lines = [f"9 1 {number} {where} {point} rw - {fstype} lxcfs rw\n" for number, where, point in mounts]
        (self.procfs / str(pid) / "mountinfo").write_text("8 1 8:1 / / rw - ext4 /dev/x rw\n" + "".join(lines))
        self.index.refresh()
        return root

    def gather(self) -> Values:
        self.input.gather()
        wait_until(lambda: self.input._reading.result, deadline=PATIENCE, what="the round")
        return {(sample.metric, sample.labels): sample.value for sample in self.input.gather()}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.children.close()


def meminfo(number: str) -> tuple[str, str, str]:
    return number, "/proc/meminfo", "/proc/meminfo"


DB = ("db", "image:1")


def test_files_that_can_be_read_are_healthy(host: Host) -> None:
    root = host.container("db", 11, meminfo(host.disk), (host.disk, "/proc/stat", "/proc/stat"))
    (root / "proc/meminfo").write_text("MemTotal: 1 kB\n")
    values = host.gather()
    assert values == {(lxcfs.LAST_READ, ()): 1000.0, (lxcfs.MOUNTS, DB): 2, (lxcfs.HEALTHY, DB): 1}


def test_nothing_is_said_where_no_container_has_lxcfs(host: Host) -> None:
    host.container("db", 11, meminfo(host.disk), fstype="fuse.sshfs")
    assert host.gather() == {}


def test_mounts_are_not_even_read_where_the_kernel_has_no_fuse(host: Host) -> None:
    host.container("db", 11, meminfo(host.disk))
    host.with_fuse(there=False)
    assert host.gather() == {}


def test_a_file_that_cannot_be_read_is_not_healthy(host: Host) -> None:
    host.container("db", 11, meminfo(host.disk))
    assert host.gather()[lxcfs.HEALTHY, DB] == 0


def test_a_link_that_a_container_put_there_is_not_followed_and_says_nothing(host: Host, tmp_path: Path) -> None:
    root = host.container("db", 11, meminfo(host.disk))
    (tmp_path / "secret").write_text("of the host")
    (root / "proc/meminfo").symlink_to(tmp_path / "secret")
    values = host.gather()
    assert values[lxcfs.MOUNTS, DB] == 1
    assert (lxcfs.HEALTHY, DB) not in values


def test_a_file_of_another_filesystem_is_not_taken_for_lxcfs(host: Host) -> None:
    root = host.container("db", 11, meminfo("0:4095"))
    (root / "proc/meminfo").write_text("MemTotal: 1 kB\n")
    assert (lxcfs.HEALTHY, DB) not in host.gather()


def test_a_container_is_healthy_if_each_lxcfs_behind_it_is(host: Host) -> None:
    root = host.container("db", 11, meminfo(host.disk))
    (root / "proc/meminfo").write_text("MemTotal: 1 kB\n")
    host.container("same", 12, meminfo(host.disk))
    host.container("two", 13, (host.disk, "/proc/stat", "/proc/stat"), meminfo("0:4095"))
    healthy = {labels[0]: value for (metric, labels), value in host.gather().items() if metric is lxcfs.HEALTHY}
    assert healthy == {"db": 1, "same": 1, "two": 0}


def test_a_folder_of_cpus_is_asked_by_a_file_in_it(host: Host) -> None:
    root = host.container("db", 11, (host.disk, "/sys/devices/system/cpu", "/cpus"))
    (root / "cpus").mkdir()
    (root / "cpus/online").write_text("0\n")
    assert host.gather()[lxcfs.HEALTHY, DB] == 1


def test_a_container_that_ended_says_nothing_any_more(host: Host) -> None:
    host.container("db", 11, meminfo(host.disk))
    host.gather()
    (host.cgroups / "docker" / f"{11:064x}" / "cgroup.procs").write_text("")
    host.index.refresh()
    assert list(host.gather()) == [(lxcfs.LAST_READ, ())]
