import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.blockdevices import BlockDevices
from collector.cgroup.hierarchy import Hierarchy, detect_hierarchy, find_containers
from collector.cgroup.members import CgroupMembers
from collector.cgroup.reading import DeviceIo, DeviceLimit
from collector.cgroup.v1 import V1Reader, parse_blkio, parse_throttle
from collector.cgroup.v2 import V2Reader, parse_cpu_max, parse_nested_keyed, shares_of_weight
from collector.containers import Container, ContainerIndex, Metadata
from collector.inputs.cgroup import CFS_PERIODS, CPU_USAGE, FS_WRITE_BYTES, MEMORY_SLAB, PRESSURE, CgroupInput
from collector.kernelfile import SkippedLines
from collector.metrics import Metric
from collector.oom import OomKills

RECORDED = Path(__file__).parents[1] / "fixtures" / "cgroup2"
DB = "/docker/" + "b2" * 32
BATCH = "/docker/" + "c3" * 32
HYBRID_MOUNTS = """\
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,name=systemd 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
"""


def recorded_hierarchy(moment: str = "t1") -> Hierarchy:
    root = RECORDED / moment
    return detect_hierarchy((root / "proc/mounts").read_text(), root / "sys/fs/cgroup")


def test_a_pure_v2_machine_has_no_v1_controllers() -> None:
    hierarchy = recorded_hierarchy()
    assert hierarchy.v2 == RECORDED / "t1/sys/fs/cgroup"
    assert not hierarchy.v1


def test_a_hybrid_machine_counts_in_v1(tmp_path: Path) -> None:
    hierarchy = detect_hierarchy(HYBRID_MOUNTS, tmp_path)
    assert hierarchy.v2 is None
    assert hierarchy.v1 == {
        "cpu": tmp_path / "cpu,cpuacct",
        "cpuacct": tmp_path / "cpu,cpuacct",
        "memory": tmp_path / "memory",
    }


def test_containers_of_both_drivers_are_found_and_what_is_inside_them_is_not(tmp_path: Path) -> None:
    one, two, three = "1" * 64, "2" * 64, "3" * 64
    for path in (
        f"docker/{one}/docker/{three}",
        f"system.slice/docker-{two}.scope/init.scope",
        "system.slice/docker.service",
        "user.slice/user-0.slice",
    ):
        (tmp_path / path).mkdir(parents=True)
    found = {cgroup.id: cgroup.path for cgroup in find_containers(Hierarchy(tmp_path, {}))}
    assert found == {one: f"/docker/{one}", two: f"/system.slice/docker-{two}.scope"}


def test_members_of_nested_cgroups_count(tmp_path: Path) -> None:
    (tmp_path / "docker/x/child").mkdir(parents=True)
    (tmp_path / "docker/x/cgroup.procs").write_text("7\n8\n")
    (tmp_path / "docker/x/child/cgroup.procs").write_text("9\n")
    assert CgroupMembers(Hierarchy(tmp_path, {})).pids("/docker/x") == (7, 8, 9)
    assert CgroupMembers(Hierarchy(tmp_path, {})).pids("/docker/gone") == ()


def test_a_recorded_v2_cgroup_reads_as_the_kernel_wrote_it() -> None:
    skipped = SkippedLines()
    reading = V2Reader(RECORDED / "t1/sys/fs/cgroup", DB, skipped).read()
    assert reading.cpu.usage == 2.169887
    assert reading.io.devices["254:48"] == DeviceIo(100663296, 102760448, 384, 392)
    assert reading.io_limits == {"254:48": DeviceLimit(20971520, 10485760, None, 200)}
    assert reading.memory.working_set is not None
    assert reading.memory.usage is not None
    assert reading.memory.working_set <= reading.memory.usage
    assert reading.pressure["io", "some"] > 0
    assert skipped.count == 0


def test_counters_of_two_recorded_moments_grow() -> None:
    for path in (DB, BATCH):
        first, second = (V2Reader(RECORDED / f"{t}/sys/fs/cgroup", path, SkippedLines()).read() for t in ("t0", "t1"))
        assert first.cpu.usage is not None
        assert second.cpu.usage is not None
        assert second.cpu.usage > first.cpu.usage


def test_an_absent_controller_is_absent_and_not_zero(tmp_path: Path) -> None:
    (tmp_path / "docker/x").mkdir(parents=True)
    (tmp_path / "docker/x/pids.current").write_text("3\n")
    reading = V1Reader({"pids": tmp_path}, "/docker/x", SkippedLines()).read()
    assert reading.tasks.current == 3
    assert reading.cpu.usage is None
    assert reading.memory.usage is None
    assert reading.memory.working_set is None
    assert not reading.io.devices


def test_a_controller_that_is_switched_on_later_is_read(tmp_path: Path) -> None:
    reader = V2Reader(tmp_path, "", SkippedLines())
    assert reader.read().memory.usage is None
    (tmp_path / "memory.current").write_text("4096\n")
    assert reader.read().memory.usage == 4096
    reader.close()


def test_v1_limits_of_devices_are_put_together_from_four_files(tmp_path: Path) -> None:
    for kind, content in {
        "read_bps": "254:0 100\n",
        "write_bps": "",
        "read_iops": "254:0 70\n7:0 80\n",
        "write_iops": "7:0 90\n",
    }.items():
        (tmp_path / f"blkio.throttle.{kind}_device").write_text(content)
    reading = V1Reader({"blkio": tmp_path}, "", SkippedLines()).read()
    assert reading.io_limits == {"254:0": DeviceLimit(100, None, 70, None), "7:0": DeviceLimit(None, None, 80, 90)}


def test_v1_units_become_seconds_and_bytes(tmp_path: Path) -> None:
    for name, content in {
        "cpuacct.usage": "1500000000\n",
        "cpuacct.stat": "user 100\nsystem 50\n",
        "cpu.stat": "nr_periods 4\nnr_throttled 2\nthrottled_time 250000000\n",
        "cpu.cfs_quota_us": "-1\n",
        "memory.limit_in_bytes": "9223372036854771712\n",
    }.items():
        (tmp_path / name).write_text(content)
    reading = V1Reader(dict.fromkeys(("cpu", "cpuacct", "memory"), tmp_path), "", SkippedLines()).read()
    assert (reading.cpu.usage, reading.cpu.user, reading.cpu.system, reading.cpu.throttled) == (1.5, 1.0, 0.5, 0.25)
    assert reading.cpu_limits.quota is None
    assert reading.memory.limit is None


V1_MEMORY_STAT = """\
cache 2932736
rss 114016256
pgfault 34052
pgmajfault 24
hierarchical_memory_limit 536870912
hierarchical_memsw_limit 1073741824
total_cache 2932736
total_rss 114016256
total_shmem 0
total_mapped_file 339968
total_dirty 4096
total_writeback 8192
total_workingset_refault_anon 3
total_workingset_refault_file 739
total_swap 0
total_pgfault 34060
total_pgmajfault 25
total_inactive_file 323584
total_active_file 2609152
"""


def full_v1_cgroup(folder: Path, skipped: SkippedLines) -> V1Reader:
    """Every file that the kernel has, with two busy devices; recorded on Linux 6.18."""
    operations = {"Read": 48803840, "Write": 118784, "Sync": 48922624, "Async": 0, "Discard": 8192, "Total": 48930816}
    rows = [f"{device} {name} {count}\n" for device in ("254:0", "254:48") for name, count in operations.items()]
    throttle = "".join(rows) + "Total 97861632\n"
    for name, content in {
        "cpuacct.usage": "1500000000\n",
        "cpuacct.stat": "user 100\nsystem 50\n",
        "cpu.stat": "nr_periods 4\nnr_throttled 2\nthrottled_time 250000000\nnr_bursts 1\nburst_time 500000000\n",
        "cpu.cfs_quota_us": "50000\n",
        "cpu.cfs_period_us": "100000\n",
        "cpu.shares": "1024\n",
        "memory.usage_in_bytes": "117000000\n",
        "memory.max_usage_in_bytes": "118000000\n",
        "memory.limit_in_bytes": "536870912\n",
        "memory.soft_limit_in_bytes": "268435456\n",
        "memory.kmem.usage_in_bytes": "1671168\n",
        "memory.failcnt": "7\n",
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
        "memory.stat": V1_MEMORY_STAT,
        "blkio.throttle.io_service_bytes_recursive": throttle,
        "blkio.throttle.io_serviced_recursive": throttle,
        "blkio.throttle.read_bps_device": "254:0 1000\n254:48 1000\n",
        "blkio.throttle.write_bps_device": "254:0 1000\n254:48 1000\n",
        "pids.current": "12\n",
        "pids.max": "max\n",
    }.items():
        (folder / name).write_text(content)
    return V1Reader(dict.fromkeys(("cpu", "cpuacct", "memory", "blkio", "pids"), folder), "", skipped)


def test_v1_parts_have_their_own_meanings(tmp_path: Path) -> None:
    skipped = SkippedLines()
    reader = full_v1_cgroup(tmp_path, skipped)
    reading = reader.read()
    reader.close()
    assert skipped.count == 0
    assert (reading.cpu.bursts, reading.cpu.burst) == (1, 0.5)
    memory = reading.memory
    assert (memory.limit, memory.swap_limit, memory.reservation) == (536870912, 1073741824, 268435456)
    assert (memory.page_faults, memory.own_page_faults) == (34060, 34052)
    assert (memory.dirty, memory.writeback, memory.kernel, memory.refaults_file) == (4096, 8192, 1671168, 739)
    assert memory.pages_scanned is None, "v1 doesn't count it"
    assert reading.io.operations["254:48", "Discard"] == 8192
    assert reading.io.devices["254:0"] == DeviceIo(48803840, 118784, 48803840, 118784)


def test_v2_parts_have_their_own_meanings() -> None:
    reading = V2Reader(RECORDED / "t1/sys/fs/cgroup", DB, SkippedLines()).read()
    memory = reading.memory
    assert memory.kernel == 425984
    assert (memory.events_high, memory.events_max, memory.pages_scanned, memory.pages_stolen) == (0, 0, 0, 0)
    assert (memory.active_file, memory.dirty, memory.writeback) == (81920, 0, 0)
    assert memory.own_page_faults is None, "v2 counts a cgroup with those beneath it"
    assert reading.io.operations["254:48", "Write"] == 102760448
    assert reading.io.costs == {}


def test_io_cost_is_in_seconds() -> None:
    skipped = SkippedLines()
    line = b"254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0 cost.usage=2500000 cost.wait=1\n"
    assert parse_nested_keyed(line, skipped)["254:0"][b"cost.usage"] == 2500000
    assert skipped.count == 0


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_reading_a_container_opens_as_many_files_as_was_agreed(tmp_path: Path) -> None:
    """What is read at each scrape is what the agent costs: a new file needs a reason."""
    opened = []
    for reader in (
        full_v1_cgroup(tmp_path, SkippedLines()),
        V2Reader(RECORDED / "t1/sys/fs/cgroup", DB, SkippedLines()),
    ):
        before = descriptors()
        reader.read()
        opened.append(descriptors() - before)
        reader.close()
    assert opened == [20, 18]


def test_what_has_not_changed_is_the_same_object_and_what_has_is_made_anew(tmp_path: Path) -> None:
    with contextlib.closing(full_v1_cgroup(tmp_path, SkippedLines())) as reader:
        first = reader.read()
        second = reader.read()
        assert all(now is before for now, before in zip(second, first, strict=True))
        (tmp_path / "pids.current").write_text("8\n")
        third = reader.read()
    changed = {name for name, now, before in zip(third._fields, third, second, strict=True) if now is not before}
    assert changed == {"tasks"}
    assert third.tasks.current == 8


def test_a_line_of_an_unknown_device_costs_only_itself() -> None:
    skipped = SkippedLines()
    data = b"254:0 Read 4096\n(unknown) Read 1\n254:0 Write 8192\nTotal 12288\n"
    assert parse_blkio(data, skipped) == {("254:0", b"Read"): 4096, ("254:0", b"Write"): 8192}
    assert skipped.count == 1


def test_a_line_with_two_devices_is_skipped() -> None:
    skipped = SkippedLines()
    data = b"7:7 7:6 rbytes=4096 wbytes=0\n254:0 rbytes=1 wbytes=2 rios=3 wios=4\n"
    assert list(parse_nested_keyed(data, skipped)) == ["254:0"]
    assert skipped.count == 1


@given(st.binary(max_size=200))
def test_no_content_escapes_as_an_exception(data: bytes) -> None:
    skipped = SkippedLines()
    parse_blkio(data, skipped)
    parse_throttle(data, skipped)
    parse_nested_keyed(data, skipped)
    parse_cpu_max(data, skipped)


@pytest.mark.parametrize(("weight", "shares"), [(1, 2), (100, 2597), (10000, 262144)])
def test_weight_becomes_shares(weight: int, shares: int) -> None:
    assert shares_of_weight(weight) == shares


def recorded_input(moment: str) -> tuple[CgroupInput, ContainerIndex]:
    names = {"a1": "web", "b2": "db", "c3": "batch", "d4": "idle", "e5": "oom"}
    index = ContainerIndex(recorded_hierarchy(moment), lambda key: Metadata(names[key[:2]], "image:1"))
    source = CgroupInput(index, BlockDevices(RECORDED / moment / "proc"), OomKills(), SkippedLines(), lambda: 1.0)
    return source, index


def test_the_input_gives_declared_series_for_every_recorded_container() -> None:
    source, index = recorded_input("t1")
    running = {container.name for container in index.refresh()}
    values: dict[tuple[Metric, tuple[str, ...]], float] = {(s.metric, s.labels): s.value for s in source.gather()}
    assert {labels[0] for metric, labels in values if metric is CPU_USAGE} == running >= {"web", "db", "batch", "idle"}
    assert values[CPU_USAGE, ("db", "image:1", "total")] == 2.169887
    assert values[FS_WRITE_BYTES, ("db", "image:1", "/dev/vdd")] == 102760448
    assert values[PRESSURE["io", "some"], ("db", "image:1")] > 0
    assert (CFS_PERIODS, ("idle", "image:1")) not in values  # no quota: nothing to throttle
    assert (MEMORY_SLAB, ("web", "image:1")) in values
    assert all(len(labels) == len(metric.labels) for metric, labels in values)


def test_descriptors_go_with_their_container(tmp_path: Path) -> None:
    container = tmp_path / "docker" / ("7" * 64)
    container.mkdir(parents=True)
    (container / "cgroup.procs").write_text("1\n")
    (container / "memory.current").write_text("4096\n")
    index = ContainerIndex(Hierarchy(tmp_path, {}), lambda _: None)
    source = CgroupInput(index, BlockDevices(tmp_path), OomKills(), SkippedLines(), lambda: 1.0)
    index.refresh()
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert len(source.gather()) > 0
    assert len(list(Path("/proc/self/fd").iterdir())) > before
    (container / "cgroup.procs").write_text("")
    index.refresh()
    assert source.gather() == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_container_without_metadata_goes_by_its_short_id() -> None:
    container = Container("abcdef" * 10 + "abcd", "/docker/x", None, (1,))
    assert (container.name, container.image) == ("abcdefabcdef", "")


# Of the 150 series that a container may have: those of two interfaces, three groups of processes, two volumes and its
# state in Docker need the rest.
CGROUP_SERIES_AT_MOST = 95


def test_a_container_with_everything_the_kernel_counts_has_a_bounded_number_of_series(tmp_path: Path) -> None:
    container = tmp_path / "docker" / ("7" * 64)
    container.mkdir(parents=True)
    full_v1_cgroup(container, SkippedLines()).close()
    (container / "cgroup.procs").write_text("1\n")
    controllers = dict.fromkeys(("cpu", "cpuacct", "memory", "blkio", "pids"), tmp_path)
    v1_index = ContainerIndex(
        Hierarchy(None, controllers), lambda _: Metadata("db", "i:1", started_at=1.0, created_at=1.0)
    )
    v1 = CgroupInput(v1_index, BlockDevices(tmp_path), OomKills(), SkippedLines(), lambda: 1.0)
    v2, v2_index = recorded_input("t1")
    for source, index in ((v1, v1_index), (v2, v2_index)):
        index.refresh()
        series = [sample for sample in source.gather() if sample.labels[0] == "db"]
        assert 50 < len(series) <= CGROUP_SERIES_AT_MOST
        assert len({(sample.metric, sample.labels) for sample in series}) == len(series)
        source.close()
