import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.cgroup.hierarchy import Hierarchy, detect_hierarchy
from collector.containers import ContainerIndex, Metadata
from collector.inputs import network, process
from collector.inputs.containers import INFO, RUNNING, UNNAMED, ContainersInput
from collector.inputs.network import NetworkInput
from collector.inputs.process import CONTAINER_FDS, CONTAINER_PROCESSES, Grouping, ProcessInput
from collector.kernelfile import SkippedLines
from collector.metrics import Metric, Sample
from collector.netdev import parse_net_dev
from collector.procfs import parse_open_files_limit, parse_stat, read_command_line
from collector.settings import DEFAULT_PROCESS_GROUPS, ProcessGroup

RECORDED = Path(__file__).parents[1] / "fixtures" / "cgroup2"

NET_DEV = b"""\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier
    lo:  100 1 0 0 0 0 0 0 100 1 0 0 0 0 0 0
  eth0: 2000 20 1 2 0 0 0 0 3000 30 3 4 0 0 0 0
  torn: 2000 20
"""


def groups(*names: str) -> list[ProcessGroup]:
    return [ProcessGroup(name=name, exe=re.compile(name)) for name in names]


def by_metric(samples: list[Sample]) -> dict[tuple[Metric, tuple[str, ...]], float]:
    return {(sample.metric, sample.labels): sample.value for sample in samples}


class Host:
    """A tree of /proc and cgroups with containers of one process each, all in namespaces of the test's choice."""

    def __init__(self, folder: Path) -> None:
        self.procfs = folder / "proc"
        self.cgroups = folder / "cgroup"
        self.metadata: dict[str, Metadata] = {}
        self.index = ContainerIndex(Hierarchy(self.cgroups, {}), self.metadata.get)
        self.process(1, "systemd", namespace="net:[1]")

    def process(self, pid: int, command: str, *, namespace: str, cpu_ticks: int = 0, read: int = 0) -> None:
        folder = self.procfs / str(pid)
        (folder / "net").mkdir(parents=True, exist_ok=True)
        (folder / "ns").mkdir(exist_ok=True)
        (folder / "fd").mkdir(exist_ok=True)
        (folder / "ns/net").unlink(missing_ok=True)
        (folder / "ns/net").symlink_to(namespace)
        (folder / "net/dev").write_bytes(NET_DEV)
        fields = ["S", "0", *["0"] * 9, str(cpu_ticks), "0", "0", "0", "20", "0", "3", "0", "500", "0", "10", "0"]
        (folder / "stat").write_text(f"{pid} ({command}) {' '.join(fields)}\n")
        (folder / "io").write_text(f"rchar: 1\nread_bytes: {read}\nwrite_bytes: 0\n")

    def container(self, name: str, *pids: int, network_mode: str = "bridge") -> None:
        key = f"{len(self.metadata):064x}"
        self.metadata[key] = Metadata(name, "image:1", pid=pids[0], network_mode=network_mode)
        folder = self.cgroups / "docker" / key
        folder.mkdir(parents=True)
        (folder / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))
        self.index.refresh()


def test_interfaces_are_counted_and_a_torn_line_costs_only_itself() -> None:
    skipped = SkippedLines()
    assert parse_net_dev(NET_DEV, skipped) == {
        "lo": (100, 1, 0, 0, 0, 0, 0, 0, 100, 1, 0, 0, 0, 0, 0, 0),
        "eth0": (2000, 20, 1, 2, 0, 0, 0, 0, 3000, 30, 3, 4, 0, 0, 0, 0),
    }
    assert skipped.count == 1


def test_a_shared_namespace_is_counted_once_for_its_owner_and_the_hosts_never(tmp_path: Path) -> None:
    host = Host(tmp_path)
    for pid, namespace in ((10, "net:[7]"), (11, "net:[7]"), (12, "net:[1]")):
        host.process(pid, "app", namespace=namespace)
    host.container("a-borrower", 11, network_mode="container:owner")
    host.container("owner", 10)
    host.container("on-host", 12, network_mode="host")
    values = by_metric(NetworkInput(host.index, host.procfs, SkippedLines()).gather())
    received = {labels[0]: value for (metric, labels), value in values.items() if metric is network.RECEIVE_BYTES}
    shared = {(labels[0], labels[2]) for metric, labels in values if metric is network.NETNS_SHARED}
    assert received == {"owner": 2000}
    assert shared == {("a-borrower", "container"), ("on-host", "host")}


def test_a_process_that_ended_costs_nothing_but_itself(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.process(10, "mariadbd", namespace="net:[7]")
    host.container("db", 10, 99)
    values = by_metric(ProcessInput(host.index, host.procfs, groups("mariadbd"), SkippedLines()).gather())
    assert values[process.COUNT, ("db", "image:1", "mariadbd")] == 1
    assert NetworkInput(host.index, host.procfs, SkippedLines()).gather()


def test_group_counters_never_run_backwards_when_a_process_ends(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.process(10, "zstd", namespace="net:[7]", cpu_ticks=1000, read=5000)
    host.process(11, "zstd", namespace="net:[7]", cpu_ticks=200, read=100)
    host.container("db", 10, 11)
    source = ProcessInput(host.index, host.procfs, groups("zstd"), SkippedLines())
    labels = ("db", "image:1", "zstd")
    first = by_metric(source.gather())
    assert (first[process.CPU, labels], first[process.READ_BYTES, labels]) == (12.0, 5100)
    (host.cgroups / "docker" / f"{0:064x}" / "cgroup.procs").write_text("11\n")
    host.process(11, "zstd", namespace="net:[7]", cpu_ticks=300, read=300)
    host.index.refresh()
    second = by_metric(source.gather())
    assert (second[process.COUNT, labels], second[process.CPU, labels]) == (1, 13.0)
    assert second[process.READ_BYTES, labels] == 5300


def test_processes_of_a_container_in_which_nothing_ran_are_not_read_again(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.process(10, "zstd", namespace="net:[7]", cpu_ticks=1000)
    host.container("db", 10)
    clock = host.cgroups / "docker" / f"{0:064x}" / "cpu.stat"
    clock.write_text("usage_usec 10000000\n")
    source = ProcessInput(host.index, host.procfs, groups("zstd"), SkippedLines())
    labels = ("db", "image:1", "zstd")

    def cpu() -> float:
        host.index.refresh()
        return by_metric(source.gather())[process.CPU, labels]

    assert cpu() == 10.0
    host.process(10, "zstd", namespace="net:[7]", cpu_ticks=1100)
    assert cpu() == 10.0, "the clock says that nothing ran"
    clock.write_text("usage_usec 11000000\n")
    assert cpu() == 11.0
    clock.unlink()
    host.index.close()  # and with it the open clock
    host.process(10, "zstd", namespace="net:[7]", cpu_ticks=1200)
    assert cpu() == 12.0, "without a clock all is read"


def test_members_of_a_container_in_which_nothing_ran_stay_and_their_list_stays_open(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.container("db", 10)
    folder = host.cgroups / "docker" / f"{0:064x}"
    (folder / "cpu.stat").write_text("usage_usec 10\n")
    host.index.refresh()
    (folder / "cgroup.procs").write_text("10\n11\n")
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        (container,) = host.index.refresh()
        assert container.pids == (10,)
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    (folder / "cpu.stat").write_text("usage_usec 20\n")
    (container,) = host.index.refresh()
    assert container.pids == (10, 11)


def test_a_command_with_parentheses_and_spaces_is_read_whole() -> None:
    stat = b"7 (a) (b c) S " + b"0 " * 30 + b"\n"
    parsed = parse_stat(stat)
    assert parsed is not None
    assert parsed[0] == "a) (b c"


@given(st.binary(max_size=200))
def test_hostile_files_raise_nothing(data: bytes) -> None:
    parse_stat(data)
    parse_open_files_limit(data)
    parse_net_dev(data, SkippedLines())


def test_recorded_processes_are_read() -> None:
    root = RECORDED / "t1"
    hierarchy = detect_hierarchy((root / "proc/mounts").read_text(), root / "sys/fs/cgroup")
    index = ContainerIndex(hierarchy, lambda key: Metadata(key[:2], "image:1"))
    index.refresh()
    skipped = SkippedLines()
    values = by_metric(ProcessInput(index, root / "proc", groups("python3"), skipped).gather())
    assert values[process.COUNT, ("b2", "image:1", "python3")] >= 1
    assert values[process.OLDEST_START, ("b2", "image:1", "python3")] > 0
    assert skipped.count == 0


def test_identity_stands_in_the_info_series_only(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.process(10, "mariadbd", namespace="net:[7]")
    host.container("db", 10)
    values = by_metric(ContainersInput(host.index).gather())
    assert values[INFO, ("db", "image:1", f"{0:064x}", "10", "", "", "")] == 1
    assert values[RUNNING, ()] == 1
    assert values[UNNAMED, ()] == 0


@pytest.mark.parametrize(
    ("command", "group"),
    [
        ("mariadbd", "mariadbd"),
        ("mysqld", "mysqld"),
        ("mysqld_exporter", "other"),
        ("mariabackup", "mariadb-backup"),
        ("mariadb-backup", "mariadb-backup"),
        ("xtrabackup", "xtrabackup"),
        ("sshd-session", "sshd"),
        ("mydumper", "mydumper"),
        ("mysqldump", "mysqldump"),
        ("sh", "other"),
    ],
)
def test_the_default_groups_know_the_tools_of_the_trade(command: str, group: str) -> None:
    assert Grouping(DEFAULT_PROCESS_GROUPS).match(command, lambda: "") == group


def test_a_command_line_is_asked_once_for_what_no_name_tells(tmp_path: Path) -> None:
    host = Host(tmp_path)
    command_line = host.procfs / "10/cmdline"
    host.process(10, "python3", namespace="net:[7]")
    command_line.write_bytes(b"python3\0-m\0runner\0backup\0")
    host.container("db", 10)
    runner = ProcessGroup(name="runner", pattern=re.compile(r"python3 -m runner\b"))
    source = ProcessInput(host.index, host.procfs, [*groups("mariadbd"), runner], SkippedLines())

    def group() -> str:
        return next(labels[2] for metric, labels in by_metric(source.gather()) if metric is process.COUNT)

    assert group() == "runner"
    command_line.write_bytes(b"python3\0other.py\0-m\0runner\0")
    host.process(10, "python3", namespace="net:[7]", cpu_ticks=5)
    assert group() == "runner", "it is not asked again"
    stat = host.procfs / "10/stat"
    stat.write_text(stat.read_text().replace(" 500 ", " 900 "))
    assert group() == "other", "the pid is another process's"
    host.process(10, "mariadbd", namespace="net:[7]")
    assert group() == "mariadbd", "it called exec"


def test_a_group_without_any_expression_is_refused() -> None:
    with pytest.raises(ValueError, match="neither exe nor pattern"):
        ProcessGroup(name="all")


def test_a_reused_pid_is_a_new_process(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.process(10, "zstd", namespace="net:[7]", cpu_ticks=1000, read=5000)
    host.container("db", 10)
    source = ProcessInput(host.index, host.procfs, groups("zstd"), SkippedLines())
    labels = ("db", "image:1", "zstd")
    source.gather()
    stat = host.procfs / "10/stat"
    host.process(10, "zstd", namespace="net:[7]", cpu_ticks=100, read=50)
    stat.write_text(stat.read_text().replace(" 500 ", " 900 "))
    second = by_metric(source.gather())
    assert (second[process.CPU, labels], second[process.READ_BYTES, labels]) == (11.0, 5050)


def test_a_torn_stat_neither_loses_a_process_nor_counts_it_twice(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.process(10, "zstd", namespace="net:[7]", cpu_ticks=1000)
    host.container("db", 10)
    skipped = SkippedLines()
    source = ProcessInput(host.index, host.procfs, groups("zstd"), skipped)
    stat = host.procfs / "10/stat"
    whole = stat.read_text()
    seen = []
    for text in (whole, whole[:30], whole):
        stat.write_text(text)
        seen.append(by_metric(source.gather())[process.CPU, ("db", "image:1", "zstd")])
    assert seen == [10.0, 10.0, 10.0]
    assert skipped.count == 1


def test_what_may_not_be_read_is_absent_and_the_container_is_counted_whole(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.process(10, "mariadbd", namespace="net:[7]")
    host.process(11, "sh", namespace="net:[7]")
    (host.procfs / "11/io").unlink()
    (host.procfs / "11/fd").rmdir()
    (host.procfs / "10/fd/0").write_text("")
    host.container("db", 10, 11)
    values = by_metric(ProcessInput(host.index, host.procfs, groups("mariadbd"), SkippedLines()).gather())
    assert values[CONTAINER_PROCESSES, ("db", "image:1")] == 2
    assert (CONTAINER_FDS, ("db", "image:1")) not in values
    assert (process.READ_BYTES, ("db", "image:1", "other")) not in values
    assert (process.READ_BYTES, ("db", "image:1", "mariadbd")) in values


def test_a_command_line_is_read_bounded_and_as_text(tmp_path: Path) -> None:
    (tmp_path / "cmdline").write_bytes(b"python3\0-m\0runner\xff\0" + b"x" * 5000)
    line = read_command_line(tmp_path)
    assert line.startswith("python3 -m runner\ufffd x")
    assert len(line) <= 512
    assert read_command_line(tmp_path / "gone") == ""


def test_the_limit_of_open_files() -> None:
    limits = b"Limit  Soft  Hard  Units\nMax open files            1024                 524288               files\n"
    assert parse_open_files_limit(limits) == 1024
    assert parse_open_files_limit(limits.replace(b"1024", b"unlimited")) is None
    assert parse_open_files_limit(b"Max open files\n") is None
