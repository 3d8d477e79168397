"""The inputs that read what others answer or write, as the fault tests see them: tables, ovs, volume, job, exec.

Recorded is what Open vSwitch, the kernel, the backup runner and two programs really said; only the thin pools are made
up, of the lines in the kernel's document, for want of a device mapper. Nothing waits in the background here: a round is
read when it is asked for.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from collector import labels
from collector.catalogue import METRICS
from collector.cgroup.hierarchy import Hierarchy, detect_hierarchy
from collector.child import ChildPool
from collector.containers import Container, ContainerIndex, ContainerMount, Metadata, read_metadata
from collector.diskusage import DiskUsage, Measured
from collector.filesystem_child import answer_to
from collector.foreign import ForeignMetrics
from collector.inputs import job, ovs, tables, volume
from collector.inputs.exec import Command, run_of
from collector.inputs.job import JobInput
from collector.inputs.tables import TablesInput
from collector.inputs.volume import VolumeInput
from collector.kernelfile import SkippedLines
from collector.metrics import Sample
from collector.ovsdb import JsonRpc
from collector.settings import DataFormat, OvsSettings
from collector.statvfs import FILESYSTEM_CHILD
from tests.support.mutate import cut
from tests.support.replay import Replay
from tests.support.source import NOW, Opened, Source, recorded

PATIENCE = 5.0
THIN_POOLS = b"""\
docker-pool: 0 209715200 thin-pool 12 241/4161600 10240/1638400 - rw no_discard_passdown queue_if_no_space - 1024
vg--a-pool: 0 2097152 thin-pool 0 12/1024 16384/16384 - out_of_data_space discard_passdown error_if_no_space - 1024
sick: 0 2097152 thin-pool 0 12/1024 1/16384 77 rw discard_passdown queue_if_no_space needs_check 1024
broken: 0 2097152 thin-pool Fail
"""
_MANAGED = {labels.MANAGED: "true", labels.SOURCE: "demo", labels.JOB: "backup"}


def _tables_tree(root: Path) -> None:
    recorded("tables")(root)
    (root / "thin-pools").write_bytes(THIN_POOLS)


class _TablesAtOnce(TablesInput):
    """Without the tables that are read in threads, which end when they like."""

    def _slow(self) -> Iterator[Sample]:
        return iter(())


def _tables(root: Path, skipped: SkippedLines) -> Opened:
    settings = OvsSettings(db_socket=root / "no-openvswitch" / "db.sock")
    source = _TablesAtOnce(root / "proc", root / "sys", settings, skipped, lambda: NOW)

    def gather() -> list[Sample]:
        pools = root / "thin-pools"
        status = pools.read_bytes() if pools.is_file() else b""
        return [*source.gather(), *tables.thin_pool_samples(status, skipped)]

    return Opened(gather)


def _switch_tree(root: Path) -> None:
    """Answers as ovsdb-server and ovs-vswitchd give them; the database with a row a line, which JSON allows."""
    recorded("ovs")(root)
    rows = (root / "transact.json").read_bytes().rstrip()
    (root / "transact.json").write_bytes(b'{"id":0,"result":' + rows + b',"error":null}')


class _Switch:
    """Connections to the replayed daemons, made anew for each reading; a minute passes before each, without waiting."""

    def __init__(self, root: Path, answers: Mapping[str, str]) -> None:
        self._folder = tempfile.TemporaryDirectory(dir=root)
        self._run = Path(self._folder.name)
        self._replay = Replay({self._run / name: root / answer for name, answer in answers.items()})
        self._now = 0.0
        self._connections = [
            JsonRpc(lambda name=name: self._run / name, PATIENCE, lambda: self._now)  # type: ignore[misc]
            for name in ("db.sock", "ovs-vswitchd.1.ctl")
        ]

    @property
    def settings(self) -> OvsSettings:
        return OvsSettings(db_socket=self._run / "db.sock")

    @contextlib.contextmanager
    def connected(self) -> Iterator[tuple[JsonRpc, JsonRpc]]:
        self._now += 60.0
        database, vswitchd = self._connections
        try:
            yield database, vswitchd
        finally:
            database.close()
            vswitchd.close()

    def close(self) -> None:
        self._replay.close()
        self._folder.cleanup()


def _flows(root: Path, skipped: SkippedLines) -> Opened:
    answers = {"db.sock": "bridges.json", "ovs-vswitchd.1.ctl": "upcall-show.json", "br0.mgmt": "br0.mgmt"}
    switch = _Switch(root, answers)

    def gather() -> list[Sample]:
        with switch.connected() as (database, vswitchd):
            return list(tables.flow_samples(database, vswitchd, switch.settings, skipped))

    return Opened(gather, switch.close)


def _ovs(root: Path, skipped: SkippedLines) -> Opened:
    switch = _Switch(root, {"db.sock": "transact.json", "ovs-vswitchd.1.ctl": "version.json"})
    containers = [
        Container(f"{number:064x}", f"/docker/{number:064x}", Metadata(name, "image:1"), (number,))
        for number, name in ((1, "db"), (3, "other"))
    ]

    def gather() -> list[Sample]:
        with switch.connected() as (database, vswitchd):
            return list(ovs.samples(ovs.read_switch(database, vswitchd, skipped), containers, limit=500))

    return Opened(gather, switch.close)


class InProcess(ChildPool):
    """Answers here and now; file systems are all alike but for their `devices`."""

    def __init__(self, devices: Mapping[str, tuple[int, int]]) -> None:
        super().__init__(FILESYSTEM_CHILD, deadline=PATIENCE, limit=0)
        self._devices = devices

    def ask(self, key: str, request: bytes) -> bytes:
        if request.startswith(b"statvfs\0"):
            return json.dumps([100, 50, 40, 10, 5, *self._devices.get(key, (0, 0))]).encode()
        return json.dumps(answer_to(request)).encode()


class NoDu(DiskUsage):
    """Has measured everything already."""

    def measure(self, folders: Mapping[tuple[str, ...], Sequence[str]]) -> Mapping[tuple[str, ...], Measured]:
        return dict.fromkeys(folders, Measured(4096, NOW))


def _volume(root: Path, skipped: SkippedLines) -> Opened:
    hierarchy = detect_hierarchy((root / "proc/mounts").read_text(), root / "sys/fs/cgroup")
    index = ContainerIndex(hierarchy, lambda key: read_metadata(root / "docker", key))
    index.refresh()
    source = VolumeInput(
        index,
        procfs=root / "proc",
        docker_root=lambda: Path("/var/lib/docker"),
        children=InProcess({"/srv/vol": (7, 0), "/var/lib/docker/volumes/data/_data": (254, 0)}),
        disk_usage=NoDu(["*"], every=60.0, budget=60.0),
        skipped=skipped,
        clock=lambda: NOW,
    )

    def gather() -> list[Sample]:
        try:
            return list(source.samples(source.read()))
        except OSError:
            return []  # without the host's mounts there is no round

    return Opened(gather)


def _job_tree(root: Path) -> None:
    recorded("jobs")(root)
    (root / "cgroup/docker" / "1".zfill(64)).mkdir(parents=True)
    (root / "cgroup/docker" / "1".zfill(64) / "cgroup.procs").write_text("7\n")


def _job(root: Path, skipped: SkippedLines) -> Opened:
    """`nightly` runs; the container of `weekly` went in the middle of a backup."""
    mount = ContainerMount("bind", "", str(root / "volumes/nightly"), job.BACKUP_MOUNT, writable=True)
    index = ContainerIndex(
        Hierarchy(root / "cgroup", {}), lambda _: Metadata("nightly", "vdbmon/backup:1", _MANAGED, mounts=(mount,))
    )
    index.refresh()
    source = JobInput(
        index,
        procfs=root / "proc",
        volumes_dir=root / "volumes",
        children=InProcess({}),
        skipped=skipped,
        clock=lambda: NOW,
    )
    return Opened(lambda: list(job.samples(source.read())))


def _exec(root: Path, _: SkippedLines) -> Opened:
    foreign = ForeignMetrics(METRICS)
    outputs = (("client.prom", DataFormat.PROMETHEUS), ("plugin.influx", DataFormat.INFLUX))

    def gather() -> list[Sample]:
        runs = [
            run_of((root / name).read_bytes(), Command(name, ("cat",), data_format, PATIENCE, 60.0), foreign)
            for name, data_format in outputs
            if (root / name).is_file()
        ]
        return foreign.samples([value for run in runs for value in run.values])[0]

    return Opened(gather)


ANSWER_SOURCES = (
    Source(
        "tables",
        _tables_tree,
        _tables,
        (
            "proc/1/net/arp",
            "proc/net/stat/*",
            "proc/sys/net/*/neigh/default/*",
            "proc/sys/net/netfilter/*",
            "thin-pools",
        ),
        sums=frozenset({tables.ARP_ENTRIES, tables.NEIGHBOUR_FULL}),
    ),
    Source(
        "flows",
        _switch_tree,
        _flows,
        ("bridges.json", "upcall-show.json", "br0.mgmt"),
        uncounted=("*",),
        losses=cut,
        weight=1,
    ),
    Source(
        "ovs",
        _switch_tree,
        _ovs,
        ("transact.json", "version.json"),
        sums=frozenset({ovs.LEFT_OUT, ovs.WITHOUT_CONTAINER, ovs.VSWITCHD_UP}),
        uncounted=("*",),
        weight=1,
    ),
    Source(
        "volume",
        recorded("volumes"),
        _volume,
        ("proc/*/mountinfo",),
        sums=frozenset({volume.SHARED}),
        weight=2,
    ),
    Source(
        "job",
        _job_tree,
        _job,
        ("volumes/*/metrics/*.prom", "volumes/.*.labels"),
        about=frozenset({job.FILE_REFUSED, job.LINES_REFUSED}),
        uncounted=("*",),
        weight=2,
    ),
    Source("exec", recorded("exec"), _exec, ("*.prom", "*.influx"), whole=True, uncounted=("*",), weight=1),
)
