from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.engines.engine import ContainerSpec, DeviceRate
from orchestrator.host.limits import DeviceLimits, Limits, mismatches, read_limits

SPEC = ContainerSpec(
    name="b1",
    image="x",
    command=(),
    labels={},
    mounts=(),
    cpu=500,
    memory=10**9,
    pids=256,
    devices=(DeviceRate(path=Path("/dev/vda"), number="254:0", read_bps=100, write_bps=50),),
)
FOUND = Limits(cpu=500, memory=10**9 // 4096 * 4096, pids=256, devices={"254:0": DeviceLimits(100, 50)})


def test_memory_is_counted_in_pages() -> None:
    assert list(mismatches(SPEC, FOUND)) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"cpu": None}, "CPU is unlimited, not 0.5 cores"),
        ({"memory": None}, "memory is unlimited, not 954 MiB"),
        ({"memory": 2 * 10**9}, "memory is 1.86 GiB, not 954 MiB"),
        ({"pids": None}, "pids is None, not 256"),
        ({"devices": {}}, "/dev/vda is read unlimited, write unlimited, not read 100 B/s, write 50 B/s"),
        (
            {"devices": {"254:0": DeviceLimits(100, None)}},
            "/dev/vda is read 100 B/s, write unlimited, not read 100 B/s, write 50 B/s",
        ),
    ],
)
def test_each_difference_is_a_sentence(change: dict[str, object], sentence: str) -> None:
    assert list(mismatches(SPEC, replace(FOUND, **change))) == [sentence]  # type: ignore[arg-type]


def test_limits_of_a_v2_cgroup(tmp_path: Path) -> None:
    container = "ab" * 32
    cgroup = tmp_path / "cgroup" / "system.slice" / f"docker-{container}.scope"
    cgroup.mkdir(parents=True)
    for name, text in {
        "cpu.max": "50000 100000\n",
        "memory.max": "1073741824\n",
        "pids.max": "256\n",
        "io.max": "254:0 rbps=100 wbps=50 riops=max wiops=max\n",
    }.items():
        (cgroup / name).write_text(text)
    mounts = tmp_path / "mounts"
    mounts.write_text("cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n")
    found = read_limits(container, cgroupfs=tmp_path / "cgroup", mounts=mounts)
    assert found == Limits(cpu=500, memory=2**30, pids=256, devices={"254:0": DeviceLimits(100, 50)})
    assert read_limits("cd" * 32, cgroupfs=tmp_path / "cgroup", mounts=mounts) is None
