import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.host.cpu import MODES, Topology, never_backwards, parse_cpuinfo, parse_stat
from collector.host.disks import parse_diskstats
from collector.host.files import KeptFiles
from collector.host.filesystems import Mount, parse_mounts
from collector.host.links import SPEED_EVERY, Link, LinkReader, parse_attribute
from collector.host.memory import VMSTAT_FIELDS, parse_meminfo, parse_vmstat
from collector.host.snmp import parse_snmp
from collector.inputs import host
from collector.inputs.host import HostInput
from collector.kernelfile import SkippedLines
from collector.metrics import PartialGathering
from collector.netdev import parse_net_dev
from collector.statvfs import StatvfsPool

RECORDED = Path(__file__).parents[1] / "fixtures" / "host"
Values = dict[tuple[str, tuple[str, ...]], float]


@pytest.fixture
def pool() -> Iterator[StatvfsPool]:
    made = StatvfsPool()
    yield made
    made.close()


def recorded_input(pool: StatvfsPool, folder: Path = RECORDED) -> tuple[HostInput, SkippedLines]:
    skipped = SkippedLines()
    return HostInput(folder / "proc", folder / "sys", pool, skipped, lambda: 5.0), skipped


def values_of(source: HostInput) -> Values:
    samples = source.gather()
    assert all(len(sample.labels) == len(sample.metric.labels) for sample in samples)
    values = {(sample.metric.name, sample.labels): sample.value for sample in samples}
    assert len(values) == len(samples), "a series came twice"
    return values


def test_the_recorded_machine_reads_as_the_kernel_wrote_it(pool: StatvfsPool) -> None:
    source, skipped = recorded_input(pool)
    values = values_of(source)
    assert skipped.count == 0
    assert (values["machine_cpu_cores", ()], values["machine_cpu_physical_cores", ()]) == (2, 2)
    assert values["machine_cpu_sockets", ()] == 1
    assert {labels for name, labels in values if name == "node_cpu_seconds_total"} == {
        (cpu, mode) for cpu in "01" for mode in MODES
    }
    meminfo = (RECORDED / "proc/meminfo").read_text().splitlines()
    assert len([name for name, _ in values if name.startswith("node_memory_")]) == len(meminfo), "a field is unknown"
    assert values["node_memory_Active_anon_bytes", ()] % 1024 == 0
    assert ("node_memory_HugePages_Total", ()) in values
    assert {name for name, _ in values if name.startswith("node_vmstat_")} == {
        f"node_vmstat_{f}" for f in VMSTAT_FIELDS
    }
    assert ("node_pressure_irq_stalled_seconds_total", ()) not in values, "this kernel has none"
    assert values["node_network_up", ("eth0",)] == 1
    assert ("node_network_speed_bytes", ("eth0",)) not in values, "the card says -1"
    assert values["node_network_mtu_bytes", ("lo",)] == 65536


def test_every_disk_column_goes_under_its_name(pool: StatvfsPool) -> None:
    source, _ = recorded_input(pool)
    values = {name: value for (name, labels), value in values_of(source).items() if labels == ("vda",)}
    line = next(line for line in (RECORDED / "proc/diskstats").read_text().splitlines() if " vda " in line)
    columns = [int(word) for word in line.split()[3:]]
    assert values["node_disk_reads_completed_total"] == columns[0]
    assert values["node_disk_writes_merged_total"] == columns[5]
    assert values["node_disk_written_bytes_total"] == columns[6] * 512
    assert values["node_disk_io_time_weighted_seconds_total"] == pytest.approx(columns[10] / 1000)
    assert values["node_disk_discarded_sectors_total"] == columns[13]
    assert values["node_disk_flush_requests_time_seconds_total"] == pytest.approx(columns[16] / 1000)


def test_protocols_go_under_node_exporters_names(pool: StatvfsPool) -> None:
    values = values_of(recorded_input(pool)[0])
    names, numbers = (line.split() for line in (RECORDED / "proc/net/snmp").read_text().splitlines() if "Tcp:" in line)
    assert {f"node_netstat_Tcp_{name}": int(number) for name, number in zip(names[1:], numbers[1:], strict=True)} == {
        name: value for (name, _), value in values.items() if name.startswith("node_netstat_Tcp_")
    }
    assert values["node_netstat_Tcp_MaxConn", ()] == -1


@pytest.mark.parametrize(
    ("data", "values", "skipped"),
    [
        (b"Ip: A B\nIp: 1 2\nTcp: C\nTcp: 3\n", {("Ip", "A"): 1, ("Ip", "B"): 2, ("Tcp", "C"): 3}, 0),
        (b"Ip: A B\nIp: 1\nTcp: C\nTcp: 3\n", {("Tcp", "C"): 3}, 1),
        (b"Ip: A\nIp: -1\nTcp: MaxConn\nTcp: -1\n", {("Tcp", "MaxConn"): -1}, 1),
        (b"Ip: A\nIp: 1\nTcp: C\nTc", {("Ip", "A"): 1}, 1),
        (b"", {}, 0),
    ],
)
def test_protocols_line_by_line(data: bytes, values: dict[tuple[str, str], int], skipped: int) -> None:
    seen = SkippedLines()
    assert parse_snmp(data, seen) == values
    assert seen.count == skipped


def test_threads_are_counted(pool: StatvfsPool) -> None:
    threads = int((RECORDED / "proc/loadavg").read_text().split()[3].partition("/")[2])
    assert values_of(recorded_input(pool)[0])["node_processes_threads", ()] == threads


def test_the_time_of_virtual_machines_is_told_where_there_ever_was_one(pool: StatvfsPool, tmp_path: Path) -> None:
    assert not [name for name, _ in values_of(recorded_input(pool)[0]) if "guest" in name]
    shutil.copytree(RECORDED, tmp_path, dirs_exist_ok=True)
    stat = tmp_path / "proc/stat"
    stat.write_text(
        stat.read_text().replace("cpu1 75084 0 24839 343877 12018 0 924 399 0 0", "cpu1 9 9 9 9 9 9 9 9 150 50")
    )
    values = values_of(recorded_input(pool, tmp_path)[0])
    assert {key[1]: value for key, value in values.items() if key[0] == host.CPU_GUEST_SECONDS.name} == {
        ("0", "user"): 0.0,
        ("0", "nice"): 0.0,
        ("1", "user"): 1.5,
        ("1", "nice"): 0.5,
    }


def test_a_file_system_that_fails_says_why(pool: StatvfsPool) -> None:
    values = values_of(recorded_input(pool)[0])
    gone = ("/dev/loop0", "/var/lib/vdbmon/volumes/demo backup", "ext4", "statfs failed")
    assert values["node_filesystem_device_error", gone] == 1
    assert ("node_filesystem_size_bytes", gone) not in values
    assert values["node_filesystem_size_bytes", ("/dev/vda", "/", "ext4", "")] > 0


def test_what_cannot_be_read_costs_itself_and_fails_the_gathering(pool: StatvfsPool, tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 100 kB\n")
    source, _ = recorded_input(pool, tmp_path)
    with pytest.raises(PartialGathering, match="No such file") as raised:
        source.gather()
    values = {(sample.metric, sample.labels): sample.value for sample in raised.value.samples}
    assert values[host.MACHINE_MEMORY, ()] == 102400
    assert values[host.COLLECTOR_SUCCESS, ("meminfo",)] == 1
    assert values[host.COLLECTOR_SUCCESS, ("pressure",)] == 1, "no PSI is no failure"
    assert values[host.COLLECTOR_SUCCESS, ("diskstats",)] == 0


def test_the_machine_under_the_test_is_measured(pool: StatvfsPool) -> None:
    source = HostInput(Path("/proc"), Path("/sys"), pool, SkippedLines(), lambda: 5.0)
    for _ in range(2):  # the second time from kept descriptors
        values = values_of(source)
        assert values["machine_cpu_cores", ()] == psutil.cpu_count()
        assert values["machine_memory_bytes", ()] == psutil.virtual_memory().total
        assert values["node_time_seconds", ()] == 5.0
        assert values["node_load1", ()] == pytest.approx(psutil.getloadavg()[0], abs=0.5)
        roots = [value for (name, labels), value in values.items() if name == host.FS_SIZE.name and labels[1] == "/"]
        assert len(roots) == 1
        assert roots[0] > 0
    source.close()


def test_no_descriptor_is_left_open(pool: StatvfsPool) -> None:
    source, _ = recorded_input(pool)
    pool.usage(["/"])
    before = len(list(Path("/proc/self/fd").iterdir()))
    source.gather()
    assert len(list(Path("/proc/self/fd").iterdir())) > before
    source.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_idle_that_runs_backwards_stands_still_and_a_cpu_that_was_unplugged_counts_anew() -> None:
    before = (1.0, 1.0, 1.0, 100.0, 5.0)
    assert never_backwards(before, (2.0, 1.0, 1.0, 99.0, 4.0)) == (2.0, 1.0, 1.0, 100.0, 5.0)
    assert never_backwards(before, (0.1, 0.0, 0.1, 2.0, 0.0)) == (0.1, 0.0, 0.1, 2.0, 0.0)
    assert never_backwards(None, before) == before


def test_modes_that_an_old_kernel_lacks_are_absent() -> None:
    stat = parse_stat(b"cpu  1 2 3 4\ncpu0 100 0 50 1000\nintr 7 1 2 3\nctxt x\n", skipped := SkippedLines())
    assert stat.cpus["0"] == (1.0, 0.0, 0.5, 10.0)
    assert stat.counts == {b"intr": 7}
    assert skipped.count == 1


def test_two_sockets_with_equal_core_numbers_are_two_cores() -> None:
    data = b"processor : 0\nphysical id\t: 0\ncore id\t\t: 0\n\nprocessor : 1\nphysical id\t: 1\ncore id\t\t: 0\n"
    assert parse_cpuinfo(data) == Topology(processors=2, physical_cores=2, sockets=2)
    assert parse_cpuinfo(b"processor : 0\nBogoMIPS : 50\n") == Topology(1, 0, 0)


def test_meminfo_is_in_bytes_and_counts_of_pages_are_counts() -> None:
    skipped = SkippedLines()
    data = b"MemTotal:  100 kB\nHugePages_Total:   3\nOdd: 3 MB\nTorn: \n"
    assert parse_meminfo(data, skipped) == {"MemTotal": 102400, "HugePages_Total": 3}
    assert skipped.count == 2


def test_partitions_and_idle_loop_devices_do_not_count() -> None:
    row = b"   %d %d %s" + b" 1 2 3 4 5 6 7 8 9 10 11\n"
    names = (b"sda", b"sda1", b"nvme0n1", b"nvme0n1p2", b"vdb12", b"zram0", b"ram1", b"dm-0", b"loop3", b"md0")
    data = b"".join(row % (8, number, name) for number, name in enumerate(names)) + b" 7 9 loop9" + b" 0" * 11 + b"\n"
    assert list(parse_diskstats(data, SkippedLines())) == ["sda", "nvme0n1", "dm-0", "loop3", "md0"]


def test_pseudo_file_systems_and_those_of_containers_do_not_count() -> None:
    skipped = SkippedLines()
    data = (
        b"/dev/vda / ext4 rw,relatime 0 0\n"
        b"proc /proc proc rw 0 0\n"
        b"overlay /var/lib/docker/overlay2/x/merged overlay rw 0 0\n"
        b"/dev/loop3 /var/lib/vdbmon/volumes/a\\040b\\303\\244 ext4 ro,relatime 0 0\n"
        b"torn\n"
    )
    assert parse_mounts(data, skipped) == [
        Mount("/dev/vda", "/", "ext4", readonly=False),
        Mount("/dev/loop3", "/var/lib/vdbmon/volumes/a bä", "ext4", readonly=True),
    ]
    assert skipped.count == 1


def test_a_mount_over_another_hides_it() -> None:
    data = b"/dev/a /data ext4 rw 0 0\n/dev/b /data xfs ro 0 0\n"
    assert parse_mounts(data, SkippedLines()) == [Mount("/dev/b", "/data", "xfs", readonly=True)]


def test_mount_points_that_are_no_utf8_are_asked_by_their_bytes_and_stay_apart() -> None:
    mounts = parse_mounts(b"/dev/a /data\xff ext4 rw 0 0\n/dev/a /data\xfe ext4 rw 0 0\n", SkippedLines())
    assert [mount.point.encode(errors="surrogateescape") for mount in mounts] == [b"/data\xff", b"/data\xfe"]


def test_a_speed_is_read_again_when_the_link_changed_or_a_minute_later(tmp_path: Path) -> None:
    now = 100.0
    link = tmp_path / "eth0"
    link.mkdir()
    for name, text in (("operstate", "up\n"), ("carrier", "1\n"), ("mtu", "1500\n"), ("speed", "1000\n")):
        (link / name).write_text(text)
    reader = LinkReader(tmp_path, SkippedLines(), lambda: now)
    assert reader.read(["eth0"]) == {"eth0": Link("up", 1, 1500, 1000)}
    (link / "speed").write_text("2500\n")
    assert reader.read(["eth0"])["eth0"].speed == 1000
    now += SPEED_EVERY
    assert reader.read(["eth0"])["eth0"].speed == 2500
    (link / "speed").write_text("10\n")
    (link / "operstate").write_text("down\n")
    assert reader.read(["eth0"])["eth0"] == Link("down", 1, 1500, 10)
    assert reader.read([]) == {}
    reader.close()


@pytest.mark.parametrize(("data", "value"), [(b"-1\n", None), (b"", None), (None, None), (b"0\n", 0), (b"x\n", None)])
def test_an_attribute_that_is_no_number_is_unknown(data: bytes | None, value: int | None) -> None:
    assert parse_attribute(data, SkippedLines()) == value


def test_a_file_that_vanished_is_opened_anew_when_it_is_back(tmp_path: Path) -> None:
    files = KeptFiles(tmp_path)
    assert files.read_optional("x") is None
    (tmp_path / "x").write_text("1\n")
    assert files.read("x") == b"1\n"
    (tmp_path / "x").write_text("2\n")
    assert files.read("x") == b"2\n"
    files.close()


@given(st.binary(max_size=300))
def test_hostile_files_raise_nothing(data: bytes) -> None:
    skipped = SkippedLines()
    parse_stat(data, skipped)
    parse_cpuinfo(data)
    parse_meminfo(data, skipped)
    parse_vmstat(data, {b"oom_kill"}, skipped)
    parse_diskstats(data, skipped)
    parse_net_dev(data, skipped)
    parse_mounts(data, skipped)


@given(st.data())
def test_a_torn_recorded_file_gives_no_other_value(data: st.DataObject) -> None:
    """Cut anywhere: what is still read is what the whole file says."""
    for name, parse in (
        ("meminfo", lambda text: parse_meminfo(text, SkippedLines())),
        ("diskstats", lambda text: dict(parse_diskstats(text, SkippedLines()))),
        ("stat", lambda text: dict(parse_stat(text, SkippedLines()).cpus)),
        ("net/dev", lambda text: parse_net_dev(text, SkippedLines())),
    ):
        whole = (RECORDED / "proc" / name).read_bytes()
        torn = parse(whole[: data.draw(st.integers(0, len(whole)))])
        assert torn.items() <= parse(whole).items()
