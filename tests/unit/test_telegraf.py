import math

import pytest

from collector import catalogue
from collector.catalogue import cgroup, containers, host, internal, network, process
from collector.metrics import Metric, Sample
from collector.projections.point import FieldValue, Point
from collector.projections.telegraf import TelegrafProjection
from collector.projections.telegraf_names import RULES, split_image

SECOND = 10**9
NOW = 1_700_000_000 * SECOND
CONTAINER = ("backup-1", "registry:5000/mariadb:10.11")
CONTAINER_TAGS = {
    "container_name": "backup-1",
    "container_image": "registry:5000/mariadb",
    "container_version": "10.11",
    "host": "host-1",
}


def project(*samples: Sample) -> list[Point]:
    return TelegrafProjection("host-1").project(samples, NOW)


def fields_of(points: list[Point], measurement: str, **tags: str) -> dict[str, FieldValue]:
    found = [dict(p.fields) for p in points if p.measurement == measurement and tags.items() <= dict(p.tags).items()]
    assert len(found) == 1
    return found[0]


def cpu_times(**modes: float) -> list[Sample]:
    return [host.CPU_SECONDS.sample(seconds, "0", mode) for mode, seconds in modes.items()]


@pytest.mark.parametrize("metric", catalogue.METRICS.values(), ids=lambda metric: metric.name)
def test_every_metric_is_projected_somewhere(metric: Metric) -> None:
    labels = tuple(f"{name}-value" for name in metric.labels)
    points = project(Sample(metric, labels, 2.0), *_companions(metric, labels))
    assert points
    assert all(point.fields and not any(name.startswith("_") for name in point.fields) for point in points)
    assert all(dict(point.tags)["host"] == "host-1" for point in points)


def _companions(metric: Metric, labels: tuple[str, ...]) -> list[Sample]:
    """What a metric that is only a part of a computed field needs beside it."""
    return [host.FS_SIZE.sample(4, *labels)] if metric is host.FS_FREE else []


def test_rules_name_declared_metrics_only() -> None:
    assert set(RULES) <= set(catalogue.METRICS.values())


def test_container_cpu_is_in_nanoseconds() -> None:
    points = project(cgroup.CPU_USAGE.sample(1.5, *CONTAINER, "total"), cgroup.CPU_USER.sample(0.25, *CONTAINER))
    assert points == [
        Point(
            "docker_container_cpu",
            tuple(sorted({**CONTAINER_TAGS, "cpu": "cpu-total"}.items())),
            {"usage_total": 1_500_000_000, "usage_in_usermode": 250_000_000},
            NOW,
        )
    ]


def test_container_cpu_percent_needs_two_readings_and_counts_one_core_as_100() -> None:
    projection = TelegrafProjection("host-1")
    assert "usage_percent" not in projection.project([cgroup.CPU_USAGE.sample(10, *CONTAINER, "total")], NOW)[0].fields
    later = projection.project([cgroup.CPU_USAGE.sample(25, *CONTAINER, "total")], NOW + 10 * SECOND)
    assert fields_of(later, "docker_container_cpu")["usage_percent"] == 150.0
    restarted = projection.project([cgroup.CPU_USAGE.sample(1, *CONTAINER, "total")], NOW + 20 * SECOND)
    assert "usage_percent" not in restarted[0].fields


def test_container_memory_leaves_out_page_cache() -> None:
    fields = fields_of(
        project(
            cgroup.MEMORY_USAGE.sample(1000, *CONTAINER),
            cgroup.MEMORY_CACHE.sample(600, *CONTAINER),
            cgroup.SPEC_MEMORY_LIMIT.sample(2000, *CONTAINER),
        ),
        "docker_container_mem",
        **CONTAINER_TAGS,
    )
    assert fields == {"cache": 600, "limit": 2000, "usage": 400, "usage_percent": 20.0}


def test_container_without_memory_limit_is_measured_against_the_machine() -> None:
    points = project(cgroup.MEMORY_USAGE.sample(1000, *CONTAINER), host.MEMORY["MemTotal"].sample(4000))
    assert fields_of(points, "docker_container_mem") == {"limit": 4000, "usage": 1000, "usage_percent": 25.0}


def test_page_faults_are_fields() -> None:
    points = project(cgroup.MEMORY_FAILURES.sample(7, *CONTAINER, "pgmajfault", "hierarchy"))
    assert fields_of(points, "docker_container_mem") == {"total_pgmajfault": 7}


def test_block_io_and_network_of_a_container() -> None:
    points = project(
        cgroup.FS_WRITE_BYTES.sample(4096, *CONTAINER, "/dev/vda"),
        cgroup.FS_WRITES.sample(2, *CONTAINER, "/dev/vda"),
        network.RECEIVE_BYTES.sample(99, *CONTAINER, "eth0"),
    )
    assert fields_of(points, "docker_container_blkio", device="/dev/vda") == {
        "io_service_bytes_recursive_write": 4096,
        "io_serviced_recursive_write": 2,
    }
    assert fields_of(points, "docker_container_net", network="eth0") == {"rx_bytes": 99}


def test_start_time_and_count_of_containers() -> None:
    points = project(cgroup.START_TIME.sample(NOW / SECOND - 60, *CONTAINER), containers.RUNNING.sample(3))
    assert fields_of(points, "docker_container_status") == {"started_at": NOW - 60 * SECOND, "uptime_ns": 60 * SECOND}
    assert fields_of(points, "docker") == {"n_containers_running": 3}


def test_host_cpu_in_per_cent_of_the_time_between_two_readings() -> None:
    projection = TelegrafProjection("host-1")
    first = projection.project(cpu_times(user=100, system=50, idle=850, iowait=0), NOW)
    assert fields_of(first, "cpu", cpu="cpu0") == {
        "time_user": 100.0,
        "time_system": 50.0,
        "time_idle": 850.0,
        "time_iowait": 0.0,
    }
    second = projection.project(cpu_times(user=104, system=51, idle=855, iowait=0), NOW + 10 * SECOND)
    for cpu in ("cpu0", "cpu-total"):
        fields = fields_of(second, "cpu", cpu=cpu)
        assert (fields["usage_user"], fields["usage_system"], fields["usage_idle"]) == (40.0, 10.0, 50.0)
        assert fields["usage_active"] == 50.0


def test_idle_time_that_runs_backwards_gives_no_negative_share() -> None:
    projection = TelegrafProjection("host-1")
    projection.project(cpu_times(user=100, idle=850), NOW)
    fields = fields_of(projection.project(cpu_times(user=110, idle=849), NOW + 10 * SECOND), "cpu", cpu="cpu0")
    assert (fields["usage_idle"], fields["usage_user"]) == (0.0, 100.0)


def test_two_readings_of_the_same_moment_give_no_shares() -> None:
    projection = TelegrafProjection("host-1")
    samples = [*cpu_times(user=1, idle=1), cgroup.CPU_USAGE.sample(1, *CONTAINER, "total")]
    assert projection.project(samples, NOW) == projection.project(samples, NOW)


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


def test_filesystem_free_is_what_others_than_root_may_fill() -> None:
    labels = ("/dev/vda1", "/srv", "ext4", "")
    points = project(
        host.FS_SIZE.sample(100, *labels),
        host.FS_FREE.sample(40, *labels),
        host.FS_AVAIL.sample(20, *labels),
        host.FS_FILES.sample(10, *labels),
        host.FS_FILES_FREE.sample(4, *labels),
    )
    assert fields_of(points, "disk", path="/srv", device="vda1", fstype="ext4") == {
        "total": 100,
        "free": 20,
        "used": 60,
        "used_percent": 75.0,
        "inodes_total": 10,
        "inodes_free": 4,
        "inodes_used": 6,
    }


def test_units_of_disk_and_pressure() -> None:
    points = project(
        host.DISK_IO_TIME.sample(1.25, "vda"),
        host.DISK_READS.sample(3, "vda"),
        host.PRESSURE["io", "some"].sample(0.000_002),
        host.BOOT_TIME.sample(NOW / SECOND - 100),
        host.LOAD1.sample(1),
    )
    assert fields_of(points, "diskio", name="vda") == {"io_time": 1250, "reads": 3}
    assert fields_of(points, "pressure", resource="io", type="some") == {"total": 2}
    assert fields_of(points, "system") == {"uptime": 100, "load1": 1.0}
    assert fields_of(points, "kernel") == {"boot_time": 1_699_999_900}


def test_what_telegraf_has_no_name_for_goes_where_its_prometheus_input_puts_it() -> None:
    points = project(
        process.THREADS.sample(12, *CONTAINER, "mariadbd"),
        process.OPEN_FDS.sample(40, *CONTAINER, "mariadbd"),
        internal.BUILD_INFO.sample(1, "0.1.0"),
    )
    assert fields_of(points, "prometheus", name="backup-1", image=CONTAINER[1], group="mariadbd") == {
        "vdbmon_process_threads": 12.0,
        "vdbmon_process_open_fds": 40.0,
    }
    assert fields_of(points, "prometheus", version="0.1.0") == {"vdbmon_build_info": 1.0}


def test_a_cgroup_that_is_no_container_has_no_image_tags() -> None:
    (point,) = project(cgroup.CPU_USAGE.sample(1, "system.slice", "", "total"))
    assert dict(point.tags) == {"container_name": "system.slice", "cpu": "cpu-total", "host": "host-1"}


def test_what_is_no_number_is_left_out() -> None:
    assert project(cgroup.FS_READS.sample(math.nan, *CONTAINER, "vda")) == []


@pytest.mark.parametrize(
    ("image", "name", "version"),
    [
        ("mariadb:10.11", "mariadb", "10.11"),
        ("mariadb", "mariadb", "unknown"),
        ("localhost:5000/team/mariadb", "localhost:5000/team/mariadb", "unknown"),
        ("localhost:5000/team/mariadb:10", "localhost:5000/team/mariadb", "10"),
        ("mariadb:10@sha256:ab12", "mariadb", "10"),
        ("mariadb@sha256:ab12", "mariadb", "sha256:ab12"),
        ("", "", ""),
    ],
)
def test_images_are_split_into_name_and_version(image: str, name: str, version: str) -> None:
    assert split_image(image) == (name, version)


def test_what_is_kept_does_not_grow_while_containers_come_and_go() -> None:
    projection = TelegrafProjection("host-1")
    for number in range(50):
        projection.project([cgroup.CPU_USAGE.sample(1, f"backup-{number}", "image", "total")], NOW + number)
    assert (len(projection._targets), len(projection._before)) == (1, 1)
