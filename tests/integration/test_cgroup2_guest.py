"""The container inputs on a real kernel with pure cgroup v2: one boot, whose job is tests/support/cgroup2_job.py."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from collector.catalogue import METRICS
from dashboards.spec import Source
from tests.support import guest, guest_image
from tests.support.cgroup2_files import is_known, read_beside
from tests.support.panel_expressions import CGROUP2_ONLY, expressions, substituted, without_values
from tests.support.servers import http_json, prometheus

pytestmark = pytest.mark.timeout(300)

REPOSITORY = Path(__file__).parents[2]
CACHE = REPOSITORY / "build/guest"
MIB = 2**20
DISK = "/dev/vdd"
INFO = "vdbmon_container_info"

NAMES = {"web", "writer", "filled", "hungry", "noio", "bare"}
IO = ("container_fs_", "container_blkio_", "vdbmon_container_spec_read", "vdbmon_container_spec_write")
CONTROLLED = (*IO, "container_cpu_cfs_", "container_memory_", "container_oom_", "container_spec_", "container_threads")
PRESSURES = {
    f"container_pressure_{resource}_{word}_seconds_total"
    for resource in ("cpu", "memory", "io")
    for word in ("waiting", "stalled")
}
# How long a collection may take is the agent's business; in the guest, a twentieth as fast, it must still be far off.
GATHERING_SECONDS = 3.0

ROUNDING = 1e-9  # a sum of seconds

Sample = tuple[str, str, list[str], float]


class Gathering:
    """What the inputs gave at one time, and the files' text by container just before and after."""

    def __init__(self, seen: dict[str, Any]) -> None:
        self.before: dict[str, dict[str, str]] = seen["before"]
        self.after: dict[str, dict[str, str]] = seen["after"]
        self.samples: list[Sample] = [tuple(row) for row in seen["samples"]]
        self.seconds: dict[str, float] = seen["seconds"]
        self.skipped: dict[str, int] = seen["skipped"]
        self.started: float = seen["started"]

    def of(self, container: str) -> dict[tuple[str, ...], float]:
        """Values of a container by metric and the labels after its name and image."""
        return {(metric, *labels): value for metric, name, labels, value in self.samples if name == container}

    def metrics(self, container: str) -> set[str]:
        return {key[0] for key in self.of(container)}

    def containers(self) -> set[str]:
        return {name for metric, name, _, _ in self.samples if metric == INFO}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the job saw, after one boot."""
    image = guest_image.prepare(CACHE)
    folder, job = tmp_path_factory.mktemp("guest"), tmp_path_factory.mktemp("job")
    shutil.copytree(REPOSITORY / "collector", job / "collector", ignore=shutil.ignore_patterns("__pycache__"))
    (job / "orchestrator/host").mkdir(parents=True)
    for module in ("__init__.py", "host/__init__.py", "host/limit_files.py"):
        shutil.copy(REPOSITORY / "orchestrator" / module, job / "orchestrator" / module)
    support = REPOSITORY / "tests/support"
    (job / "tests/support").mkdir(parents=True)
    shutil.copy(support / "wait.py", job / "tests/support")
    shutil.copy(support / "cgroup2_job.py", job / "job.py")
    done = guest.run(image, job, folder)
    assert done.status == 0, done.log
    seen: dict[str, Any] = json.loads((done.out / "report.json").read_text())
    return seen


@pytest.fixture(scope="module")
def under_load(report: dict[str, Any]) -> tuple[Gathering, Gathering]:
    first, second = map(Gathering, report["under_load"])
    return first, second


def gatherings(seen: Any) -> Iterator[Gathering]:
    """All gatherings anywhere in the report."""
    if isinstance(seen, dict) and "samples" in seen:
        yield Gathering(seen)
    elif isinstance(seen, dict):
        for part in seen.values():
            yield from gatherings(part)
    elif isinstance(seen, list):
        for part in seen:
            yield from gatherings(part)


def test_every_counter_lies_between_two_readings_of_its_file(under_load: tuple[Gathering, Gathering]) -> None:
    compared = set()
    for gathering in under_load:
        for metric, name, labels, value in gathering.samples:
            if metric.endswith("_total"):
                before = read_beside(gathering.before[name], metric, labels)
                after = read_beside(gathering.after[name], metric, labels)
                assert before - ROUNDING <= value <= after + ROUNDING, (name, metric, labels)
                compared.add((metric, name))
    assert ("container_cpu_cfs_throttled_seconds_total", "web") in compared
    assert ("container_fs_writes_bytes_total", "writer") in compared
    assert ("vdbmon_process_write_bytes_total", "writer") in compared
    assert ("container_network_receive_bytes_total", "web") in compared
    assert {name for metric, name in compared if metric == "container_cpu_usage_seconds_total"} == NAMES


def test_what_stood_still_is_read_exactly(under_load: tuple[Gathering, Gathering]) -> None:
    compared = set()
    for gathering in under_load:
        for metric, name, labels, value in gathering.samples:
            if is_known(metric):
                before = read_beside(gathering.before[name], metric, labels)
                if before == read_beside(gathering.after[name], metric, labels):
                    assert value == before, (name, metric)
                    compared.add((metric, name))
    assert {metric for metric, name in compared if name == "filled"} >= {
        "container_memory_usage_bytes",
        "container_memory_rss",
        "container_spec_memory_limit_bytes",
        "container_threads",
    }


def test_containers_of_both_drivers_are_found(report: dict[str, Any], under_load: tuple[Gathering, Gathering]) -> None:
    paths = {box["name"]: box["path"] for box in report["boxes"]}
    assert paths["web"].startswith("docker/")
    assert paths["writer"].startswith("system.slice/docker-")
    for gathering in under_load:
        assert gathering.containers() == NAMES
        assert gathering.of("")["vdbmon_containers_running",] == len(NAMES)


def test_what_runs_in_a_nested_cgroup_is_its_containers(under_load: tuple[Gathering, Gathering]) -> None:
    for gathering in under_load:
        assert gathering.of("web")["vdbmon_processes", "other"] == 2
        assert gathering.of("web")["container_threads",] == 2
        assert gathering.of("bare")["vdbmon_processes", "other"] == 1


def test_throttling_grows_under_a_quota_and_is_absent_without_one(under_load: tuple[Gathering, Gathering]) -> None:
    first, second = (gathering.of("web") for gathering in under_load)
    for metric in ("periods_total", "throttled_periods_total", "throttled_seconds_total"):
        assert second[f"container_cpu_cfs_{metric}",] > first[f"container_cpu_cfs_{metric}",] > 0
    assert (first["container_spec_cpu_quota",], first["container_spec_cpu_period",]) == (20_000, 100_000)
    elapsed = under_load[1].started - under_load[0].started
    used = "container_cpu_usage_seconds_total", "total"
    assert 0 < second[used] - first[used] <= 0.2 * (elapsed + 0.5)
    assert not any("cfs" in metric or metric.endswith("cpu_quota") for metric in under_load[0].metrics("writer"))


def test_io_limits_are_read_back_and_hold(under_load: tuple[Gathering, Gathering]) -> None:
    first, second = (gathering.of("writer") for gathering in under_load)
    assert first["vdbmon_container_spec_write_bytes_per_second", DISK] == MIB
    assert first["vdbmon_container_spec_read_bytes_per_second", DISK] == 2 * MIB
    assert first["vdbmon_container_spec_reads_per_second", DISK] == 700
    assert first["vdbmon_container_spec_writes_per_second", DISK] == 300
    written = second["container_fs_writes_bytes_total", DISK] - first["container_fs_writes_bytes_total", DISK]
    elapsed = under_load[1].started - under_load[0].started
    assert 0 < written <= MIB * (elapsed + 0.5)
    assert not any("_per_second" in metric for metric in under_load[0].metrics("web"))


def test_processors_and_swap_are_read_back_as_a_launch_does(report: dict[str, Any]) -> None:
    assert (report["limits"]["writer"]["processors"], report["limits"]["writer"]["swap"]) == ([1], 0)
    assert report["limits"]["bare"] == {"processors": None, "swap": None}


def test_other_limits_are_read_back(under_load: tuple[Gathering, Gathering]) -> None:
    gathering = under_load[0]
    assert gathering.of("web")["container_threads_max",] == 64
    assert gathering.of("filled")["container_spec_memory_limit_bytes",] == 24 * MIB
    assert gathering.of("filled")["container_memory_rss",] >= 16 * MIB
    assert gathering.of("noio")["container_spec_cpu_shares",] == 1286  # runc's inverse of weight 50
    assert "container_threads_max" not in gathering.metrics("filled")
    assert "container_spec_memory_limit_bytes" not in gathering.metrics("web")


def test_every_container_has_its_pressure(under_load: tuple[Gathering, Gathering]) -> None:
    for gathering in under_load:
        for name in NAMES:
            assert gathering.metrics(name) >= PRESSURES, name
    first, second = (gathering.of("web")["container_pressure_cpu_waiting_seconds_total",] for gathering in under_load)
    assert second > first


def test_panels_that_need_cgroup2_have_values(under_load: tuple[Gathering, Gathering], tmp_path: Path) -> None:
    """The others are asked in test_dashboards_live, of whatever kernel the tests run on."""
    asked = [item for item in expressions(Source.PROMETHEUS) if re.match(f"{CGROUP2_ONLY}(/|$)", item[0])]
    begin = time.time() - 300
    end = begin + under_load[1].started - under_load[0].started
    text = tmp_path / "samples.txt"
    moments = zip((begin, end), under_load, strict=True)
    text.write_text("".join(line for moment, one in moments for line in exposition(one, moment)) + "# EOF\n")
    blocks = ("promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(tmp_path / "prometheus"))
    subprocess.run(blocks, check=True, capture_output=True, timeout=60)
    values = {"$__rate_interval": f"{end - begin + 5:.0f}s", "$job": "vdbmon", "$host": "guest", "$name": "web"}
    with prometheus(tmp_path, "scrape_configs: []") as server:

        def ask(expr: str) -> list[float]:
            words = urlencode({"query": substituted(expr, values), "time": end + 1})
            answer = http_json(f"{server.url}/api/v1/query?{words}")
            return [float(series["value"][1]) for series in answer["data"]["result"]]

        assert without_values(asked, ask) == {}
    assert len(asked) == 7


def exposition(gathering: Gathering, moment: float) -> Iterator[str]:
    """Its samples of containers, as a scrape at that time would have found them."""
    for name, container, values, value in gathering.samples:
        metric = METRICS[name]
        if metric.labels[:2] == ("name", "image"):
            labels = {
                "job": "vdbmon",
                "host": "guest",
                "name": container,
                **dict(zip(metric.labels[2:], values, strict=True)),
            }
            inside = ",".join(f'{key}="{value}"' for key, value in labels.items())
            yield f"{name}{{{inside}}} {value} {moment:.3f}\n"


def test_an_oom_kill_is_counted_once_where_it_was(under_load: tuple[Gathering, Gathering]) -> None:
    for gathering in under_load:
        kills = {name: value for metric, name, _, value in gathering.samples if metric == "container_oom_events_total"}
        assert kills == {"web": 0, "writer": 0, "filled": 0, "hungry": 1, "noio": 0}
        assert gathering.of("hungry")["container_memory_failcnt",] > 0


def test_without_a_controller_its_metrics_are_absent(under_load: tuple[Gathering, Gathering]) -> None:
    for gathering in under_load:
        assert not any(metric.startswith(IO) for metric in gathering.metrics("noio"))
        assert gathering.metrics("noio") >= {"container_memory_usage_bytes", "container_threads"}
        assert not any(metric.startswith(CONTROLLED) for metric in gathering.metrics("bare"))
        assert gathering.metrics("bare") >= PRESSURES | {"container_cpu_usage_seconds_total", "container_last_seen"}


def test_a_network_namespace_is_counted_for_its_owner(under_load: tuple[Gathering, Gathering]) -> None:
    gathering = under_load[1]
    received = {
        (name, *labels): value
        for metric, name, labels, value in gathering.samples
        if metric == "container_network_receive_packets_total"
    }
    shared = {
        name: labels[0]
        for metric, name, labels, _ in gathering.samples
        if metric == "vdbmon_container_network_namespace_shared"
    }
    assert received.keys() == {("web", "eth0")}
    assert received["web", "eth0"] > 20
    assert shared == {"noio": "container", "writer": "host", "filled": "host", "hungry": "host", "bare": "host"}


def test_a_cgroup_removed_while_its_files_are_open_costs_only_itself(report: dict[str, Any]) -> None:
    alive, removed, anew, ended = (Gathering(report["removed"][step]) for step in ("alive", "removed", "anew", "ended"))
    assert "container_cpu_usage_seconds_total" in alive.metrics("shortlived")
    assert not removed.metrics("shortlived") & {"container_cpu_usage_seconds_total", "container_memory_usage_bytes"}
    for name in NAMES:
        assert removed.metrics(name) == alive.metrics(name) - {INFO}
    assert anew.metrics("shortlived") == alive.metrics("shortlived")
    assert "shortlived" not in ended.containers()
    assert report["removed"]["ended"]["descriptors"] < report["removed"]["alive"]["descriptors"]


def test_a_controller_may_come_and_go_while_files_are_open(report: dict[str, Any]) -> None:
    seen = {step: Gathering(part).metrics("switched") for step, part in report["switched"].items()}
    memory = {metric for metric in seen["given"] if "_memory_" in metric and not metric.startswith("vdbmon_process")}
    assert "container_memory_usage_bytes" in memory
    assert "container_threads" not in seen["absent"]
    assert not seen["absent"] & memory - PRESSURES
    assert seen["taken"] == seen["given"] - (memory - PRESSURES)  # OOM kills are kept by name
    assert seen["given again"] == seen["given"]


def test_descriptors_are_given_back_when_containers_end(report: dict[str, Any]) -> None:
    before, running, after = report["churn"]
    assert running > before
    assert after == before
    at_start, at_end = report["descriptors"]
    assert at_end == at_start


def test_no_line_of_this_kernel_is_skipped(report: dict[str, Any]) -> None:
    for gathering in gatherings(report):
        assert gathering.skipped == dict.fromkeys(gathering.skipped, 0)


def test_gathering_is_quick(report: dict[str, Any]) -> None:
    for gathering in gatherings(report):
        assert sum(gathering.seconds.values()) < GATHERING_SECONDS
