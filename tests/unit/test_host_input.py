from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.inputs import host
from collector.inputs.host import HostInput, parse_meminfo, parse_mounts
from collector.kernelfile import SkippedLines
from collector.statvfs import StatvfsPool


def test_pseudo_file_systems_and_those_of_containers_do_not_count() -> None:
    text = (
        "/dev/vda / ext4 rw,relatime 0 0\n"
        "proc /proc proc rw 0 0\n"
        "overlay /var/lib/docker/overlay2/x/merged overlay rw 0 0\n"
        "/dev/loop3 /var/lib/vdbmon/volumes/a\\040b ext4 ro,relatime 0 0\n"
        "torn\n"
    )
    assert parse_mounts(text) == [
        ("/dev/vda", "/", "ext4", False),
        ("/dev/loop3", "/var/lib/vdbmon/volumes/a b", "ext4", True),
    ]


def test_a_mount_over_another_hides_it() -> None:
    assert parse_mounts("/dev/a /data ext4 rw 0 0\n/dev/b /data xfs ro 0 0\n") == [("/dev/b", "/data", "xfs", True)]


def test_meminfo_is_in_bytes_and_counts_of_pages_are_left_out() -> None:
    skipped = SkippedLines()
    assert parse_meminfo(b"MemTotal:  100 kB\nHugePages_Total:   3\nTorn: \n", skipped) == {"MemTotal": 102400}
    assert skipped.count == 1


@given(st.binary(max_size=200))
def test_hostile_files_raise_nothing(data: bytes) -> None:
    parse_meminfo(data, SkippedLines())
    parse_mounts(data.decode(errors="surrogateescape"))


def gather() -> dict[tuple[str, tuple[str, ...]], float]:
    pool = StatvfsPool()
    try:
        samples = HostInput(Path("/proc"), pool, SkippedLines(), lambda: 5.0).gather()
    finally:
        pool.close()
    return {(sample.metric.name, sample.labels): sample.value for sample in samples}


def test_the_machine_under_the_test_is_measured() -> None:
    values = gather()
    assert values["machine_cpu_cores", ()] == psutil.cpu_count()
    assert values["machine_memory_bytes", ()] == psutil.virtual_memory().total
    assert values["node_time_seconds", ()] == 5.0
    cpus = {labels[0] for name, labels in values if name == "node_cpu_seconds_total"}
    assert len(cpus) == psutil.cpu_count()
    roots = [
        value for (name, labels), value in values.items() if name == "node_filesystem_size_bytes" and labels[1] == "/"
    ]
    assert len(roots) == 1
    assert roots[0] > 0


def test_idle_and_iowait_never_run_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = StatvfsPool()
    source = HostInput(Path("/proc"), pool, SkippedLines(), lambda: 5.0)
    (times, *_) = psutil.cpu_times(percpu=True)
    readings = [times._replace(idle=100.0, iowait=5.0), times._replace(idle=90.0, iowait=6.0)]
    seen = []
    for reading in readings:
        monkeypatch.setattr(psutil, "cpu_times", lambda percpu, reading=reading: [reading])  # noqa: ARG005
        seen.append({s.labels: s.value for s in source.gather() if s.metric is host.CPU_SECONDS})
    pool.close()
    assert (seen[1]["0", "idle"], seen[1]["0", "iowait"]) == (100.0, 6.0)
