"""The host input beside the real node_exporter on the same machine: same names, same label sets, close values."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from collector.inputs.host import HostInput
from collector.kernelfile import SkippedLines
from collector.statvfs import StatvfsPool
from tests.support.servers import free_port, http_get, process
from tests.support.wait import wait_until

Labels = frozenset[tuple[str, str]]
Families = Mapping[str, Mapping[Labels, float]]

# The families that docs/compat.md promises. `nohandler` comes from netlink, which newer versions read instead of
# /proc/net/dev.
FAMILIES = re.compile(
    r"node_(?:cpu_seconds_total|memory_\w+|disk_(?!info)\w+|filesystem_\w+|load\d+|pressure_\w+|procs_\w+|intr_total"
    r"|network_(?:receive|transmit)_(?!nohandler|queue)\w+_total|network_(?:up|mtu_bytes|carrier)|context_switches_total"
    r"|forks_total|boot_time_seconds|time_seconds|vmstat_\w+|filefd_\w+|netstat_(?:Ip|Icmp|Tcp|Udp|UdpLite)_\w+)"
)
# Labels that only one side has a right to: throw-away mounts, devices and interfaces of tests that run beside this one.
TRANSIENT = re.compile(r"veth.*|loop\d+|/dev/loop\d+|/tmp/.*|/run/.*")
COUNTER_SLACK = 0.02  # of the value: the two scrapes are a moment apart and the machine is busy
MOVING = re.compile(r"node_(?:memory|load|procs|filefd|disk_io_now|time|pressure)\w*")


def families_of(text: str) -> Families:
    found: defaultdict[str, dict[Labels, float]] = defaultdict(dict)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if FAMILIES.fullmatch(sample.name) and not any(map(TRANSIENT.fullmatch, sample.labels.values())):
                found[sample.name][frozenset(sample.labels.items())] = sample.value
    return found


def ours() -> Families:
    pool = StatvfsPool()
    found: defaultdict[str, dict[Labels, float]] = defaultdict(dict)
    try:
        for metric, values, value in HostInput(Path("/proc"), Path("/sys"), pool, SkippedLines(), lambda: 0.0).gather():
            labels = frozenset((name, text) for name, text in zip(metric.labels, values, strict=True) if text)
            if not any(map(TRANSIENT.fullmatch, values)):
                found[metric.name][labels] = value
    finally:
        pool.close()
    return found


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("node-exporter") / "log"
    url = f"127.0.0.1:{free_port()}"
    # Upstream's defaults, where Debian has its own.
    options = [
        "--collector.netdev.device-exclude=^$",
        r"--collector.diskstats.device-exclude=^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$",
        "--collector.filesystem.mount-points-exclude=^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+)($|/)",
    ]
    with process(["prometheus-node-exporter", f"--web.listen-address={url}", "--log.level=error", *options], log):
        wait_until(lambda: http_get(f"http://{url}/metrics"), deadline=20, what="node_exporter answers")
        yield f"http://{url}/metrics"


@pytest.fixture(scope="module")
def both(exporter: str) -> tuple[Families, Families]:
    text = http_get(exporter)
    assert text is not None
    return families_of(text), ours()


def test_every_family_is_there_with_the_same_label_sets(both: tuple[Families, Families]) -> None:
    theirs, mine = both
    assert len(theirs) > 90
    differing = {
        name: (sorted(map(sorted, series.keys() ^ mine.get(name, {}).keys())))
        for name, series in theirs.items()
        if series.keys() != mine.get(name, {}).keys()
    }
    assert differing == {}


def test_values_are_close(both: tuple[Families, Families]) -> None:
    theirs, mine = both
    off = {
        (name, tuple(sorted(labels))): (value, mine[name][labels])
        for name, series in theirs.items()
        if not MOVING.fullmatch(name)
        for labels, value in series.items()
        if mine[name][labels] != pytest.approx(value, rel=COUNTER_SLACK, abs=50)
    }
    assert off == {}


def test_what_stands_still_is_the_same(both: tuple[Families, Families]) -> None:
    theirs, mine = both
    names = [f"node_memory_{field}_bytes" for field in ("MemTotal", "SwapTotal", "CommitLimit", "Hugepagesize")]
    names += ["node_memory_HugePages_Total", "node_boot_time_seconds", "node_filefd_maximum"]
    assert {name: theirs[name] for name in names} == {name: mine[name] for name in names}
    (free,) = theirs["node_memory_MemFree_bytes"].values()
    assert mine["node_memory_MemFree_bytes"][frozenset()] == pytest.approx(free, rel=0.1)


def test_the_collectors_that_it_names_are_named_so(exporter: str) -> None:
    def collectors(text: str) -> set[str]:
        return set(re.findall(r'node_scrape_collector_success\{collector="(\w+)"} 1', text))

    text = http_get(exporter)
    assert text is not None
    mine = {dict(labels)["collector"] for labels in ours()["node_scrape_collector_success"]}
    assert len(mine) == 12
    assert mine <= collectors(text)
