"""What docs/compat.md says of telegraf's names, held against the points of all recorded trees."""

import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.catalogue import METRICS, cgroup, containers, docker, host, internal, process, tables, volume
from collector.compat_telegraf import TELEGRAF
from collector.kernelfile import SkippedLines
from collector.metrics import Sample
from collector.projections.point import Point
from collector.projections.telegraf import TelegrafProjection
from collector.projections.telegraf_names import rules_of
from tests.support.points import NOW, SECOND
from tests.support.source import Source, samples_of
from tests.support.sources import SOURCES
from tests.support.telegraf_names import CONDITIONAL, denied, names_of, promised, unlisted

CONTAINER = ("db", "image:1")
# Fields that are no integers in telegraf.
REAL = re.compile(r"cpu (?:usage|time)_\w+|\w+ \w*(?:percent|load\d+|io_util|io_await|io_svctm)|procstat \w+_usage")
TEXT = {"docker_container_status container_id", "docker_container_health health_status", "system uptime_format"}
FLAG = {"docker_container_status oomkilled"}

# What no recorded tree has: it comes from the daemon, from commands, and from the agent itself.
BESIDE = (
    *(docker.STATES.sample(1, state) for state in ("running", "paused", "stopped")),
    *(metric.sample(3) for metric in (docker.IMAGES, docker.GOROUTINES, docker.EVENT_LISTENERS)),
    docker.OPEN_FDS.sample(9, "dockerd"),
    docker.HEALTH_STREAK.sample(1, *CONTAINER),
    docker.HEALTH_INFO.sample(1, *CONTAINER, "healthy"),
    docker.FINISHED.sample(100.0, *CONTAINER),
    process.OPEN_FDS.sample(4, *CONTAINER, "mariadbd"),
    cgroup.START_TIME.sample(100.0, *CONTAINER),
    host.NET_SPEED.sample(125_000_000, "eth0"),
    containers.INFO.sample(1, *CONTAINER, "ab" * 32, "7", "", "", ""),
    *(tables.PROCESSES.sample(1, letter) for letter in tables.PROCESS_STATES),
    tables.PIDS.sample(9),
    internal.INPUT_DURATION.sample(0.01, "host"),
    internal.INPUT_ERRORS.sample(1, "host"),
    internal.OUTPUT_DROPPED.sample(1, "influxdb_v2:x", "rejected"),
    *(
        metric.sample(1, "influxdb_v2:x")
        for metric in (
            *(internal.OUTPUT_WRITTEN, internal.OUTPUT_QUEUED),
            *(internal.OUTPUT_ERRORS, internal.OUTPUT_LAST_WRITE),
        )
    ),
    volume.DU_BYTES.sample(1, *CONTAINER, "/backup"),
    volume.INFO.sample(1, *CONTAINER, "/backup", "dr-1", "/x", "/dev/vda", "ext4"),
)


@pytest.fixture(scope="module")
def points() -> list[Point]:
    """Two collections of all recorded trees, ten seconds apart, with something done between them; for v1 and v2."""
    recorded = {source.name: recording(source) for source in SOURCES}
    found: list[Point] = []
    for other in ("cgroup v1", "cgroup v2"):
        kept = [sample for name, samples in recorded.items() if name != other for sample in samples]
        series = {(metric, labels): value for metric, labels, value in kept}
        samples = [*(Sample(*key, value) for key, value in series.items()), *BESIDE]
        projection = TelegrafProjection("host-1")
        found += projection.project(samples, NOW)
        found += projection.project([*later(samples)], NOW + 10 * SECOND)
    return found


def recording(source: Source) -> list[Sample]:
    with tempfile.TemporaryDirectory() as name:
        source.tree(Path(name))
        opened = source.build(Path(name), SkippedLines())
        samples = list(samples_of(opened.gather))
        opened.close()
    return samples


def later(samples: list[Sample]) -> Iterator[Sample]:
    for metric, labels, value in samples:
        grows = metric in (host.CPU_SECONDS, host.DISK_READS, process.CPU)
        yield Sample(metric, labels, value + 1 if grows else value)


def test_what_is_promised_is_sent(points: list[Point]) -> None:
    only_32_bit = {name for name in CONDITIONAL if name.startswith("mem ")}
    assert promised() - set(names_of(points)) == only_32_bit


def test_what_is_missing_is_not_sent(points: list[Point]) -> None:
    assert denied(set(names_of(points))) == []


def test_nothing_is_sent_under_telegrafs_measurements_that_the_page_does_not_list(points: list[Point]) -> None:
    assert unlisted(set(names_of(points))) == set()


def test_the_rules_can_make_what_only_some_kernels_have() -> None:
    fields = {f"{rule.measurement} {rule.field}" for metric in METRICS.values() for rule in rules_of(metric)}
    assert {name for name in CONDITIONAL if name.startswith("mem ")} <= fields


def test_a_field_has_one_type_and_it_is_telegrafs(points: list[Point]) -> None:
    types: defaultdict[str, set[type]] = defaultdict(set)
    for point in points:
        for field, value in point.fields.items():
            types[f"{point.measurement} {field}"].add(type(value))
    for name in promised() & types.keys():
        expected = str if name in TEXT else bool if name in FLAG else float if REAL.fullmatch(name) else int
        assert types[name] == {expected}, name


def test_every_entry_is_listed_once() -> None:
    names = [entry.name for entry in TELEGRAF.names]
    assert sorted(set(names)) == sorted(names)
