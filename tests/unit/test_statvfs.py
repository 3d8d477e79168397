"""A stopped child stands for one that hangs in the kernel: neither answers, and neither can be talked to."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.statvfs import StatvfsPool
from tests.support.wait import wait_until


@pytest.fixture
def pool() -> Iterator[StatvfsPool]:
    made = StatvfsPool(deadline=1.5)  # a child begins within it, also on a busy machine
    yield made
    made.close()


def children() -> list[int]:
    """The pool's children; the session may have others, such as servers of other tests."""
    found = []
    for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        with contextlib.suppress(OSError):
            if b"filesystem_child" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(int(pid))
    return found


def test_sizes_are_those_of_the_kernel(pool: StatvfsPool, tmp_path: Path) -> None:
    usage = pool.usage([str(tmp_path)])[str(tmp_path)]
    kernel = os.statvfs(tmp_path)
    assert usage.size == kernel.f_blocks * kernel.f_frsize
    assert usage.files == kernel.f_files
    assert 0 < usage.available <= usage.free <= usage.size


def test_a_path_that_is_gone_costs_only_itself(pool: StatvfsPool, tmp_path: Path) -> None:
    assert list(pool.usage([str(tmp_path / "gone"), str(tmp_path)])) == [str(tmp_path)]
    assert len(children()) == 1


def test_a_hanging_path_leaves_the_others_alone_and_comes_back(pool: StatvfsPool, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    pool.usage([str(tmp_path)])
    (stuck,) = children()
    os.kill(stuck, signal.SIGSTOP)
    assert list(pool.usage([str(tmp_path), str(other)])) == [str(other)]
    assert list(pool.usage([str(tmp_path), str(other)])) == [str(other)], "not asked again while it hangs"
    os.kill(stuck, signal.SIGCONT)
    wait_until(lambda: str(tmp_path) in pool.usage([str(tmp_path)]), deadline=10, what="the path answers again")


def test_hanging_children_are_not_replaced_without_end(pool: StatvfsPool, tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in "abcd"]
    for path in paths:
        Path(path).mkdir()
    for _ in range(2):
        pool.usage(paths)
        for pid in children():
            os.kill(pid, signal.SIGSTOP)
    assert pool.usage(paths) == {}
    assert len(children()) == 2


def test_a_child_ends_with_its_parent() -> None:
    code = (
        "import os; from pathlib import Path; from collector.statvfs import StatvfsPool\n"
        "StatvfsPool().usage(['/'])\n"
        "print(Path(f'/proc/self/task/{os.getpid()}/children').read_text())\n"
        "os._exit(9)"
    )
    parent = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    pid = int(parent.stdout)
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), deadline=10, what="the child ends")


def test_a_child_that_was_killed_is_replaced(pool: StatvfsPool, tmp_path: Path) -> None:
    pool.usage([str(tmp_path)])
    (first,) = children()
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: str(tmp_path) in pool.usage([str(tmp_path)]), deadline=10, what="an answer of a new child")
    assert children() != [first]
