"""Runs as a process of its own: asks filesystems what may hang (see `collector.child`), and reads what jobs wrote.

Requests are a word and what it is about, with null bytes between them: `statvfs` and a path, `jobs` and a path,
`readable`, the number of a filesystem and a path. Answers are JSON. Standard library only: it is started with
`python -I -S`.

A job's files were written by a container and are read by root. So nothing beneath the volume is followed or opened
before it is known: each name is looked up by openat(2) with O_PATH and O_NOFOLLOW, which opens no device and waits for
no FIFO; fstat(2) says what it is; and only a regular file of the volume's own filesystem is opened for reading, by
/proc/self/fd, which leads to the very inode that was looked at. (openat2(2) with RESOLVE_BENEATH would say the same
less plainly: Python has no call for it, and there is one folder and one file to walk.) O_NONBLOCK keeps a file lease
(fcntl(2), F_SETLEASE) from holding up the open.
"""

import errno
import json
import os
import stat
import sys
from collections.abc import Iterator

JOB_FOLDER = "metrics"
SUFFIX = ".prom"
MAX_FILES = 4
MAX_ENTRIES = 256
MAX_BYTES = 256 * 1024
READ_BYTES = 4096

_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_LENGTH_BYTES = 4
_KINDS = {
    stat.S_IFLNK: "link",
    stat.S_IFDIR: "directory",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


class RefusedError(Exception):
    """A file that is not read; the text is the reason, one word."""


def main() -> None:
    """Answer frame by frame until standard input ends."""
    while len(head := sys.stdin.buffer.read(_LENGTH_BYTES)) == _LENGTH_BYTES:
        request = sys.stdin.buffer.read(int.from_bytes(head, "big"))
        answer = json.dumps(answer_to(request)).encode()
        sys.stdout.buffer.write(len(answer).to_bytes(_LENGTH_BYTES, "big") + answer)
        sys.stdout.buffer.flush()


def answer_to(request: bytes) -> object:
    """What is asked for; `{"errno": number}` where the path itself can't be asked."""
    question, _, path = request.partition(b"\0")
    try:
        match question:
            case b"statvfs":
                return statvfs(path)
            case b"readable":
                number, _, path = path.partition(b"\0")
                return {"read": read_some(path, number.decode())}
            case _:
                return job_files(path)
    except OSError as error:
        return {"errno": error.errno}
    except RefusedError as refused:
        return {"refused": str(refused)}
    except ValueError:  # a null byte in the path
        return {"errno": errno.EINVAL}


def statvfs(path: bytes) -> list[int]:
    """Bytes in all, free, and free for others than root; inodes in all and free; major and minor of the device."""
    usage = os.statvfs(path)
    device = os.stat(path).st_dev  # noqa: PTH116 - the path is bytes
    return [
        *(blocks * usage.f_frsize for blocks in (usage.f_blocks, usage.f_bfree, usage.f_bavail)),
        *(usage.f_files, usage.f_ffree, os.major(device), os.minor(device)),
    ]


def read_some(path: bytes, number: str) -> int:
    """How many bytes the first read of a regular file of the filesystem `major:minor` gives.

    Raises:
        OSError: it can't be read.
        RefusedError: it is something else, or of another filesystem.
    """
    major, _, minor = number.partition(":")
    descriptor = _open_known(os.fsdecode(path), None, os.makedev(int(major), int(minor)), stat.S_IFREG)
    try:
        return len(os.read(descriptor, READ_BYTES))
    finally:
        os.close(descriptor)


def job_files(volume: bytes) -> list[dict[str, object]]:
    """The job files of a volume: `mtime` and `text`, or the reason why one was `refused`; empty where there are none.

    Raises:
        OSError: the volume itself can't be opened.
    """
    base = os.open(volume, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return list(_read_folder(base))
    except FileNotFoundError:
        return []
    except RefusedError as refused:
        return [{"refused": str(refused)}]
    finally:
        os.close(base)


def _read_folder(base: int) -> Iterator[dict[str, object]]:
    device = os.fstat(base).st_dev
    folder = _open_known(JOB_FOLDER, base, device, stat.S_IFDIR)
    try:
        names = _job_names(folder)
        left = MAX_BYTES
        for name in names[:MAX_FILES]:
            try:
                content, mtime = _read(name, folder, device, left)
            except RefusedError as refused:
                yield {"refused": str(refused)}
            except FileNotFoundError:
                continue  # replaced while we looked; the next reading sees the new one
            except OSError:
                yield {"refused": "unreadable"}
            else:
                left -= len(content)
                yield {"mtime": mtime, "text": content.decode()}
        if len(names) > MAX_FILES:
            yield {"refused": "too_many"}
    finally:
        os.close(folder)


def _job_names(folder: int) -> list[str]:
    """Names that end in `.prom`, sorted; hidden ones are files under way."""
    names = []
    with os.scandir(folder) as entries:
        for count, entry in enumerate(entries):
            if count >= MAX_ENTRIES:
                raise RefusedError("too_many")
            if entry.name.endswith(SUFFIX) and not entry.name.startswith("."):
                names.append(entry.name)
    return sorted(names)


def _read(name: str, folder: int, device: int, limit: int) -> tuple[bytes, float]:
    descriptor = _open_known(name, folder, device, stat.S_IFREG)
    try:
        status = os.fstat(descriptor)
        content = b""
        while len(content) <= limit and (part := os.read(descriptor, limit + 1 - len(content))):
            content += part
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise RefusedError("too_large")
    try:
        content.decode()
    except UnicodeDecodeError:
        raise RefusedError("not_utf8") from None
    return content, status.st_mtime


def _open_known(name: str, folder: int | None, device: int, kind: int) -> int:
    """Open for reading what was first seen to be of this kind and filesystem.

    Raises:
        RefusedError: it is something else.
        OSError: it is gone, or can't be read.
    """
    handle = os.open(name, _LOOK, dir_fd=folder)
    try:
        status = os.fstat(handle)
        found = stat.S_IFMT(status.st_mode)
        if found != kind:
            raise RefusedError(_KINDS.get(found, "file"))
        if status.st_dev != device:
            raise RefusedError("other_filesystem")
        if kind == stat.S_IFREG and status.st_size > MAX_BYTES:
            raise RefusedError("too_large")
        return os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    finally:
        os.close(handle)


if __name__ == "__main__":
    main()
