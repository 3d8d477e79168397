"""Samples of containers and their engine as telegraf's points."""

import pytest

from collector.catalogue import cgroup, containers, docker, host, network, process, volume
from collector.metrics import Sample
from collector.projections.point import Point
from collector.projections.telegraf import TelegrafProjection
from collector.projections.telegraf_rule import split_image
from tests.support.points import NOW, SECOND, fields_of, project

CONTAINER = ("backup-1", "registry:5000/mariadb:10.11")
TAGS = {
    "container_name": "backup-1",
    "container_image": "registry:5000/mariadb",
    "container_version": "10.11",
    "engine_host": "host-1",
    "host": "host-1",
}
CGROUP_V1 = cgroup.MEMORY_FAILURES.sample(5, *CONTAINER, "pgfault", "container")


def test_container_cpu_is_in_nanoseconds() -> None:
    points = project(cgroup.CPU_USAGE.sample(1.5, *CONTAINER, "total"), cgroup.CPU_USER.sample(0.25, *CONTAINER))
    assert points == [
        Point(
            "docker_container_cpu",
            tuple(sorted({**TAGS, "cpu": "cpu-total"}.items())),
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


def test_usage_system_is_the_hosts_time_as_the_daemon_sums_it() -> None:
    modes = {"user": 1, "nice": 2, "system": 4, "idle": 8, "iowait": 16, "irq": 32, "softirq": 64, "steal": 128}
    times = [host.CPU_SECONDS.sample(seconds, cpu, mode) for cpu in "01" for mode, seconds in modes.items()]
    points = project(cgroup.CPU_USAGE.sample(1, *CONTAINER, "total"), *times)
    assert fields_of(points, "docker_container_cpu")["usage_system"] == 2 * 127 * SECOND


def test_memory_of_cgroup_v1_is_without_page_cache_and_stands_twice() -> None:
    fields = fields_of(
        project(
            cgroup.MEMORY_USAGE.sample(1000, *CONTAINER),
            cgroup.MEMORY_CACHE.sample(600, *CONTAINER),
            cgroup.MEMORY_INACTIVE_FILE.sample(300, *CONTAINER),
            cgroup.SPEC_MEMORY_LIMIT.sample(2000, *CONTAINER),
            cgroup.MEMORY_FAILURES.sample(7, *CONTAINER, "pgfault", "hierarchy"),
            CGROUP_V1,
        ),
        "docker_container_mem",
        **TAGS,
    )
    assert fields == {
        "cache": 600,
        "total_cache": 600,
        "inactive_file": 300,
        "total_inactive_file": 300,
        "pgfault": 5,
        "total_pgfault": 7,
        "limit": 2000,
        "usage": 400,
        "usage_percent": 20.0,
    }


def test_memory_of_cgroup_v2_is_without_inactive_file_pages() -> None:
    fields = fields_of(
        project(
            cgroup.MEMORY_USAGE.sample(1000, *CONTAINER),
            cgroup.MEMORY_CACHE.sample(600, *CONTAINER),
            cgroup.MEMORY_INACTIVE_FILE.sample(300, *CONTAINER),
            cgroup.MEMORY_FAILURES.sample(7, *CONTAINER, "pgfault", "hierarchy"),
        ),
        "docker_container_mem",
    )
    assert fields == {"cache": 600, "inactive_file": 300, "pgfault": 7, "usage": 700}


def test_memory_that_is_all_page_cache_is_less_its_inactive_part() -> None:
    samples = [
        cgroup.MEMORY_USAGE.sample(600, *CONTAINER),
        cgroup.MEMORY_CACHE.sample(600, *CONTAINER),
        cgroup.MEMORY_INACTIVE_FILE.sample(500, *CONTAINER),
    ]
    assert fields_of(project(*samples, CGROUP_V1), "docker_container_mem")["usage"] == 100


def test_container_without_memory_limit_is_measured_against_the_machine() -> None:
    points = project(cgroup.MEMORY_USAGE.sample(1000, *CONTAINER), host.MEMORY["MemTotal"].sample(4000))
    assert fields_of(points, "docker_container_mem") == {"limit": 4000, "usage": 1000, "usage_percent": 25.0}


def device_io(device: str, numbers: str, read: int, reads: int) -> list[Sample]:
    return [
        cgroup.FS_READ_BYTES.sample(read, *CONTAINER, device),
        cgroup.FS_READS.sample(reads, *CONTAINER, device),
        cgroup.BLKIO_USAGE.sample(read, *CONTAINER, device, *numbers.split(":"), "Read"),
        cgroup.BLKIO_USAGE.sample(read, *CONTAINER, device, *numbers.split(":"), "Total"),
    ]


def test_block_devices_are_called_by_their_numbers_and_summed_up() -> None:
    points = project(*device_io("/dev/vda", "254:0", 4096, 2), *device_io("/dev/vdb", "254:16", 100, 1))
    assert fields_of(points, "docker_container_blkio", device="254:0") == {
        "io_service_bytes_recursive_read": 4096,
        "io_service_bytes_recursive_total": 4096,
        "io_serviced_recursive_read": 2,
    }
    assert fields_of(points, "docker_container_blkio", device="total", **TAGS) == {
        "io_service_bytes_recursive_read": 4196,
        "io_service_bytes_recursive_total": 4196,
        "io_serviced_recursive_read": 3,
    }


def test_networks_are_summed_up() -> None:
    points = project(
        network.RECEIVE_BYTES.sample(99, *CONTAINER, "eth0"), network.RECEIVE_BYTES.sample(1, *CONTAINER, "eth1")
    )
    assert fields_of(points, "docker_container_net", network="eth0") == {"rx_bytes": 99}
    assert fields_of(points, "docker_container_net", network="total", **TAGS) == {"rx_bytes": 100}


def test_status_of_a_container_that_runs() -> None:
    started = NOW / SECOND - 60
    points = project(
        containers.INFO.sample(1, *CONTAINER, "ab12" * 16, "4321", "", "", ""),
        cgroup.START_TIME.sample(started, *CONTAINER),
        docker.RESTARTS.sample(2, *CONTAINER),
        docker.OOM_KILLED.sample(0.0, *CONTAINER),
    )
    assert fields_of(points, "docker_container_status", **TAGS) == {
        "container_id": "ab12" * 16,
        "pid": 4321,
        "started_at": NOW - 60 * SECOND,
        "uptime_ns": 60 * SECOND,
        "restart_count": 2,
        "oomkilled": False,
        "exitcode": 0,
    }


def test_status_of_a_container_that_ended() -> None:
    points = project(
        docker.EXIT_CODE.sample(137, *CONTAINER),
        docker.FINISHED.sample(NOW / SECOND, *CONTAINER),
        docker.OOM_KILLED.sample(1.0, *CONTAINER),
    )
    assert fields_of(points, "docker_container_status") == {"exitcode": 137, "finished_at": NOW, "oomkilled": True}


def test_a_pid_that_is_not_known_is_left_out() -> None:
    points = project(containers.INFO.sample(1, *CONTAINER, "ab12", "", "", "", ""))
    assert fields_of(points, "docker_container_status") == {"container_id": "ab12"}


def test_health() -> None:
    points = project(docker.HEALTH_STREAK.sample(3, *CONTAINER), docker.HEALTH_INFO.sample(1, *CONTAINER, "unhealthy"))
    assert fields_of(points, "docker_container_health", **TAGS) == {"failing_streak": 3, "health_status": "unhealthy"}


def test_the_engine() -> None:
    points = project(
        containers.RUNNING.sample(9),
        *(docker.STATES.sample(count, state) for state, count in (("running", 3), ("paused", 1), ("stopped", 2))),
        docker.IMAGES.sample(7),
        docker.GOROUTINES.sample(50),
        docker.EVENT_LISTENERS.sample(1),
        docker.OPEN_FDS.sample(44, "dockerd"),
        docker.OPEN_FDS.sample(11, "containerd"),
        host.CPU_CORES.sample(8),
        host.MEMORY["MemTotal"].sample(4000),
    )
    assert fields_of(points, "docker", engine_host="host-1") == {
        "n_containers": 6,
        "n_containers_running": 3,
        "n_containers_paused": 1,
        "n_containers_stopped": 2,
        "n_images": 7,
        "n_goroutines": 50,
        "n_listener_events": 1,
        "n_used_file_descriptors": 44,
        "n_cpus": 8,
        "memory_total": 4000,
    }


def test_a_host_without_an_engine_says_nothing_of_one() -> None:
    points = project(host.CPU_CORES.sample(8), host.MEMORY["MemTotal"].sample(4000))
    assert [point for point in points if point.measurement == "docker"] == []


def test_measured_volumes_are_called_by_their_names() -> None:
    def mount(destination: str, name: str) -> list[Sample]:
        labels = (*CONTAINER, destination)
        return [volume.DU_BYTES.sample(100, *labels), volume.INFO.sample(1, *labels, name, "/x", "/dev/vda", "ext4")]

    points = project(*mount("/backup", "dr-1"), *mount("/bind", ""))
    assert fields_of(points, "docker_disk_usage") == {"size": 100}
    assert fields_of(points, "docker_disk_usage", volume_name="dr-1", engine_host="host-1")


def test_a_group_of_processes_stands_for_a_process() -> None:
    group = (*CONTAINER, "mariadbd")
    projection = TelegrafProjection("host-1")

    def collection(cpu: float) -> list[Sample]:
        return [
            process.COUNT.sample(2, *group),
            process.THREADS.sample(12, *group),
            process.RESIDENT.sample(1000, *group),
            process.CPU.sample(cpu, *group),
            process.READ_BYTES.sample(5, *group),
            process.OLDEST_START.sample(NOW / SECOND - 60, *group),
            host.MEMORY["MemTotal"].sample(4000),
        ]

    projection.project(collection(10.0), NOW)
    points = projection.project(collection(25.0), NOW + 10 * SECOND)
    assert fields_of(points, "procstat", process_name="mariadbd", **TAGS) == {
        "num_threads": 12,
        "memory_rss": 1000,
        "memory_usage": 25.0,
        "disk_read_bytes": 5,
        "created_at": NOW - 60 * SECOND,
        "cpu_usage": 150.0,
    }
    assert fields_of(points, "procstat_lookup", process_name="mariadbd", result="success") == {
        "pid_count": 2,
        "running": 2,
        "result_code": 0,
    }


def test_a_cgroup_that_is_no_container_has_no_image_tags() -> None:
    (point,) = project(cgroup.CPU_USAGE.sample(1, "system.slice", "", "total"))
    assert dict(point.tags) == {
        "container_name": "system.slice",
        "cpu": "cpu-total",
        "engine_host": "host-1",
        "host": "host-1",
    }


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
