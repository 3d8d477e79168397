"""Turn the stored stream of a physical backup into a data directory that a server can start on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from .chain import StoredBackup
from .errors import Code, JobFailedError
from .mariadb_backup import TOOL
from .pipeline import Argv, feed, run
from .progress import Progress
from .volume import check_secret, read_sums

_MEMORY = 256 << 20  # bytes for pages while the log is applied; the tool's default of 100 MB makes it slow


def restore_chain(
    chain: Sequence[StoredBackup], identity: Path | None, data: Path, work: Path, progress: Progress
) -> None:
    """Make `data` the state at the end of the chain; `work` takes one increment after the other.

    Raises:
        JobFailedError: a backup is damaged, can't be decrypted, or can't be applied.
    """
    progress.expected_raw = sum(item.record.bytes_stored for item in chain)
    taken = 0
    for index, item in enumerate(chain):
        folder = data if index == 0 else work / f"increment-{index}"
        folder.mkdir(mode=0o700)
        extract(item, identity, folder, progress=partial(_read_more, progress, taken))
        taken += item.record.bytes_stored
        progress.say(f"{item.record.backup_id} is unpacked; applying its log")
        more = () if index == 0 else (f"--incremental-dir={folder}",)
        _prepare(item, data, more)
        if index:
            shutil.rmtree(folder)


def _read_more(progress: Progress, before: int, count: int) -> None:
    progress.update(raw=before + count)


def extract(item: StoredBackup, identity: Path | None, folder: Path, *, progress: Callable[[int], object]) -> None:
    """Decrypt, decompress and unpack one stream; its SHA-256 is checked on the way.

    Raises:
        JobFailedError: see `restore_chain`.
    """
    record = item.record
    sums = read_sums(item.folder, record)
    name = record.stream_name
    if record.recipients and identity is None:
        text = f"backup {record.backup_id} is encrypted for {', '.join(record.recipients)}, and no key is given"
        raise JobFailedError(Code.WRONG_KEY, text)
    if record.recipients and identity is not None:
        check_secret(identity, "identity file")
    commands = (*reading_commands(identity if record.recipients else None), ("mbstream", "-x", "-C", str(folder)))
    try:
        fed = feed(item.folder / name, commands, progress=progress)
    except FileNotFoundError as error:
        raise JobFailedError(Code.BACKUP_DAMAGED, f"{error.filename} is missing") from error
    if fed.sha256 != sums.get(name):
        text = f"{item.folder / name} is not what was written: its SHA-256 differs"
        raise JobFailedError(Code.BACKUP_DAMAGED, text)
    if fed.failure is not None:
        wrong_key = str(fed.failure).startswith("age ")
        code = Code.WRONG_KEY if wrong_key else fed.failure.code
        raise JobFailedError(code, f"unpacking {item.folder / name} failed: {fed.failure}")


def reading_commands(identity: Path | None) -> tuple[Argv, ...]:
    """What turns stored bytes into plain ones."""
    decompress = ("zstd", "--quiet", "--decompress", "--stdout")
    return (decompress,) if identity is None else (("age", "--decrypt", "--identity", str(identity)), decompress)


def _prepare(item: StoredBackup, data: Path, more: tuple[str, ...]) -> None:
    try:
        run((TOOL, "--no-defaults", "--prepare", f"--target-dir={data}", f"--use-memory={_MEMORY}", *more))
    except JobFailedError as error:
        last = str(error)[-400:]
        text = f"applying the log of {item.record.backup_id} failed: {last}"
        raise JobFailedError(Code.BACKUP_DAMAGED, text) from error
