"""Volumes of made-up containers on real folders; a stopped child stands for a filesystem that hangs."""

import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from collector.cgroup.hierarchy import Hierarchy
from collector.child import ChildPool
from collector.containers import ContainerIndex, ContainerMount, Metadata
from collector.diskusage import DiskUsage
from collector.inputs import volume
from collector.inputs.volume import VolumeInput
from collector.kernelfile import SkippedLines
from collector.metrics import Metric
from collector.statvfs import FILESYSTEM_CHILD
from tests.support.wait import wait_until

Values = dict[tuple[Metric, tuple[str, ...]], float]
PATIENCE = 15.0
DATA = ("db", "image:1", "/data")


def device_of(path: Path) -> str:
    device = path.stat().st_dev
    return f"{os.major(device)}:{os.minor(device)}"


class Host:
    """Containers whose mounts the test decides; folders are real ones on the disk below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.disk = device_of(folder)
        self.procfs = folder / "proc"
        self.cgroups = folder / "cgroup"
        (self.procfs / "self").mkdir(parents=True)
        self.cgroups.mkdir()
        self.mounted("self", (self.disk, "/", "/", "ext4"))
        self.metadata: dict[str, Metadata] = {}
        self.index = ContainerIndex(Hierarchy(self.cgroups, {}), self.metadata.get)
        self.children = ChildPool(FILESYSTEM_CHILD, deadline=1.5, limit=2)
        self.skipped = SkippedLines()
        self.input = self.new_input()

    def new_input(self, *du: str) -> VolumeInput:
        return VolumeInput(
            self.index,
            procfs=self.procfs,
            docker_root=lambda: self.folder / "docker",
            children=self.children,
            disk_usage=DiskUsage(du, every=600.0, budget=PATIENCE),
            skipped=self.skipped,
            clock=lambda: 1000.0,
        )

    def mounted(self, process: str, *mounts: tuple[str, str, str, str], options: str = "rw") -> None:
        """Write a mountinfo: number, root, mount point and type of each."""
        lines = [
            f"{line} 1 {number} {root} {point} rw - {kind} /dev/x {options}\n"
            for line, (number, root, point, kind) in enumerate(mounts)
        ]
        (self.procfs / process).mkdir(exist_ok=True)
        (self.procfs / process / "mountinfo").write_text("".join(lines))

    def container(self, name: str, pid: int, *mounts: ContainerMount) -> Path:
        key = f"{pid:064x}"
        self.metadata[key] = Metadata(name, "image:1", pid=pid, mounts=mounts)
        cgroup = self.cgroups / "docker" / key
        cgroup.mkdir(parents=True)
        (cgroup / "cgroup.procs").write_text(f"{pid}\n")
        self.index.refresh()
        return cgroup

    def source(self, name: str) -> str:
        (self.folder / name).mkdir(exist_ok=True)
        return str(self.folder / name)

    def gather(self, *du: str) -> Values:
        """What a round that begins now finds."""
        self.input = self.new_input(*du)
        return by_metric(wait_until(self.input.gather, deadline=PATIENCE, what="the first round"))


def by_metric(samples: Sequence[object]) -> Values:
    return {(sample.metric, sample.labels): sample.value for sample in samples}  # type: ignore[attr-defined]


def bind(source: str, destination: str = "/data") -> ContainerMount:
    return ContainerMount("bind", "", source, destination, writable=True)


def named(name: str, source: str, destination: str = "/data") -> ContainerMount:
    return ContainerMount("volume", name, source, destination, writable=True)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setattr(volume, "READ_EVERY", 0.0)
    made = Host(tmp_path)
    yield made
    made.children.close()


def reported(values: Values) -> set[tuple[str, ...]]:
    return {labels for metric, labels in values if metric is volume.SIZE}


def test_a_filesystem_of_its_own_is_measured_and_known_by_what_is_mounted(host: Host) -> None:
    host.mounted("self", ("0:99", "/", "/", "ext4"))
    host.mounted("7", ("0:50", "/", "/", "overlay"), (host.disk, "/", "/data", "ext4"))
    source = host.source("b1")
    host.container("db", 7, bind(source))
    values = host.gather()
    kernel = os.statvfs(source)
    assert values[volume.SIZE, DATA] == kernel.f_blocks * kernel.f_frsize
    assert values[volume.USED, DATA] == values[volume.SIZE, DATA] - values[volume.FREE, DATA]
    assert 0 < values[volume.AVAIL, DATA] <= values[volume.FREE, DATA]
    assert values[volume.FILES, DATA] == kernel.f_files
    assert 0 < values[volume.FILES_FREE, DATA] <= kernel.f_files
    assert values[volume.HEALTHY, DATA] == 1
    assert values[volume.SHARED, DATA] == 0
    assert values[volume.READONLY, DATA] == 0
    assert values[volume.INFO, (*DATA, "", source, "/dev/x", "ext4")] == 1
    assert values[volume.LAST_READ, ()] == 1000.0


def test_an_ordinary_folder_or_file_of_the_host_is_no_volume(host: Host) -> None:
    host.mounted("7", (host.disk, "/srv/app", "/data", "ext4"), (host.disk, "/etc/app.conf", "/conf", "ext4"))
    host.container("db", 7, bind(host.source("app")), bind(host.source("x"), "/conf"))
    assert reported(host.gather()) == set()


def test_a_docker_volume_on_the_hosts_disk_is_reported_as_shared(host: Host) -> None:
    host.mounted("7", (host.disk, "/docker/volumes/v1/_data", "/data", "ext4"))
    host.container("db", 7, named("v1", host.source("v1")))
    values = host.gather()
    assert values[volume.SHARED, DATA] == 1
    assert values[volume.HEALTHY, DATA] == 1
    assert (volume.INFO, (*DATA, "v1", host.source("v1"), "/dev/x", "ext4")) in values


def test_a_part_of_a_filesystem_that_is_mounted_on_the_host_is_shared(host: Host) -> None:
    host.mounted("self", ("0:99", "/", "/", "ext4"), (host.disk, "/@backup", "/mnt", "btrfs"))
    host.mounted("7", (host.disk, "/@backup", "/data", "btrfs"))
    host.container("db", 7, bind(host.source("mnt")))
    assert host.gather()[volume.SHARED, DATA] == 1


def test_one_filesystem_in_two_containers_is_shared(host: Host) -> None:
    host.mounted("self", ("0:99", "/", "/", "ext4"))
    for name, pid in (("db", 7), ("backup", 8)):
        host.mounted(str(pid), (host.disk, "/", "/data", "ext4"))
        host.container(name, pid, bind(host.source("b1")))
    values = host.gather()
    assert reported(values) == {DATA, ("backup", "image:1", "/data")}
    assert {value for (metric, _), value in values.items() if metric is volume.SHARED} == {1.0}


def test_the_hosts_own_root_is_shared(host: Host) -> None:
    host.mounted("7", (host.disk, "/", "/data", "ext4"))
    host.container("db", 7, bind("/"))
    assert host.gather()[volume.SHARED, DATA] == 1


def test_interfaces_of_the_kernel_are_no_volumes(host: Host) -> None:
    host.mounted("7", (device_of(Path("/proc")), "/", "/data", "proc"), ("0:6", "/", "/dev2", "devtmpfs"))
    host.container("db", 7, bind("/proc"), bind("/dev", "/dev2"))
    values = host.gather()
    assert {metric for metric, _ in values} == {volume.LAST_READ, volume.DU_FAILURES}


def test_a_container_that_has_another_filesystem_than_its_volume_is_not_healthy(host: Host) -> None:
    host.mounted("7", ("7:200", "/", "/data", "ext4"))
    host.container("db", 7, bind(host.source("b1")))
    values = host.gather()
    assert values[volume.HEALTHY, DATA] == 0
    assert reported(values) == set(), "figures of another filesystem would be wrong"


def test_a_volume_that_is_gone_is_not_healthy(host: Host) -> None:
    host.mounted("7", (host.disk, "/", "/data", "ext4"))
    host.container("db", 7, bind(str(host.folder / "gone")))
    values = host.gather()
    assert (values[volume.HEALTHY, DATA], reported(values)) == (0, set())


def test_a_filesystem_that_went_read_only_says_so(host: Host) -> None:
    host.mounted("7", (host.disk, "/", "/data", "ext4"), options="ro,errors=remount-ro")
    host.container("db", 7, bind(host.source("b1")))
    assert host.gather()[volume.READONLY, DATA] == 1


def test_a_writable_layer_on_a_mount_that_is_not_listed_costs_nothing_else(host: Host) -> None:
    host.mounted("self", ("0:99", "/", "/elsewhere", "ext4"))
    options = "rw,upperdir=/var/lib/docker/overlay2/x/diff"
    host.mounted("7", ("0:50", "/", "/", "overlay"), (host.disk, "/", "/data", "ext4"), options=options)
    host.container("db", 7, bind(host.source("b1")))
    assert reported(host.gather("*")) == {DATA}


def test_series_end_with_their_container_at_once(host: Host) -> None:
    host.mounted("7", (host.disk, "/", "/data", "ext4"))
    cgroup = host.container("db", 7, bind(host.source("b1")))
    assert reported(host.gather()) == {DATA}
    (cgroup / "cgroup.procs").write_text("")
    host.index.refresh()
    assert reported(by_metric(host.input.gather())) == set()


def test_no_more_volumes_are_reported_than_the_limit(host: Host) -> None:
    places = [f"/data{number:02}" for number in range(volume.MAX_VOLUMES + 3)]
    host.mounted("7", *((host.disk, "/", place, "ext4") for place in places))
    host.container("db", 7, *(bind(host.source("b1"), place) for place in places))
    assert len(reported(host.gather())) == volume.MAX_VOLUMES


def children() -> list[int]:
    return [
        int(pid)
        for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        if b"filesystem_child" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def stop_child(host: Host) -> int:
    """Start the child from this thread, whose children can be listed, and stop it."""
    host.children.ask("/", b"statvfs\0/")
    (pid,) = children()
    os.kill(pid, signal.SIGSTOP)
    return pid


def test_a_volume_that_hangs_costs_only_its_own_figures_and_comes_back(host: Host) -> None:
    host.mounted("7", (host.disk, "/", "/data", "ext4"), (host.disk, "/", "/other", "ext4"))
    host.container("db", 7, bind(host.source("b1")), bind(host.source("b2"), "/other"))
    pid = stop_child(host)
    values = host.gather()
    other = ("db", "image:1", "/other")
    assert (values[volume.HEALTHY, DATA], values[volume.HEALTHY, other]) == (0, 1)
    assert reported(values) == {other}
    os.kill(pid, signal.SIGCONT)
    wait_until(
        lambda: by_metric(host.input.gather()).get((volume.HEALTHY, DATA)) == 1, deadline=PATIENCE, what="it is back"
    )


def test_what_nobody_could_ask_is_not_called_unhealthy(host: Host) -> None:
    host.mounted("7", (host.disk, "/", "/data", "ext4"))
    host.container("db", 7, bind(host.source("b1")))
    host.children.close()
    host.children = ChildPool(FILESYSTEM_CHILD, deadline=1.5, limit=1)
    pid = stop_child(host)
    host.children.ask("elsewhere", b"statvfs\0/")
    values = host.gather()
    assert (volume.HEALTHY, DATA) not in values
    assert values[volume.SHARED, DATA] == 1
    os.kill(pid, signal.SIGCONT)


def test_du_measures_what_is_asked_for_and_nothing_else(host: Host) -> None:
    layer = host.source("layer")
    (host.folder / "layer" / "file").write_bytes(bytes(300_000))
    (host.folder / "b1").mkdir()
    (host.folder / "b1" / "file").write_bytes(bytes(1_000_000))
    logs = host.folder / "docker" / "containers" / f"{7:064x}"
    logs.mkdir(parents=True)
    (logs / "log").write_bytes(bytes(50_000))
    host.mounted("7", ("0:50", "/", "/", "overlay"), (host.disk, "/", "/data", "ext4"), options=f"rw,upperdir={layer}")
    host.container("db", 7, bind(host.source("b1")), bind(host.source("b2"), "/other"))
    host.gather("d?:/data", "db:/")
    found = wait_until(
        lambda: values if len(du_of(values := by_metric(host.input.gather()))) == 2 else None,
        deadline=PATIENCE,
        what="figures of du",
    )
    assert {labels for metric, labels in found if metric is volume.DU_BYTES} == {DATA}
    assert 1_000_000 <= found[volume.DU_BYTES, DATA] < 1_100_000
    assert 350_000 <= found[volume.FS_USAGE, ("db", "image:1", "/dev/x")] < 450_000
    assert found[volume.DU_LAST, DATA] > 0


def du_of(values: Values) -> list[Metric]:
    return [metric for metric, _ in values if metric in (volume.DU_BYTES, volume.FS_USAGE)]
