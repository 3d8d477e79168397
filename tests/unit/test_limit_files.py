from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.host.limit_files import cpuset_root, parse_processors
from orchestrator.host.limits import DeviceLimits, read_limits

ID = "ab" * 32
V1 = {
    "cpu,cpuacct/docker/ID/cpu.cfs_quota_us": "50000\n",
    "cpu,cpuacct/docker/ID/cpu.cfs_period_us": "100000\n",
    "memory/docker/ID/memory.limit_in_bytes": "1073741824\n",
    "memory/docker/ID/memory.memsw.limit_in_bytes": "1074790400\n",
    "pids/docker/ID/pids.max": "256\n",
    "cpuset/docker/ID/cpuset.cpus": "0-1,3\n",
    "blkio/docker/ID/blkio.throttle.read_bps_device": "254:0 100\n",
    "blkio/docker/ID/blkio.throttle.write_bps_device": "",
    "blkio/docker/ID/blkio.throttle.read_iops_device": "254:0 70\n7:0 80\n",
    "blkio/docker/ID/blkio.throttle.write_iops_device": "7:0 90\n",
}
V2 = {
    "docker/ID/cpu.max": "50000 100000\n",
    "docker/ID/memory.max": "1073741824\n",
    "docker/ID/memory.swap.max": "0\n",
    "docker/ID/pids.max": "256\n",
    "docker/ID/cpuset.cpus": "2\n",
    "docker/ID/io.max": "254:0 rbps=100 wbps=max riops=70 wiops=max\n",
}


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name.replace("ID", ID)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_operations_processors_and_swap_of_a_v1_cgroup(tmp_path: Path) -> None:
    controllers = ("cpu,cpuacct", "memory", "pids", "cpuset", "blkio")
    mounts = tmp_path / "mounts"
    mounts.write_text("".join(f"cgroup /sys/fs/cgroup/{name} cgroup rw,nosuid,{name} 0 0\n" for name in controllers))
    found = read_limits(ID, cgroupfs=written(tmp_path / "cgroup", V1), mounts=mounts)
    assert found is not None
    assert found.devices == {"254:0": DeviceLimits(100, None, 70, None), "7:0": DeviceLimits(None, None, 80, 90)}
    assert found.processors == frozenset({0, 1, 3})
    assert found.swap == 1 << 20


def test_operations_processors_and_swap_of_a_v2_cgroup(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n")
    found = read_limits(ID, cgroupfs=written(tmp_path / "cgroup", V2), mounts=mounts)
    assert found is not None
    assert found.devices == {"254:0": DeviceLimits(100, None, 70, None)}
    assert (found.processors, found.swap) == (frozenset({2}), 0)
    assert found.document()["processors"] == [2]


def test_a_controller_that_is_not_mounted_says_nothing() -> None:
    assert cpuset_root("cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n", Path("/sys/fs/cgroup")) is None


@given(st.sets(st.integers(0, 4000), min_size=1))
def test_every_list_of_processors_comes_back(processors: set[int]) -> None:
    assert parse_processors(",".join(map(str, sorted(processors)))) == processors


@pytest.mark.parametrize("text", ["", "a", "3-1", "-1", "0-99999999", "0,,1"])
def test_what_is_no_list_of_processors_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its text is never shown
        parse_processors(text)
