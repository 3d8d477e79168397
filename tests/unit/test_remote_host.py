"""What is known of a host that isn't this one: disks, limits, and files out of its containers."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.catalogue import cgroup
from orchestrator.engines.archive import only_file
from orchestrator.engines.engine import ContainerState
from orchestrator.host.limits import DeviceLimits, Limits, Told
from orchestrator.remote.disks import disk_of_host, disk_under, mounted
from orchestrator.remote.limits import RemoteLimits, agent_limits
from orchestrator.survey.prometheus import PrometheusClient
from tests.support.servers import free_port

FILESYSTEMS = mounted(
    [
        {"mountpoint": "/", "device": "/dev/sda1"},
        {"mountpoint": "/srv", "device": "/dev/nvme0n1p3"},
        {"mountpoint": "/data", "device": "/dev/mapper/vg-data"},
        {"mountpoint": "/net", "device": "nas:/export"},
        {"device": "/dev/sdz"},
    ]
)


@pytest.mark.parametrize(
    ("folder", "disk"),
    [
        ("/var/lib/docker/volumes", "/dev/sda"),
        ("/srv/docker", "/dev/nvme0n1"),
        ("/srvx", "/dev/sda"),
        ("/data/mysql", "/dev/mapper/vg-data"),
        ("/net/backup", None),
    ],
)
def test_the_disk_under_a_folder_is_that_of_the_longest_mount_point(folder: str, disk: str | None) -> None:
    assert disk_under(PurePosixPath(folder), FILESYSTEMS) == disk


@pytest.mark.parametrize(
    ("device", "disk"),
    [
        ("/dev/vda", "/dev/vda"),
        ("/dev/xvda12", "/dev/xvda"),
        ("/dev/sdab3", "/dev/sdab"),
        ("/dev/nvme10n1", "/dev/nvme10n1"),
        ("/dev/mmcblk0p2", "/dev/mmcblk0"),
        ("/dev/md127", "/dev/md127"),
        ("/dev/dm-3", "/dev/dm-3"),
        ("/dev/loop7", "/dev/loop7"),
    ],
)
def test_a_partition_is_limited_by_its_disk(device: str, disk: str) -> None:
    assert disk_under(PurePosixPath("/x"), {PurePosixPath("/"): device}) == disk


def test_what_the_configuration_tells_goes_before_what_the_agent_shows() -> None:
    told = {"/srv": PurePosixPath("/dev/told")}
    assert disk_of_host(PurePosixPath("/srv/x"), told, FILESYSTEMS) == "/dev/told"  # type: ignore[arg-type]
    assert disk_of_host(PurePosixPath("/var"), told, FILESYSTEMS) == "/dev/sda"  # type: ignore[arg-type]
    assert disk_of_host(PurePosixPath("/var"), told, {}) is None  # type: ignore[arg-type]


def series(**changes: float) -> list[tuple[dict[str, str], float]]:
    plain = {
        cgroup.SPEC_CPU_QUOTA.name: 50_000.0,
        cgroup.SPEC_CPU_PERIOD.name: 100_000.0,
        cgroup.SPEC_MEMORY_LIMIT.name: 2.0**26,
        cgroup.THREADS_MAX.name: 256.0,
        **changes,
    }
    rates = [
        ({"__name__": cgroup.IO_LIMIT_READ_BPS.name, "device": "/dev/vda"}, 20e6),
        ({"__name__": cgroup.IO_LIMIT_WRITE_BPS.name, "device": "/dev/vda"}, 10e6),
        ({"__name__": cgroup.IO_LIMIT_READ_IOPS.name, "device": "/dev/vda"}, 700.0),
        ({"__name__": cgroup.IO_LIMIT_WRITE_IOPS.name, "device": "/dev/vda"}, 300.0),
    ]
    return [({"__name__": name}, value) for name, value in plain.items()] + rates


def test_an_agents_series_are_limits() -> None:
    assert agent_limits(series()) == Limits(
        cpu=500,
        memory=2**26,
        pids=256,
        devices={"/dev/vda": DeviceLimits(20_000_000, 10_000_000, 700, 300)},
        told=Told.AGENT,
    )
    assert agent_limits([]) is None


class Asked:
    """An engine with one container."""

    def __init__(self, limits: Limits | None) -> None:
        self.asked = limits

    def inspect(self, container: str) -> ContainerState | None:
        return ContainerState(id=container, name="b1", status="running")

    def limits(self, container_id: str) -> Limits | None:
        return self.asked if container_id == "c1" else None


def test_without_an_agent_the_engines_word_is_told_as_such() -> None:
    asked = Limits(cpu=500, memory=2**26, pids=256, devices={}, told=Told.ENGINE)
    nobody = PrometheusClient(f"http://127.0.0.1:{free_port()}", timeout=1.0)
    read = RemoteLimits(host="db2", agent=None, engine=Asked(asked), prometheus=nobody)
    assert read("c1") == asked
    assert read("gone") is None


def tar(*members: tarfile.TarInfo, content: bytes = b"") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def member(kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    found = tarfile.TarInfo("record.json")
    found.type, found.size, found.linkname = kind, size, "/etc/passwd"
    return found


def test_a_file_comes_out_of_its_archive() -> None:
    data = tar(member(size=5), content=b"hello")
    assert only_file([data[:300], data[300:]], largest=100) == b"hello"
    assert only_file([data], largest=4) is None


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE])
def test_what_is_no_regular_file_is_none(kind: bytes) -> None:
    assert only_file([tar(member(kind))], largest=100) is None


def test_a_stream_without_end_is_given_up() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"\0" * 4096

    assert only_file(endless(), largest=100) is None


@given(st.lists(st.binary(max_size=2000), max_size=5))
def test_any_bytes_are_a_file_or_none(chunks: list[bytes]) -> None:
    only_file(chunks, largest=1000)
