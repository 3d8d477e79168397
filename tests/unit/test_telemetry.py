import re
from dataclasses import replace
from pathlib import Path

import promql_parser
import pytest

from collector.catalogue import METRICS
from orchestrator.decision.resources import InventoryRow, ResourceClass
from orchestrator.decision.snapshot import NO_TELEMETRY
from orchestrator.survey import telemetry
from orchestrator.survey.telemetry import Readings, disk_available, telemetry_of

GIB = 2**30
VOLUMES = Path("/var/lib/vdbmon/volumes")
INVENTORY = {
    ResourceClass.MEMORY: InventoryRow(16 * GIB),
    ResourceClass.DISK: InventoryRow(100 * GIB),
}
READINGS = Readings(
    up={"db1": 1},
    scrape_age={"db1": 2.0},
    input_age={"db1": 7.5},
    memory_available={"db1": 10 * GIB},
    filesystems={"db1": [({"mountpoint": "/"}, 60 * GIB)], "db2": [({"mountpoint": "/var"}, 1)]},
    now={"db1": {ResourceClass.CPU: 0.25, ResourceClass.READ_BPS: 1000.5, ResourceClass.WRITE_BPS: 0.0}},
    busy={},
    limits={},
)


def test_use_is_what_of_the_total_is_gone() -> None:
    found = telemetry_of("db1", READINGS, INVENTORY, VOLUMES)
    assert found.age == 7.5
    assert found.used == {
        ResourceClass.CPU: 250,
        ResourceClass.MEMORY: 6 * GIB,
        ResourceClass.DISK: 40 * GIB,
        ResourceClass.READ_BPS: 1001,
        ResourceClass.WRITE_BPS: 0,
    }


def test_more_than_the_inventory_offers_is_no_negative_use() -> None:
    rich = replace(READINGS, memory_available={"db1": 99 * GIB})
    assert telemetry_of("db1", rich, INVENTORY, VOLUMES).used[ResourceClass.MEMORY] == 0


@pytest.mark.parametrize("change", [{"up": {"db1": 0.0}}, {"up": {}}, {"scrape_age": {}}, {"input_age": {}}])
def test_host_without_a_good_scrape_or_an_age_has_no_telemetry(change: dict[str, dict[str, float]]) -> None:
    changed = replace(READINGS, **change)  # type: ignore[arg-type]
    assert telemetry_of("db1", changed, INVENTORY, VOLUMES) == NO_TELEMETRY


def test_value_that_is_no_number_is_unknown() -> None:
    odd = replace(READINGS, now={"db1": {ResourceClass.CPU: float("nan")}})
    used = telemetry_of("db1", odd, INVENTORY, VOLUMES).used
    assert ResourceClass.CPU not in used
    assert ResourceClass.READ_BPS not in used


def test_containers_that_live_keep_what_they_need_at_busy_times() -> None:
    busy = {"x1": {ResourceClass.CPU: 0.5}, "x2": {ResourceClass.CPU: 1.5, ResourceClass.WRITE_BPS: 10.0}}
    used = telemetry_of("db1", replace(READINGS, busy={"db1": busy}), INVENTORY, VOLUMES).used
    assert (used[ResourceClass.CPU], used[ResourceClass.READ_BPS], used[ResourceClass.WRITE_BPS]) == (2000, 1001, 10)


def test_container_may_take_its_limit_or_else_what_it_needs() -> None:
    busy = {"x1": {ResourceClass.CPU: 0.5, ResourceClass.MEMORY: 10.0}, "x2": {ResourceClass.CPU: 1.5}}
    limits = {"x1": {ResourceClass.CPU: 2.0}}
    changed = replace(READINGS, busy={"db1": busy, "db2": busy}, limits={"db1": limits})
    assert telemetry_of("db1", changed, INVENTORY, VOLUMES).containers == {
        "x1": {ResourceClass.SLOTS: 1, ResourceClass.CPU: 2000, ResourceClass.MEMORY: 10},
        "x2": {ResourceClass.SLOTS: 1, ResourceClass.CPU: 1500},
    }


def filesystems(**available: int) -> list[tuple[dict[str, str], float]]:
    return [({"host": "db1", "mountpoint": path}, value) for path, value in available.items()]


def test_nearest_filesystem_above_the_folder_counts() -> None:
    found = filesystems(**{"/": 5, "/var": 7, "/var/lib": 9, "/variant": 1})
    assert disk_available(found, VOLUMES) == 9
    assert disk_available(filesystems(**{str(VOLUMES): 3, "/": 5}), VOLUMES) == 3
    assert disk_available(filesystems(**{"/srv": 5}), VOLUMES) is None


def test_what_sized_volumes_may_still_take_is_promised() -> None:
    found = filesystems(**{"/": 100, f"{VOLUMES}/b1": 30, f"{VOLUMES}/b2": 20, "/var/lib/vdbmon/volumes-old": 50})
    assert disk_available(found, VOLUMES) == 50


QUERIES = [
    telemetry._UP,
    telemetry._SCRAPE_AGE,
    telemetry._INPUT_AGE,
    telemetry._NOW,
    telemetry._BUSY,
    telemetry._LIMITS,
    telemetry._MEMORY_AVAILABLE,
    telemetry._FS_AVAILABLE,
]


@pytest.mark.parametrize("query", QUERIES)
def test_queries_are_promql_over_declared_metrics(query: str) -> None:
    tree = promql_parser.parse(query)
    names = {node.name for node in selectors(tree)}
    assert names
    assert names <= {"up", *METRICS}


def selectors(node: object) -> list[promql_parser.VectorSelector]:
    if isinstance(node, promql_parser.VectorSelector):
        return [node]
    children = [getattr(node, name, None) for name in ("expr", "lhs", "rhs", "vector_selector")]
    nested = [*children, *(getattr(node, "args", None) or [])]
    return [found for child in nested if child is not None for found in selectors(child)]


@pytest.mark.parametrize(
    ("device", "counts"),
    [
        *((name, True) for name in ("vda", "sdb", "xvdf", "nvme0n1", "mmcblk0", "/dev/vda")),
        *(
            (name, False)
            for name in (
                "nvme0n1p2",
                "sda1",
                "xvda1",
                "mmcblk0p1",
                "dm-0",
                "md127",
                "loop3",
                "zram0",
                "/dev/sda1",
                "/dev/loop0",
            )
        ),
    ],
)
def test_only_whole_physical_disks_are_summed(device: str, *, counts: bool) -> None:
    pattern = telemetry._WHOLE_DISK.removeprefix('device!~"').removesuffix('"')
    assert (re.fullmatch(pattern, device) is None) == counts


@pytest.mark.parametrize(
    ("device", "counts"),
    [
        *((name, True) for name in ("eth0", "ens3", "enp1s0f0", "eno1")),
        *((name, False) for name in ("lo", "veth12ab", "docker0", "br-0a1b", "br0", "bond0", "eth0.100", "vlan7")),
    ],
)
def test_only_links_that_send_by_themselves_are_summed(device: str, *, counts: bool) -> None:
    pattern = telemetry._PHYSICAL_LINK.removeprefix('device!~"').removesuffix('"')
    assert (re.fullmatch(pattern, device) is None) == counts
