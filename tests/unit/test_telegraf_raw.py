"""Telegraf's computed fields beside a second computation, straight from the recorded kernel files."""

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from collector.kernelfile import SkippedLines
from collector.metrics import Sample
from collector.projections.point import FieldValue, Point
from collector.projections.telegraf import TelegrafProjection
from tests.support.points import NOW, SECOND, fields_of
from tests.support.source import FIXTURES, samples_of
from tests.support.sources import SOURCES

TICKS = 100  # a second, on the recorded machine
SECTOR = 512
Fields = Mapping[str, FieldValue]


def source(name: str, root: Path) -> tuple[Path, Sequence[Sample]]:
    (found,) = [source for source in SOURCES if source.name == name]
    if not root.exists():
        root.mkdir()
        found.tree(root)
    opened = found.build(root, SkippedLines())
    samples = samples_of(opened.gather)
    opened.close()
    return root, samples


def keyed(path: Path) -> dict[str, int]:
    return {key.rstrip(":"): int(value) for key, value in re.findall(r"^(\S+) +(\d+)", path.read_text(), re.MULTILINE)}


def container_file(root: Path, controller: str, name: str) -> Path:
    (found,) = root.glob(f"sys/fs/cgroup/{controller}/docker/*/{name}")
    return found


@pytest.fixture
def host(tmp_path: Path) -> tuple[Path, list[Point], list[Point]]:
    """The tree, and the points of two collections with ten seconds of work between them."""
    root, before = source("host", tmp_path / "host")
    projection = TelegrafProjection("h")
    first = projection.project(before, NOW)
    shutil.copytree(root / "proc", tmp_path / "before")
    stat = root / "proc/stat"
    spent = "cpu0 47939 50 19082 376003 13846 3 195 411 300 20"
    stat.write_text(re.sub(r"^cpu0 .*$", spent, stat.read_text(), flags=re.MULTILINE))
    disks = root / "proc/diskstats"
    disks.write_text(re.sub(r"(vda) (\d+) (\d+) (\d+) (\d+)", bump, disks.read_text()))
    _, after = source("host", root)
    return tmp_path / "before", first, projection.project(after, NOW + 10 * SECOND)


def bump(match: re.Match[str]) -> str:
    reads, merged, sectors, milliseconds = (int(match[group]) for group in range(2, 6))
    return f"{match[1]} {reads + 7} {merged} {sectors + 16} {milliseconds + 21}"


def cpu_line(path: Path) -> list[int]:
    (line,) = re.findall(r"^cpu0 (.*)$", path.read_text(), re.MULTILINE)
    return [int(number) for number in line.split()]


def test_cpu_shares(host: tuple[Path, list[Point], list[Point]], tmp_path: Path) -> None:
    old, _, points = host
    names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice")
    before, after = cpu_line(old / "stat"), cpu_line(tmp_path / "host/proc/stat")
    spent = {name: then - now for name, then, now in zip(names, after, before, strict=True)}
    total = sum(spent[name] for name in names[:8])
    spent["user"] -= spent["guest"]
    spent["nice"] -= spent["guest_nice"]
    fields = fields_of(points, "cpu", cpu="cpu0")
    assert {name: fields[f"usage_{name}"] for name in names} == pytest.approx(
        {name: 100 * ticks / total for name, ticks in spent.items()}
    )
    assert fields["usage_active"] == pytest.approx(100 - fields["usage_idle"])  # type: ignore[operator]
    assert {name: fields[f"time_{name}"] for name in names} == pytest.approx(
        {name: ticks / TICKS for name, ticks in zip(names, after, strict=True)}
    )


def test_disk(host: tuple[Path, list[Point], list[Point]], tmp_path: Path) -> None:
    _, _, points = host
    (row,) = re.findall(r"vda (.*)", (tmp_path / "host/proc/diskstats").read_text())
    raw = [int(number) for number in row.split()]
    fields = fields_of(points, "diskio", name="vda")
    names = ("reads", "merged_reads", "", "read_time", "writes", "merged_writes", "", "write_time")
    assert {name: fields[name] for name in names if name} == {
        name: number for name, number in zip(names, raw, strict=False) if name
    }
    assert (fields["read_bytes"], fields["write_bytes"]) == (raw[2] * SECTOR, raw[6] * SECTOR)
    assert (fields["iops_in_progress"], fields["io_time"], fields["weighted_io_time"]) == tuple(raw[8:11])
    assert (fields["io_await"], fields["io_util"]) == (3.0, 0.0)  # 7 reads took 21 ms in all


def test_memory(host: tuple[Path, list[Point], list[Point]]) -> None:
    old, points, _ = host
    raw = {key: value * 1024 for key, value in keyed(old / "meminfo").items()}
    fields = fields_of(points, "mem")
    used = raw["MemTotal"] - raw["MemFree"] - raw["Buffers"] - raw["Cached"] - raw["SReclaimable"]
    assert (fields["used"], fields["cached"]) == (used, raw["Cached"] + raw["SReclaimable"])
    assert fields["used_percent"] == pytest.approx(used / raw["MemTotal"] * 100)
    assert fields["available_percent"] == pytest.approx(raw["MemAvailable"] / raw["MemTotal"] * 100)
    swap = fields_of(points, "swap")
    assert swap["used"] == raw["SwapTotal"] - raw["SwapFree"]
    vmstat = keyed(old / "vmstat")
    assert (swap["in"], swap["out"]) == (vmstat["pswpin"] * 4096, vmstat["pswpout"] * 4096)


def test_protocols(host: tuple[Path, list[Point], list[Point]]) -> None:
    old, points, _ = host
    lines = [line.split() for line in (old / "net/snmp").read_text().splitlines()]
    raw = {
        f"{names[0][:-1]}_{name}".lower(): int(value)
        for names, values in zip(lines[::2], lines[1::2], strict=True)
        for name, value in zip(names[1:], values[1:], strict=True)
        if names[0] != "IcmpMsg:"
    }
    assert fields_of(points, "net", interface="all") == raw


def container_points(name: str, folder: Path) -> tuple[Path, list[Point]]:
    root, samples = source(name, folder / "container")
    return root, TelegrafProjection("h").project(samples, NOW)


def test_container_on_cgroup_v1(tmp_path: Path) -> None:
    root, points = container_points("cgroup v1", tmp_path)
    stat = keyed(container_file(root, "memory", "memory.stat"))
    usage = int(container_file(root, "memory", "memory.usage_in_bytes").read_text())
    fields = fields_of(points, "docker_container_mem")
    assert fields["usage"] == usage - stat["cache"]
    twins = {name: value for name, value in stat.items() if name in fields and name not in ("pgfault", "pgmajfault")}
    assert len(twins) > 20
    assert {name: fields[name] for name in twins} == twins  # the container has no cgroups beneath it
    cpu = fields_of(points, "docker_container_cpu", cpu="cpu-total")
    assert cpu["usage_total"] == int(container_file(root, "cpuacct", "cpuacct.usage").read_text())
    ticks = keyed(container_file(root, "cpuacct", "cpuacct.stat"))
    assert (cpu["usage_in_usermode"], cpu["usage_in_kernelmode"]) == (
        ticks["user"] * SECOND // TICKS,
        ticks["system"] * SECOND // TICKS,
    )
    check_block_io(points, container_file(root, "blkio", "blkio.throttle.io_service_bytes_recursive").read_text())


def check_block_io(points: list[Point], text: str) -> None:
    rows = re.findall(r"^(\d+:\d+) (\w+) (\d+)$", text, re.MULTILINE)
    assert rows
    totals: dict[str, int] = {}
    for device, operation, value in rows:
        field = f"io_service_bytes_recursive_{operation.lower()}"
        assert fields_of(points, "docker_container_blkio", device=device)[field] == int(value)
        totals[field] = totals.get(field, 0) + int(value)
    total = fields_of(points, "docker_container_blkio", device="total")
    assert totals.items() <= total.items()


def test_container_on_cgroup_v2(tmp_path: Path) -> None:
    root, points = container_points("cgroup v2", tmp_path)
    (folder,) = (path for path in (root / "sys/fs/cgroup/docker").iterdir() if path.is_dir())
    stat = keyed(folder / "memory.stat")
    fields = fields_of(points, "docker_container_mem")
    assert fields["usage"] == int((folder / "memory.current").read_text()) - stat["inactive_file"]
    for name in ("active_anon", "inactive_anon", "active_file", "inactive_file", "unevictable", "pgfault"):
        assert fields[name] == stat[name]
    assert not [name for name in fields if name.startswith("total_")]
    usage = keyed(folder / "cpu.stat")
    assert fields_of(points, "docker_container_cpu")["usage_total"] == usage["usage_usec"] * 1000


def test_the_trees_are_there() -> None:
    assert (FIXTURES / "host/proc/net/snmp").is_file()
