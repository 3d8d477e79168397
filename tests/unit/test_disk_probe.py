"""The commands that fio is given, what is made of its answers, and what is refused before it runs."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from collector.errors import ConfigError, VdbmonError
from orchestrator.host.disk_probe import DiskFigures, probe_device, probe_folder

MIB = 1 << 20


class Fio:
    """Answers as fio does; `written` is how far the first run came."""

    def __init__(self, written: int = 64 * MIB) -> None:
        self.commands: list[dict[str, str]] = []
        self.written = written

    def __call__(self, command: Sequence[str], _seconds: float) -> str:
        options = dict(part.removeprefix("--").partition("=")[::2] for part in command[1:])
        self.commands.append(options)
        side = options["rw"].removeprefix("rand")
        figures = {"bw_bytes": 123_456_789, "iops": 98_765.4, "io_bytes": self.written}
        return "fio: a note\n" + json.dumps({"jobs": [{"read": {}, "write": {}, side: figures}]})


def test_a_folder_is_written_first_and_read_only_as_far_as_it_was_written(tmp_path: Path) -> None:
    fio = Fio(written=40 * MIB)
    probe_folder(tmp_path, size=64 * MIB, seconds=2.0, run=fio)
    kinds = [(command["rw"], command["bs"]) for command in fio.commands]
    assert kinds == [
        ("write", str(MIB)),
        ("read", str(MIB)),
        ("randread", "4096"),
        ("randread", "16384"),
        ("randwrite", "4096"),
        ("randwrite", "16384"),
    ]
    sizes = [int(command["size"]) for command in fio.commands]
    assert sizes == [64 * MIB, *[40 * MIB] * 5]
    assert all(command["io_size"] == command["size"] for command in fio.commands), "bounded in bytes"
    assert {(command["direct"], command["runtime"]) for command in fio.commands} == {("1", "2s")}
    assert list(tmp_path.iterdir()) == []


def test_a_device_is_only_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no block device") as caught:
        probe_device(tmp_path, run=Fio())
    assert caught.value.code == "probe.device"
    device = next(path for path in Path("/dev").iterdir() if path.is_block_device())
    fio = Fio()
    figures = probe_device(device, run=fio)
    assert {command["rw"] for command in fio.commands} == {"read", "randread"}
    assert all("readonly" in command for command in fio.commands)
    assert figures.inventory().keys() == {"read_bps", "read_iops"}


def test_the_inventory_is_rounded_down() -> None:
    figures = DiskFigures(
        where="/x",
        read_bps=412_900_000,
        write_bps=999_999,
        read_iops_4k=99_999,
        read_iops_16k=12_987,
        write_iops_4k=77,
        write_iops_16k=9,
    )
    assert figures.inventory() == {"read_bps": "412MB", "write_bps": 999_999, "read_iops": 12_000, "write_iops": 9}


def test_what_would_fill_the_disk_or_measure_a_cache_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VdbmonError, match="half of what is free stays free") as caught:
        probe_folder(tmp_path, size=1 << 60, run=Fio())
    assert caught.value.code == "probe.no_space"
    with pytest.raises(ConfigError, match="measures caches"):
        probe_folder(tmp_path, size=MIB, run=Fio())
    with pytest.raises(ConfigError, match="is no folder"):
        probe_folder(tmp_path / "absent", run=Fio())


def test_an_answer_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(VdbmonError, match="something else than its JSON") as caught:
        probe_folder(tmp_path, size=16 * MIB, run=lambda _command, _seconds: "{oops")
    assert caught.value.code == "probe.failed"
    assert list(tmp_path.iterdir()) == []
