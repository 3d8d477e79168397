"""Samples of the host and the agent as telegraf's points; containers are in test_telegraf_containers.py."""

import math

import pytest

from collector import catalogue
from collector.catalogue import cgroup, host, internal, ovs, process, tables
from collector.metrics import Metric, Sample
from collector.projections.telegraf import TelegrafProjection
from collector.projections.telegraf_computed import uptime_format
from collector.projections.telegraf_names import RULES, rules_of
from tests.support.points import NOW, SECOND, fields_of, project

CONTAINER = ("backup-1", "registry:5000/mariadb:10.11")


def cpu_times(cpu: str = "0", **modes: float) -> list[Sample]:
    return [host.CPU_SECONDS.sample(seconds, cpu, mode) for mode, seconds in modes.items()]


def guest_times(user: float, nice: float) -> list[Sample]:
    return [host.CPU_GUEST_SECONDS.sample(seconds, "0", mode) for mode, seconds in (("user", user), ("nice", nice))]


@pytest.mark.parametrize(
    "metric", [metric for metric in catalogue.METRICS.values() if rules_of(metric)], ids=lambda metric: metric.name
)
def test_every_metric_is_projected_somewhere(metric: Metric) -> None:
    labels = tuple(_LABELS.get((metric, name), f"{name}-value") for name in metric.labels)
    points = project(Sample(metric, labels, 2.0), *_companions(metric, labels))
    assert points
    assert all(point.fields and not any(name.startswith("_") for name in point.fields) for point in points)
    assert all(dict(point.tags)["host"] == "host-1" for point in points)


# Values that a rule waits for.
_LABELS = {
    (tables.PROCESSES, "state"): "R",
    (cgroup.MEMORY_FAILURES, "failure_type"): "pgfault",
    (cgroup.MEMORY_FAILURES, "scope"): "container",
    (host.CPU_GUEST_SECONDS, "mode"): "user",
}


def _companions(metric: Metric, labels: tuple[str, ...]) -> list[Sample]:
    """What a metric that is only a part of a computed field needs beside it."""
    if metric in (host.FS_FREE, host.FS_READONLY):
        return [host.FS_SIZE.sample(4, *labels)]
    return []


def test_what_goes_nowhere_is_told_by_another_metric() -> None:
    nowhere = {metric.name for metric in catalogue.METRICS.values() if not rules_of(metric)}
    assert nowhere == {cgroup.FS_READ_BYTES.name, cgroup.FS_WRITE_BYTES.name}  # by BLKIO_USAGE


def test_rules_name_declared_metrics_only() -> None:
    assert set(RULES) <= set(catalogue.METRICS.values())


def test_host_cpu_in_per_cent_of_the_time_between_two_readings() -> None:
    projection = TelegrafProjection("host-1")
    first = projection.project(cpu_times(user=100, system=50, idle=850, iowait=0), NOW)
    assert fields_of(first, "cpu", cpu="cpu0") == {
        "time_user": 100.0,
        "time_system": 50.0,
        "time_idle": 850.0,
        "time_iowait": 0.0,
        "time_guest": 0.0,
        "time_guest_nice": 0.0,
        "time_active": 150.0,
    }
    second = projection.project(cpu_times(user=104, system=51, idle=855, iowait=0), NOW + 10 * SECOND)
    for cpu in ("cpu0", "cpu-total"):
        fields = fields_of(second, "cpu", cpu=cpu)
        assert (fields["usage_user"], fields["usage_system"], fields["usage_idle"]) == (40.0, 10.0, 50.0)
        assert (fields["usage_guest"], fields["usage_active"]) == (0.0, 50.0)


def test_cpu_total_is_the_sum_of_all_cpus() -> None:
    points = project(*cpu_times("0", user=1, idle=2), *cpu_times("1", user=10, idle=20))
    fields = fields_of(points, "cpu", cpu="cpu-total")
    assert (fields["time_user"], fields["time_idle"], fields["time_active"]) == (11.0, 22.0, 11.0)


def test_the_time_of_virtual_machines_is_no_users_time() -> None:
    projection = TelegrafProjection("host-1")
    projection.project([*cpu_times(user=100, nice=10, idle=890), *guest_times(30, 5)], NOW)
    now = [*cpu_times(user=106, nice=11, idle=893), *guest_times(34, 6)]
    fields = fields_of(projection.project(now, NOW + 10 * SECOND), "cpu", cpu="cpu0")
    assert (fields["time_user"], fields["time_guest"], fields["time_guest_nice"]) == (106.0, 34.0, 6.0)
    assert [fields[f"usage_{mode}"] for mode in ("user", "guest", "nice", "guest_nice", "idle", "active")] == [
        *(20.0, 40.0, 0.0, 10.0, 30.0),
        70.0,
    ]


def test_idle_time_that_runs_backwards_gives_no_negative_share() -> None:
    projection = TelegrafProjection("host-1")
    projection.project(cpu_times(user=100, idle=850), NOW)
    fields = fields_of(projection.project(cpu_times(user=110, idle=849), NOW + 10 * SECOND), "cpu", cpu="cpu0")
    assert (fields["usage_idle"], fields["usage_user"]) == (0.0, 100.0)


def test_two_readings_of_the_same_moment_give_no_shares() -> None:
    projection = TelegrafProjection("host-1")
    samples = [*cpu_times(user=1, idle=1), cgroup.CPU_USAGE.sample(1, *CONTAINER, "total")]
    assert projection.project(samples, NOW) == projection.project(samples, NOW)


def test_what_was_not_read_once_is_not_compared_with_what_was_before_that() -> None:
    projection = TelegrafProjection("host-1")
    projection.project(cpu_times(user=1, idle=1), NOW)
    projection.project([host.LOAD1.sample(1)], NOW + 10 * SECOND)
    assert "usage_user" not in fields_of(
        projection.project(cpu_times(user=2, idle=2), NOW + 20 * SECOND), "cpu", cpu="cpu0"
    )


def test_host_memory_with_telegrafs_meanings() -> None:
    values = {
        "MemTotal": 1000,
        "MemFree": 200,
        "MemAvailable": 700,
        "Buffers": 50,
        "Cached": 400,
        "SReclaimable": 100,
        "SwapTotal": 80,
        "SwapFree": 60,
    }
    points = project(*(host.MEMORY[name].sample(value) for name, value in values.items()))
    memory = fields_of(points, "mem")
    assert (memory["cached"], memory["used"], memory["used_percent"], memory["available_percent"]) == (
        500,
        250,
        25.0,
        70.0,
    )
    assert fields_of(points, "swap") == {"total": 80, "free": 60, "used": 20, "used_percent": 25.0}


@pytest.mark.parametrize(("readonly", "mode"), [(0, "rw"), (1, "ro")])
def test_filesystem_free_is_what_others_than_root_may_fill(readonly: int, mode: str) -> None:
    labels = ("/dev/vda1", "/srv", "ext4", "")
    points = project(
        host.FS_SIZE.sample(100, *labels),
        host.FS_FREE.sample(40, *labels),
        host.FS_AVAIL.sample(20, *labels),
        host.FS_FILES.sample(10, *labels),
        host.FS_FILES_FREE.sample(4, *labels),
        host.FS_READONLY.sample(readonly, *labels),
    )
    assert fields_of(points, "disk", path="/srv", device="vda1", fstype="ext4", mode=mode) == {
        "total": 100,
        "free": 20,
        "used": 60,
        "used_percent": 75.0,
        "inodes_total": 10,
        "inodes_free": 4,
        "inodes_used": 6,
        "inodes_used_percent": 60.0,
    }


def test_a_filesystem_that_hangs_has_no_point() -> None:
    assert project(host.FS_READONLY.sample(0, "srv:/x", "/srv", "nfs", "mountpoint timeout")) == []


def disk(reads: int, writes: int, read_time: float, write_time: float, io_time: float) -> list[Sample]:
    return [
        host.DISK_READS.sample(reads, "vda"),
        host.DISK_WRITES.sample(writes, "vda"),
        host.DISK_READ_TIME.sample(read_time, "vda"),
        host.DISK_WRITE_TIME.sample(write_time, "vda"),
        host.DISK_IO_TIME.sample(io_time, "vda"),
    ]


def test_how_busy_and_how_slow_a_disk_was() -> None:
    projection = TelegrafProjection("host-1")
    first = fields_of(projection.project(disk(10, 20, 1.0, 2.0, 2.5), NOW), "diskio")
    assert first == {"reads": 10, "writes": 20, "read_time": 1000, "write_time": 2000, "io_time": 2500}
    second = fields_of(projection.project(disk(20, 50, 1.1, 2.3, 4.5), NOW + 10 * SECOND), "diskio")
    assert (second["io_await"], second["io_svctm"], second["io_util"]) == (400 / 40, 2000 / 40, 20.0)


def test_a_disk_at_rest_has_no_times_a_request_and_one_that_came_anew_nothing_computed() -> None:
    projection = TelegrafProjection("host-1")
    projection.project(disk(10, 20, 1.0, 2.0, 2.5), NOW)
    rest = fields_of(projection.project(disk(10, 20, 1.0, 2.0, 2.5), NOW + 10 * SECOND), "diskio")
    assert rest["io_util"] == 0.0
    assert not {"io_await", "io_svctm"} & rest.keys()
    anew = fields_of(projection.project(disk(1, 1, 0.0, 0.0, 0.0), NOW + 20 * SECOND), "diskio")
    assert not {"io_await", "io_svctm", "io_util"} & anew.keys()


def test_units_of_pressure_boot_time_and_link_speed() -> None:
    points = project(
        host.PRESSURE["io", "some"].sample(0.000_002),
        host.BOOT_TIME.sample(NOW / SECOND - 100),
        host.LOAD1.sample(1),
        host.NET_SPEED.sample(125_000_000, "eth0"),
    )
    assert fields_of(points, "pressure", resource="io", type="some") == {"total": 2}
    assert fields_of(points, "system") == {"uptime": 100, "uptime_format": " 0:01", "load1": 1.0}
    assert fields_of(points, "kernel") == {"boot_time": 1_699_999_900}
    assert fields_of(points, "net", interface="eth0") == {"speed": 1000}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, " 0:00"), (3600 * 11 + 60 * 7, "11:07"), (86400, "1 day,  0:00"), (86400 * 14 + 3600 * 11, "14 days, 11:00")],
)
def test_uptime_in_words(seconds: int, text: str) -> None:
    assert uptime_format(seconds) == text


def test_protocols_are_a_network_interface_called_all() -> None:
    points = project(host.NETSTAT["Tcp", "RetransSegs"].sample(7), host.NETSTAT["Udp", "NoPorts"].sample(3))
    assert fields_of(points, "net", interface="all") == {"tcp_retranssegs": 7, "udp_noports": 3}


def test_processes_by_state() -> None:
    points = project(
        tables.PROCESSES.sample(2, "R"),
        tables.PROCESSES.sample(1, "Z"),
        tables.PIDS.sample(3),
        host.THREADS.sample(40),
    )
    assert fields_of(points, "processes") == {"running": 2, "zombies": 1, "total": 3, "total_threads": 40}


def test_the_agent_about_itself() -> None:
    points = project(
        internal.INPUT_DURATION.sample(0.002, "cgroup"),
        internal.INPUT_ERRORS.sample(1, "cgroup"),
        internal.INPUT_ERRORS.sample(2, "host"),
        internal.OUTPUT_QUEUED.sample(10, "influxdb_v2:x"),
        internal.OUTPUT_WRITTEN.sample(100, "influxdb_v2:x"),
        internal.OUTPUT_DROPPED.sample(3, "influxdb_v2:x", "overflow"),
        internal.OUTPUT_DROPPED.sample(4, "influxdb_v2:x", "rejected"),
    )
    assert fields_of(points, "internal_gather", input="cgroup") == {"gather_time_ns": 2_000_000, "errors": 1}
    assert fields_of(points, "internal_write", output="influxdb_v2:x") == {
        "buffer_size": 10,
        "metrics_written": 100,
        "metrics_dropped": 7,
        "metrics_rejected": 4,
    }
    assert fields_of(points, "internal_agent") == {
        "gather_errors": 3,
        "metrics_written": 100,
        "metrics_dropped": 7,
    }


def test_what_telegraf_has_no_name_for_goes_where_its_prometheus_input_puts_it() -> None:
    points = project(
        ovs.CONFIG_PENDING.sample(2),
        process.CPU.sample(1.5, *CONTAINER, "mariadbd"),
        internal.BUILD_INFO.sample(1, "0.1.0"),
    )
    assert fields_of(points, "prometheus", name="backup-1", image=CONTAINER[1], group="mariadbd") == {
        "vdbmon_process_cpu_seconds_total": 1.5
    }
    assert fields_of(points, "prometheus", version="0.1.0") == {"vdbmon_build_info": 1.0}
    assert {"vdbmon_ovs_config_pending": 2.0} in [point.fields for point in points]


def test_what_is_no_number_is_left_out() -> None:
    assert project(cgroup.FS_READS.sample(math.nan, *CONTAINER, "vda")) == []


def test_a_series_that_was_no_number_once_is_there_again() -> None:
    projection = TelegrafProjection("host-1")
    for value, fields in ((1, {"load": 1}), (math.inf, None), (3, {"load": 3})):
        points = projection.project([host.FILES_ALLOCATED.sample(value)], NOW)
        assert [point.fields for point in points] == ([{"file-nr": fields["load"]}] if fields else [])


def test_what_is_kept_does_not_grow_while_containers_come_and_go() -> None:
    projection = TelegrafProjection("host-1")
    for number in range(50):
        projection.project([cgroup.CPU_USAGE.sample(1, f"backup-{number}", "image", "total")], NOW + number)
    assert (sum(map(len, projection._targets.values())), len(projection._series)) == (1, 1)


def test_what_is_kept_does_not_change_what_is_said() -> None:
    kept = TelegrafProjection("host-1")
    for number in range(3):
        samples = [
            *cpu_times(user=number, idle=number),
            *disk(number, 1, 1, 1, 1),
            cgroup.CPU_USAGE.sample(number, f"backup-{number}", "image", "total"),
            host.LOAD1.sample(number),
        ]
        fresh = TelegrafProjection("host-1").project(samples, NOW + number)
        found = kept.project(samples, NOW + number)
        assert [(point.measurement, point.tags) for point in found] == [(p.measurement, p.tags) for p in fresh]
        assert all(one.fields.items() <= other.fields.items() for one, other in zip(fresh, found, strict=True))
