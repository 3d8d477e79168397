"""Figures out of two readings."""

from typing import Any

import pytest

from collector.inputs import cgroup, docker, host, internal, network, ovs, process
from tests.support.top import IMAGE, container, reading
from vdbmon.top.measure import measure
from vdbmon.top.rows import ContainerRow, Group, HostRow, Use

KEY = ("backup", IMAGE)
MB = 1e6


def two(before: Any, now: Any, seconds: float = 2.0) -> HostRow:
    return measure(reading(now, clock=1000.0 + seconds), reading(before, clock=1000.0))


def only(row: HostRow) -> ContainerRow:
    (found,) = row.containers
    return found


def test_gauges_and_limits_need_one_reading_and_rates_two() -> None:
    values: Any = {
        **container(cpu=10.0),
        cgroup.SPEC_CPU_QUOTA: {KEY: 150_000},
        cgroup.SPEC_CPU_PERIOD: {KEY: 100_000},
        cgroup.MEMORY_WORKING_SET: {KEY: 300},
        cgroup.SPEC_MEMORY_LIMIT: {KEY: 1000},
    }
    row = only(measure(reading(values, clock=1000.0), None))
    assert (row.name, row.image) == KEY
    assert row.figures.cpu == Use(None, 1.5)
    assert row.figures.memory == Use(300, 1000)
    after = only(two(values, {**values, **container(cpu=13.0)}))
    assert after.figures.cpu == Use(1.5, 1.5)


def test_a_container_that_began_anew_has_no_rate_until_the_next_reading() -> None:
    assert only(two(container(cpu=1e6), container(cpu=0.5))).figures.cpu.used is None
    assert only(two(container(cpu=0.5), container(cpu=1.5))).figures.cpu.used == pytest.approx(0.5)


def test_a_container_that_was_not_there_before_has_no_rate() -> None:
    assert only(two({}, container(cpu=1e6))).figures.cpu.used is None


def test_the_same_collection_or_a_clock_set_back_gives_no_rate() -> None:
    assert only(two(container(cpu=1.0), container(cpu=9.0), seconds=0.0)).figures.cpu.used is None
    assert only(two(container(cpu=1.0), container(cpu=9.0), seconds=-3600.0)).figures.cpu.used is None


def test_of_several_devices_the_one_nearest_its_limit_is_shown() -> None:
    moved = {(*KEY, "/dev/vda"): 0.0, (*KEY, "/dev/loop0"): 0.0, (*KEY, "/dev/vdb"): 0.0}
    limits = {cgroup.IO_LIMIT_READ_BPS: {(*KEY, "/dev/vda"): 50 * MB, (*KEY, "/dev/loop0"): 10 * MB}}
    before = {**container(), **limits, cgroup.FS_READ_BYTES: moved}
    after = {device: amount * MB for device, amount in zip(moved, (40, 18, 60), strict=True)}
    figures = only(two(before, {**container(), **limits, cgroup.FS_READ_BYTES: after})).figures
    assert figures.read == Use(9 * MB, 10 * MB)
    assert figures.write == Use()


def test_an_unlimited_device_is_shown_where_the_limited_one_is_idle() -> None:
    limits = {cgroup.IO_LIMIT_WRITE_BPS: {(*KEY, "/dev/vda"): 50 * MB}}
    moved = {(*KEY, "/dev/vda"): 0.0, (*KEY, "/dev/vdb"): 0.0}
    before = {**container(), **limits, cgroup.FS_WRITE_BYTES: moved}
    after = {**container(), **limits, cgroup.FS_WRITE_BYTES: {**moved, (*KEY, "/dev/vdb"): 2 * MB}}
    assert only(two(before, after)).figures.write == Use(MB, None)


def test_throttling_is_a_share_of_the_periods() -> None:
    def counted(periods: float, throttled: float) -> dict[Any, Any]:
        return {**container(), cgroup.CFS_PERIODS: {KEY: periods}, cgroup.CFS_THROTTLED_PERIODS: {KEY: throttled}}

    assert only(two(counted(100, 40), counted(120, 45))).figures.throttled == 0.25
    assert only(two(counted(100, 40), counted(100, 40))).figures.throttled == 0.0
    assert only(two(container(), container())).figures.throttled is None


def test_groups_are_in_the_order_of_their_cpu() -> None:
    def used(mariadb: float, zstd: float) -> dict[Any, Any]:
        count = {(*KEY, "mariadbd"): 1, (*KEY, "zstd"): 4}
        return {
            **container(),
            process.COUNT: count,
            process.CPU: {(*KEY, "mariadbd"): mariadb, (*KEY, "zstd"): zstd},
        }

    assert only(two(used(1, 1), used(2, 4))).groups == (Group("zstd", 4, 1.5), Group("mariadbd", 1, 0.5))


def net(*interfaces: str, moved: float = 0.0) -> dict[Any, Any]:
    return {
        **container(),
        network.RECEIVE_BYTES: {(*KEY, name): moved for name in interfaces},
        network.TRANSMIT_BYTES: {(*KEY, name): 2 * moved for name in interfaces},
    }


def switch(*interfaces: str) -> dict[Any, Any]:
    return {
        ovs.CONTAINER_INFO: {(name, *KEY): 1 for name in interfaces},
        ovs.POLICING_RATE: {("br0", name, name, ""): 8000 for name in interfaces},
        ovs.QOS_MAX_RATE: {("br0", name): 16_000_000 for name in interfaces},
    }


def test_open_vswitch_limits_what_a_container_sends_and_receives() -> None:
    figures = only(two({**net("eth0"), **switch("v1")}, {**net("eth0", moved=MB), **switch("v1")})).figures
    assert figures.received == Use(0.5 * MB, 2 * MB)
    assert figures.sent == Use(MB, MB)


def test_a_limit_of_one_interface_out_of_two_is_none() -> None:
    figures = only(two({**net("eth0", "eth1"), **switch("v1")}, {**net("eth0", "eth1", moved=MB), **switch("v1")}))
    assert figures.figures.received == Use(MB, None)


def test_a_host_has_busy_cores_its_memory_and_its_busiest_devices() -> None:
    def at(idle: float, moved: float) -> dict[Any, Any]:
        return {
            host.CPU_CORES: {(): 2},
            host.CPU_SECONDS: {(cpu, mode): idle for cpu in "01" for mode in ("idle", "iowait")},
            host.MEMORY["MemTotal"]: {(): 1000},
            host.MEMORY["MemAvailable"]: {(): 400},
            host.DISK_READ_BYTES: {("vda",): 2 * moved, ("vda1",): 2 * moved, ("loop0",): moved},
            host.NET_RECEIVE_BYTES: {("lo",): 9 * moved, ("eth0",): 4 * moved, ("br0",): 3 * moved},
            host.NET_SPEED: {("eth0",): 125 * MB},
        }

    figures = two(at(0.0, 0.0), at(0.6, MB)).figures
    assert figures.cpu.used == pytest.approx(0.8)
    assert figures.cpu.limit == 2
    assert figures.memory == Use(600, 1000)
    assert figures.read == Use(MB, None)
    assert figures.received == Use(2 * MB, 125 * MB)


def test_a_cpu_that_comes_or_goes_is_no_busy_host() -> None:
    before: Any = {host.CPU_CORES: {(): 1}, host.CPU_SECONDS: {("0", "idle"): 100.0}}
    now: Any = {host.CPU_CORES: {(): 2}, host.CPU_SECONDS: {("0", "idle"): 102.0, ("1", "idle"): 5.0}}
    assert two(before, now).figures.cpu == Use(None, 2)


def test_what_is_wrong_is_said_in_words() -> None:
    def warnings(values: Any) -> tuple[str, ...]:
        return measure(reading(values, clock=1.0), None).warnings

    silent = {docker.PROBE_SUCCESS: {("ping",): 1, ("info",): 0}, docker.HANG_PATTERN: {(): 0}}
    assert warnings(silent) == ("Docker does not answer",)
    assert warnings({**silent, docker.HANG_PATTERN: {(): 1}}) == ("Docker hangs",)
    inputs = {internal.INPUT_UP: {("cgroup",): 0, ("host",): 1, ("process",): 0}}
    assert warnings(inputs) == ("no figures from cgroup, process",)
