import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import VdbmonError
from collector.inputs import tables
from collector.inputs.tables import (
    TablesInput,
    parse_arp,
    parse_neighbour_statistics,
    parse_upcalls,
)
from collector.kernelfile import SkippedLines
from collector.metrics import Metric, Sample
from collector.settings import OvsSettings
from collector.thin_pools import ThinPool, may_have_thin_pools, parse_thin_pools, thin_pool_status
from tests.support.wait import wait_until

ARP = b"""\
IP address       HW type     Flags       HW address            Mask     Device
192.0.2.1        0x1         0x2         02:fc:00:00:00:05     *        eth0
192.0.2.7        0x1         0x0         00:00:00:00:00:00     *        eth0
172.17.0.2       0x1         0x2         02:42:ac:11:00:02     *        docker0
"""
ARP_CACHE = b"""\
entries  allocs   destroys hash_grows lookups  hits     res_failed table_fulls
0000001f 00000003 00000002 00000000   00000102 00000000 00000000   00000002
0000001f 00000009 00000008 00000000   00000108 00000014 00000000   00000010
"""
UPCALLS = """\
system@ovs-system:
  flows         : (current 17) (avg 12) (max 134) (limit 200000)
  offloaded flows : 3
  dump duration : 1ms
  ufid enabled : true

  4: (keys 17)
netdev@ovs-netdev:
  flows         : (current 2) (avg 2) (max 3) (limit 82000)
"""
# START LENGTH thin-pool and what Documentation/admin-guide/device-mapper/thin-provisioning.rst says under `Status`.
POOLS = b"""\
docker-pool: 0 209715200 thin-pool 12 241/4161600 10240/1638400 - rw no_discard_passdown queue_if_no_space - 1024
vg--a-pool: 0 2097152 thin-pool 0 12/1024 16384/16384 - out_of_data_space discard_passdown error_if_no_space - 1024
sick: 0 2097152 thin-pool 0 12/1024 1/16384 77 rw discard_passdown queue_if_no_space needs_check 1024
broken: 0 2097152 thin-pool Fail
"""


PROCESS_LANE = {tables.PROCESSES, tables.PIDS, tables.TABLE_UP, tables.LAST_SUCCESS}


def by_metric(samples: list[Sample]) -> dict[tuple[Metric, tuple[str, ...]], float]:
    return {(sample.metric, sample.labels): sample.value for sample in samples}


def write(folder: Path, path: str, content: bytes) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(content)


def source(folder: Path) -> TablesInput:
    settings = OvsSettings(db_socket=folder / "no-openvswitch" / "db.sock")
    return TablesInput(folder / "proc", folder / "sys", settings, SkippedLines(), lambda: 100.0)


def test_neighbours_stand_beside_their_limits(tmp_path: Path) -> None:
    write(tmp_path, "proc/1/net/arp", ARP)
    write(tmp_path, "proc/net/stat/arp_cache", ARP_CACHE)
    write(tmp_path, "proc/sys/net/ipv4/neigh/default/gc_thresh3", b"1024\n")
    found = by_metric(source(tmp_path).gather())
    assert {key: value for key, value in found.items() if key[0] not in PROCESS_LANE} == {
        (tables.ARP_ENTRIES, ("eth0",)): 2,
        (tables.ARP_ENTRIES, ("docker0",)): 1,
        (tables.NEIGHBOURS, ("ipv4",)): 31,
        (tables.NEIGHBOUR_FULL, ("ipv4",)): 18,
        (tables.NEIGHBOUR_LIMIT, ("ipv4", "gc_thresh3")): 1024,
    }


def test_a_neighbour_that_is_listed_twice_counts_once() -> None:
    lines = ARP.splitlines(keepends=True)
    assert parse_arp(b"".join([*lines, lines[1]]), SkippedLines()) == parse_arp(ARP, SkippedLines())


@pytest.mark.parametrize("odd", [b"-0000001", b"+1", b"1_0", b"0x1f", b"f" * 17, b"9" * 5000, b"\xd9\xa3"])
def test_a_number_that_no_kernel_writes_costs_its_line(odd: bytes) -> None:
    skipped = SkippedLines()
    found = parse_neighbour_statistics(ARP_CACHE.replace(b"00000010", odd), skipped)
    assert (found["table_fulls"], skipped.count) == (2, 1)


@pytest.mark.parametrize("odd", ["-1", "\u0663", "9" * 21, "9" * 5000, "1_0"])
def test_a_number_that_no_switch_or_pool_has_costs_its_line(odd: str) -> None:
    assert parse_upcalls(UPCALLS.replace("(current 17)", f"(current {odd})")).keys() == {"netdev@ovs-netdev"}
    skipped = SkippedLines()
    pools = parse_thin_pools(POOLS.replace(b"10240/", f"{odd}/".encode()), skipped)
    assert set(pools) == {"vg--a-pool", "sick", "broken"}
    assert skipped.count == 1


def test_processes_are_counted_by_state(tmp_path: Path) -> None:
    for number, stat in enumerate((b"1 (a b) S 0", b"2 (c) ) R 0", b"3 (d) t 0", b"4 (e) T 0", b"5 (f) D 0", b""), 1):
        write(tmp_path, f"proc/{number}/stat", stat)
    write(tmp_path, "proc/sys/kernel/pid_max", b"4194304\n")
    (tmp_path / "proc/7").mkdir()  # it ended
    asked = source(tmp_path)
    found = wait_until(
        lambda: {
            key: value for key, value in by_metric(asked.gather()).items() if key[0] in (tables.PROCESSES, tables.PIDS)
        },
        deadline=10,
        what="the first round",
    )
    states = dict.fromkeys(tables.PROCESS_STATES, 0) | {"S": 1, "R": 1, "T": 2, "D": 1}
    assert found == {(tables.PROCESSES, (state,)): count for state, count in states.items()} | {(tables.PIDS, ()): 5}
    assert by_metric(asked.gather())[tables.PIDS_LIMIT, ()] == 4194304


def test_conntrack_is_absent_without_its_module(tmp_path: Path) -> None:
    assert [sample for sample in source(tmp_path).gather() if sample.metric not in PROCESS_LANE] == []
    write(tmp_path, "proc/sys/net/netfilter/nf_conntrack_count", b"30\n")
    write(tmp_path, "proc/sys/net/netfilter/nf_conntrack_max", b"262144\n")
    found = by_metric(source(tmp_path).gather())
    assert {key: value for key, value in found.items() if key[0] not in PROCESS_LANE} == {
        (tables.CONNTRACK, ()): 30,
        (tables.CONNTRACK_LIMIT, ()): 262144,
    }


def test_flows_are_read_by_datapath() -> None:
    assert parse_upcalls(UPCALLS) == {"system@ovs-system": (17, 200_000), "netdev@ovs-netdev": (2, 82_000)}


def test_thin_pools_are_read_as_the_kernels_document_says() -> None:
    skipped = SkippedLines()
    assert parse_thin_pools(POOLS, skipped) == {
        "docker-pool": ThinPool((241, 4161600), (10240, 1638400), writable=True),
        "vg--a-pool": ThinPool((12, 1024), (16384, 16384), writable=False),
        "sick": ThinPool((12, 1024), (1, 16384), writable=False),
        "broken": ThinPool((0, 0), (0, 0), writable=False),
    }
    assert skipped.count == 0


def test_a_host_without_thin_pools_has_none_and_a_torn_line_is_counted() -> None:
    skipped = SkippedLines()
    assert parse_thin_pools(b"No devices found\n", skipped) == {}
    assert skipped.count == 0
    torn = b"docker-pool: 0 209715200 thin-pool 12 241/41 102\nhome: 0 8 linear\nsick: 0 2097152 thin-pool 0 12/1024"
    assert parse_thin_pools(torn, skipped) == {}
    assert skipped.count == 3


def test_device_mapper_is_asked_only_where_there_is_a_device_of_it(tmp_path: Path) -> None:
    (tmp_path / "control").touch()
    there = tmp_path / "proc", tmp_path / "sys", tmp_path / "control"
    assert not may_have_thin_pools(*there)
    write(tmp_path, "proc/partitions", b"major minor  #blocks  name\n\n 254        0   62914560 vda\n")
    assert not may_have_thin_pools(*there)
    write(tmp_path, "proc/partitions", b"major minor  #blocks  name\n\n 253        0   62914560 dm-0\n")
    assert may_have_thin_pools(*there)


@pytest.mark.parametrize(("name", "asks"), [(b"vg-root\n", False), (b"vg-docker-tpool\n", True)])
def test_who_may_not_ask_the_device_mapper_tries_only_where_there_is_a_pool(
    tmp_path: Path, name: bytes, *, asks: bool
) -> None:
    write(tmp_path, "proc/partitions", b" 253        0   62914560 dm-0\n")
    write(tmp_path, "sys/block/dm-0/dm/name", name)
    assert may_have_thin_pools(tmp_path / "proc", tmp_path / "sys", tmp_path / "no-control") == asks


@pytest.mark.parametrize("command", [("/nonexistent/dmsetup",), (sys.executable, "-c", "raise SystemExit(3)")])
def test_a_dmsetup_that_fails_is_an_error_of_one_line(command: tuple[str, ...]) -> None:
    with pytest.raises(VdbmonError, match="thin pools can't be read") as caught:
        thin_pool_status(command)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=300))
def test_hostile_files_raise_nothing(data: bytes) -> None:
    parse_arp(data, SkippedLines())
    parse_neighbour_statistics(data, SkippedLines())
    parse_thin_pools(data, SkippedLines())
    parse_upcalls(data.decode(errors="replace"))


blocks = st.tuples(st.integers(0, 2**40), st.integers(0, 2**40))


@given(metadata=blocks, data=blocks, root=st.just("-") | st.integers(0, 99).map(str), writable=st.booleans())
def test_every_pool_of_the_documented_form_is_read(
    metadata: tuple[int, int], data: tuple[int, int], root: str, *, writable: bool
) -> None:
    mode = "rw" if writable else "ro"
    line = (
        f"pool: 0 9 thin-pool 1 {metadata[0]}/{metadata[1]} {data[0]}/{data[1]} {root} {mode} "
        "no_discard_passdown queue_if_no_space - 1024\n"
    )
    skipped = SkippedLines()
    assert parse_thin_pools(line.encode(), skipped) == {"pool": ThinPool(metadata, data, writable)}
    assert skipped.count == 0
