"""Telegraf's names of containers and their engine: plugins inputs.docker and inputs.procstat.

`engine_host` is the name of this host: the engine that the agent watches runs here.
"""

from __future__ import annotations

from collector.catalogue import cgroup, containers, docker, network, process, volume
from collector.metrics import Metric
from collector.projections.point import Tags
from collector.projections.telegraf_rule import NANO, Form, Rule

ENGINE: Tags = (("engine_host", "{host}"),)
CONTAINER: Tags = (
    ("container_name", "{name}"),
    ("container_image", "{image_name}"),
    ("container_version", "{image_version}"),
    *ENGINE,
)
_GROUP: Tags = (*CONTAINER, ("process_name", "{group}"))


def _cpu(field: str, scale: int = 1) -> tuple[Rule, ...]:
    return (Rule("docker_container_cpu", field, (*CONTAINER, ("cpu", "{cpu_tag}")), scale),)


def _memory(field: str) -> tuple[Rule, ...]:
    return (Rule("docker_container_mem", field, CONTAINER),)


def _block_io(field: str) -> tuple[Rule, ...]:
    return (
        Rule("docker_container_blkio", field, (*CONTAINER, ("device", "{device_numbers}"))),
        Rule("docker_container_blkio", field, (*CONTAINER, ("device", "total")), form=Form.WHOLE_SUM),
    )


def _net(field: str) -> tuple[Rule, ...]:
    return (
        Rule("docker_container_net", field, (*CONTAINER, ("network", "{interface}"))),
        Rule("docker_container_net", field, (*CONTAINER, ("network", "total")), form=Form.WHOLE_SUM),
    )


def _status(field: str, scale: int = 1, form: Form = Form.WHOLE, text: str = "") -> Rule:
    return Rule("docker_container_status", field, CONTAINER, scale, form, text)


def _procstat(field: str, scale: int = 1, form: Form = Form.WHOLE) -> Rule:
    return Rule("procstat", field, _GROUP, scale, form)


def _as_prometheus(metric: Metric) -> Rule:
    tags = tuple((name, f"{{{name}}}") for name in metric.labels)
    return Rule("prometheus", metric.name, tags, form=Form.REAL)


CONTAINER_RULES: dict[Metric, tuple[Rule, ...]] = {
    cgroup.CPU_USAGE: _cpu("usage_total", NANO),
    cgroup.CPU_USER: _cpu("usage_in_usermode", NANO),
    cgroup.CPU_SYSTEM: _cpu("usage_in_kernelmode", NANO),
    cgroup.CFS_PERIODS: _cpu("throttling_periods"),
    cgroup.CFS_THROTTLED_PERIODS: _cpu("throttling_throttled_periods"),
    cgroup.CFS_THROTTLED_SECONDS: _cpu("throttling_throttled_time", NANO),
    cgroup.MEMORY_USAGE: _memory("_usage"),
    cgroup.MEMORY_MAX_USAGE: _memory("max_usage"),
    cgroup.MEMORY_RSS: _memory("rss"),
    cgroup.MEMORY_RSS_HUGE: _memory("rss_huge"),
    cgroup.MEMORY_CACHE: _memory("cache"),
    cgroup.MEMORY_MAPPED_FILE: _memory("mapped_file"),
    cgroup.MEMORY_ACTIVE_ANON: _memory("active_anon"),
    cgroup.MEMORY_INACTIVE_ANON: _memory("inactive_anon"),
    cgroup.MEMORY_ACTIVE_FILE: _memory("active_file"),
    cgroup.MEMORY_INACTIVE_FILE: _memory("inactive_file"),
    cgroup.MEMORY_UNEVICTABLE: _memory("unevictable"),
    cgroup.MEMORY_WRITEBACK: _memory("writeback"),
    cgroup.MEMORY_PGPGIN: _memory("pgpgin"),
    cgroup.MEMORY_PGPGOUT: _memory("pgpgout"),
    cgroup.MEMORY_FAILCNT: _memory("fail_count"),
    cgroup.MEMORY_FAILURES: _memory("_{failure_type}_{scope}"),
    cgroup.SPEC_MEMORY_LIMIT: _memory("limit"),
    cgroup.BLKIO_USAGE: _block_io("io_service_bytes_recursive_{operation_word}"),
    cgroup.FS_READ_BYTES: (),  # the operations Read and Write of the one above
    cgroup.FS_WRITE_BYTES: (),
    cgroup.FS_READS: _block_io("io_serviced_recursive_read"),
    cgroup.FS_WRITES: _block_io("io_serviced_recursive_write"),
    cgroup.START_TIME: (_status("started_at", NANO),),
    # Gathered later, the daemon's own count takes the place of the kernel's where its files can be read.
    containers.RUNNING: (Rule("docker", "n_containers_running", ENGINE),),
    containers.INFO: (
        _as_prometheus(containers.INFO),
        _status("container_id", form=Form.TEXT, text="{id}"),
        _status("pid", form=Form.NUMBER_IN_TEXT, text="{pid}"),
    ),
    docker.STATES: (Rule("docker", "n_containers_{state}", ENGINE),),
    docker.IMAGES: (Rule("docker", "n_images", ENGINE),),
    docker.GOROUTINES: (Rule("docker", "n_goroutines", ENGINE),),
    docker.EVENT_LISTENERS: (Rule("docker", "n_listener_events", ENGINE),),
    docker.OPEN_FDS: (
        _as_prometheus(docker.OPEN_FDS),
        Rule("docker", "n_used_file_descriptors", ENGINE, when=("process", "dockerd")),
    ),
    docker.RESTARTS: (_status("restart_count"),),
    docker.OOM_KILLED: (_status("oomkilled", form=Form.FLAG),),
    docker.EXIT_CODE: (_status("exitcode"),),
    docker.FINISHED: (_status("finished_at", NANO),),
    docker.HEALTH_STREAK: (Rule("docker_container_health", "failing_streak", CONTAINER),),
    docker.HEALTH_INFO: (Rule("docker_container_health", "health_status", CONTAINER, form=Form.TEXT, text="{status}"),),
    network.RECEIVE_BYTES: _net("rx_bytes"),
    network.RECEIVE_PACKETS: _net("rx_packets"),
    network.RECEIVE_ERRORS: _net("rx_errors"),
    network.RECEIVE_DROPPED: _net("rx_dropped"),
    network.TRANSMIT_BYTES: _net("tx_bytes"),
    network.TRANSMIT_PACKETS: _net("tx_packets"),
    network.TRANSMIT_ERRORS: _net("tx_errors"),
    network.TRANSMIT_DROPPED: _net("tx_dropped"),
    volume.DU_BYTES: (
        _as_prometheus(volume.DU_BYTES),
        Rule("docker_disk_usage", "size", (*ENGINE, ("volume_name", "{volume_name}")), unless_empty="volume_name"),
    ),
    # A group of processes stands where telegraf has one process.
    process.COUNT: (Rule("procstat_lookup", "pid_count", (*_GROUP, ("result", "success"))),),
    process.THREADS: (_procstat("num_threads"),),
    process.OPEN_FDS: (_procstat("num_fds"),),
    process.RESIDENT: (_procstat("memory_rss"),),
    process.CPU: (_as_prometheus(process.CPU), _procstat("_cpu_time", form=Form.REAL)),
    process.READ_BYTES: (_procstat("disk_read_bytes"),),
    process.WRITE_BYTES: (_procstat("disk_write_bytes"),),
    process.OLDEST_START: (_procstat("created_at", NANO),),
}
