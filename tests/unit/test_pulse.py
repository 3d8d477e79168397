"""A container's pulse: the same as long as nothing of it has run, and the descriptors behind it."""

from pathlib import Path

import pytest

from collector.cgroup.hierarchy import Hierarchy
from collector.cgroup.pulse import LOOK_AGAIN, Pulses


class Tree:
    """Cgroups of one kernel; `monotonic` is the test's."""

    def __init__(self, folder: Path, *, v2: bool) -> None:
        self.name = "cpu.stat" if v2 else "cpuacct.usage"
        self.folder = folder
        self.now = 0.0
        hierarchy = Hierarchy(folder, {}) if v2 else Hierarchy(None, {"cpuacct": folder})
        self.pulses = Pulses(hierarchy, lambda: self.now)

    def spend(self, path: str, text: str) -> None:
        (self.folder / path.lstrip("/")).mkdir(exist_ok=True)
        (self.folder / path.lstrip("/") / self.name).write_text(text)


@pytest.fixture(params=[True, False], ids=["v2", "v1"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    return Tree(tmp_path, v2=request.param)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_pulse_is_the_same_until_something_ran(tree: Tree) -> None:
    tree.spend("/a", "1000\n")
    first = tree.pulses.pulse("/a")
    assert first is not None
    assert tree.pulses.pulse("/a") == first
    tree.spend("/a", "1001\n")
    assert tree.pulses.pulse("/a") != first


def test_an_idle_container_is_looked_at_again_now_and_then_and_not_all_at_once(tree: Tree) -> None:
    paths = [f"/c{number}" for number in range(20)]
    changes = dict.fromkeys(paths, 0)
    last = {}
    for path in paths:
        tree.spend(path, "1000\n")
        last[path] = tree.pulses.pulse(path)
    moments = set()
    for second in range(1, int(2 * LOOK_AGAIN) + 1):
        tree.now = float(second)
        for path in paths:
            pulse = tree.pulses.pulse(path)
            changes[path] += pulse != last[path]
            moments |= {second} if pulse != last[path] else set()
            last[path] = pulse
    assert set(changes.values()) == {2}
    assert len(moments) > 5


def test_where_nobody_counts_there_is_no_pulse(tree: Tree, tmp_path: Path) -> None:
    assert tree.pulses.pulse("/nothing") is None
    assert Pulses(Hierarchy(None, {"memory": tmp_path})).pulse("/a") is None


def test_what_is_asked_for_no_longer_is_closed(tree: Tree) -> None:
    before = open_descriptors()
    for path in ("/a", "/b"):
        tree.spend(path, "1000\n")
        tree.pulses.pulse(path)
    tree.pulses.forget_unread()
    assert open_descriptors() == before + 2
    tree.pulses.pulse("/a")
    tree.pulses.forget_unread()
    assert open_descriptors() == before + 1
    tree.pulses.close()
    assert open_descriptors() == before
