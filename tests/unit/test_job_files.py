"""What a hostile container can put where its metrics should be; the child is the real one."""

import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collector.child import ChildPool
from collector.filesystem_child import MAX_BYTES, MAX_ENTRIES, MAX_FILES
from collector.jobfiles import JobFiles, ask_job_files
from collector.statvfs import FILESYSTEM_CHILD
from tests.support.wait import wait_until

GOOD = "vdbmon_backup_lag_seconds 1\n"
SECRET = "root:$6$not-for-you"  # noqa: S105 - stands for one


@pytest.fixture
def children() -> Iterator[ChildPool]:
    pool = ChildPool(FILESYSTEM_CHILD, deadline=5.0, limit=2)
    yield pool
    pool.close()


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    (tmp_path / "volume" / "metrics").mkdir(parents=True)
    return tmp_path / "volume"


@pytest.fixture
def read(children: ChildPool, volume: Path) -> Callable[[], JobFiles]:
    return lambda: ask_job_files(children, str(volume))


def texts(found: JobFiles) -> list[str]:
    return [file.text for file in found.files]


def test_files_come_oldest_first_with_their_time(volume: Path, read: Callable[[], JobFiles]) -> None:
    for name, modified in (("a.prom", 2000), ("b.prom", 1000)):
        (volume / "metrics" / name).write_text(f"{name} 1\n")
        os.utime(volume / "metrics" / name, (modified, modified))
    found = read()
    assert [(file.text, file.modified) for file in found.files] == [("b.prom 1\n", 1000.0), ("a.prom 1\n", 2000.0)]
    assert found.refused == ()


def test_other_names_and_files_under_way_are_passed_over(volume: Path, read: Callable[[], JobFiles]) -> None:
    for name in ("notes.txt", ".backup.prom.new", ".hidden.prom", "prom"):
        (volume / "metrics" / name).write_text("not meant for us")
    assert read() == JobFiles()


def test_a_volume_without_metrics_has_none(volume: Path, read: Callable[[], JobFiles]) -> None:
    (volume / "metrics").rmdir()
    assert read() == JobFiles()
    volume.rmdir()
    assert read() == JobFiles(refused=("unreadable",))


def make_socket(path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket is short
    try:
        listener.bind(path.name)
    finally:
        os.chdir(here)
        listener.close()


def make_sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "fifo": (os.mkfifo, "fifo"),
    "directory": (Path.mkdir, "directory"),
    "socket": (make_socket, "socket"),
    "memory": (lambda path: os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 1)), "device"),
    "zeros without end": (lambda path: os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5)), "device"),
    "disk": (lambda path: os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(7, 0)), "device"),
    "link to a file outside": (lambda path: path.symlink_to(path.parents[2] / "secret"), "link"),
    "link to a file of the host": (lambda path: path.symlink_to("/etc/shadow"), "link"),
    "link to a file inside": (lambda path: path.symlink_to("good.prom"), "link"),
    "link to itself": (lambda path: path.symlink_to(path.name), "link"),
    "magic link": (lambda path: path.symlink_to("/proc/self/environ"), "link"),
    "terabyte": (make_sparse, "too_large"),
    "one byte too many": (lambda path: path.write_bytes(b"#" * (MAX_BYTES + 1)), "too_large"),
    "latin-1": (lambda path: path.write_bytes(b'a{b="\xe4"} 1\n'), "not_utf8"),
}


@pytest.mark.parametrize(("make", "reason"), HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_no_plain_file_is_refused_and_the_others_are_read(
    make: Callable[[Path], object], reason: str, volume: Path, read: Callable[[], JobFiles]
) -> None:
    (volume.parent / "secret").write_text(SECRET)
    (volume / "metrics" / "good.prom").write_text(GOOD)
    make(volume / "metrics" / "bad.prom")
    found = read()
    assert (texts(found), found.refused) == ([GOOD], (reason,))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.symlink_to("/etc"), "link"),
        (lambda path: path.symlink_to("elsewhere"), "link"),
        (os.mkfifo, "fifo"),
        (lambda path: path.write_text(GOOD), "file"),
    ],
    ids=["link outside", "link inside", "fifo", "file"],
)
def test_a_folder_that_is_none_is_refused(
    make: Callable[[Path], object], reason: str, volume: Path, read: Callable[[], JobFiles]
) -> None:
    (volume / "metrics").rename(volume / "elsewhere")
    (volume / "elsewhere" / "good.prom").write_text(GOOD)
    make(volume / "metrics")
    assert read() == JobFiles(refused=(reason,))


def test_a_filesystem_mounted_inside_the_volume_is_another(volume: Path, read: Callable[[], JobFiles]) -> None:
    folder = volume / "metrics"
    subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=True)
    try:
        (folder / "good.prom").write_text(GOOD)
        assert read() == JobFiles(refused=("other_filesystem",))
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_file_that_grows_while_it_is_read_ends_at_the_limit(volume: Path, read: Callable[[], JobFiles]) -> None:
    stop = threading.Event()
    path = volume / "metrics" / "a.prom"

    def grow() -> None:
        with path.open("ab", buffering=0) as file:
            while not stop.is_set() and file.tell() < 50 * MAX_BYTES:
                file.write(b"#" * 4096)

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        wait_until(lambda: read().refused == ("too_large",), deadline=20, what="the file is refused")
    finally:
        stop.set()
        writer.join()


def test_no_file_is_lost_or_torn_while_it_is_replaced(volume: Path, read: Callable[[], JobFiles]) -> None:
    stop = threading.Event()
    path = volume / "metrics" / "a.prom"
    versions = [f"a {number}\n" * 2000 for number in range(3)]
    path.write_text(versions[0])

    def replace() -> None:
        while not stop.is_set():
            for text in versions:
                (volume / "metrics" / ".new").write_text(text)
                (volume / "metrics" / ".new").rename(path)

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        found = [text for _ in range(200) for text in texts(read())]
    finally:
        stop.set()
        writer.join()
    assert set(found) <= set(versions)
    assert len(found) == 200


def test_a_lease_does_not_hold_up_the_reader(volume: Path, read: Callable[[], JobFiles]) -> None:
    path = volume / "metrics" / "a.prom"
    path.write_text(GOOD)
    code = (
        "import fcntl, os, signal, sys\n"
        "signal.signal(signal.SIGIO, signal.SIG_IGN)\n"
        f"fd = os.open({str(path)!r}, os.O_RDWR)\n"
        "fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert read() == JobFiles(refused=("unreadable",))
        holder.communicate()
    assert texts(read()) == [GOOD]


def test_many_files_are_cut_and_a_crowded_folder_is_not_read(volume: Path, read: Callable[[], JobFiles]) -> None:
    for number in range(MAX_FILES + 1):
        (volume / "metrics" / f"{number}.prom").write_text(GOOD)
    found = read()
    assert (len(found.files), found.refused) == (MAX_FILES, ("too_many",))
    for number in range(MAX_ENTRIES):
        (volume / "metrics" / f"{number}").touch()
    assert read() == JobFiles(refused=("too_many",))


def test_the_size_limit_holds_for_all_files_together(volume: Path, read: Callable[[], JobFiles]) -> None:
    for name in ("a.prom", "b.prom", "c.prom"):
        (volume / "metrics" / name).write_bytes(b"#" * (MAX_BYTES // 2))
    found = read()
    assert (len(found.files), found.refused) == (2, ("too_large",))


def test_odd_paths_are_asked_without_harm(children: ChildPool, tmp_path: Path) -> None:
    odd = tmp_path / "new\nline \udcff"
    (odd / "metrics").mkdir(parents=True)
    (odd / "metrics" / "a\n\udcff.prom").write_text(GOOD)
    assert texts(ask_job_files(children, str(odd))) == [GOOD]
    assert ask_job_files(children, "null\0byte") == JobFiles(refused=("unreadable",))
    assert texts(ask_job_files(children, str(odd))) == [GOOD], "the child lives on"
