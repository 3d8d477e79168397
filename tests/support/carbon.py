"""Debian's carbon-cache, and what it has written into whisper files."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.servers import free_port, process
from tests.support.wait import wait_until

DEADLINE = 20.0
_SCHEMAS = "[all]\npattern = .*\nretentions = 1s:1h\n"


@dataclass(frozen=True, slots=True)
class Carbon:
    """A carbon-cache that takes plaintext on `port`."""

    port: int
    files: Path
    pid: int

    def values(self, path: str) -> dict[int, float]:
        """Values by Unix second of this path; empty while there is no file."""
        if ";" in path:
            digest = hashlib.sha256(path.encode()).hexdigest()  # as carbon's TaggedSeries
            file = self.files / "_tagged" / digest[:3] / digest[3:6] / f"{digest}.wsp"
        else:
            file = self.files / f"{path.replace('.', '/')}.wsp"
        if not file.exists():
            return {}
        command = ["whisper-fetch", "--json", str(file)]
        fetched = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        seconds = range(fetched["start"], fetched["end"], fetched["step"])
        return {second: value for second, value in zip(seconds, fetched["values"], strict=False) if value is not None}


@contextlib.contextmanager
def carbon(folder: Path, port: int | None = None) -> Iterator[Carbon]:
    """Carbon in this folder; a second one there finds the files of the first."""
    folder.mkdir(exist_ok=True)
    port = port or free_port()
    (folder / "storage-schemas.conf").write_text(_SCHEMAS)
    (folder / "carbon.conf").write_text(_settings(folder, port))
    (folder / "carbon-cache-a.pid").unlink(missing_ok=True)
    command = ["carbon-cache", f"--config={folder / 'carbon.conf'}", "--nodaemon", "start"]
    with process(command, folder / "carbon.log", {"GRAPHITE_ROOT": str(folder)}) as started:
        wait_until(lambda: _listens(port), deadline=DEADLINE, what="carbon")
        yield Carbon(port, folder / "whisper", started.pid)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
        return True
    return False


def _settings(folder: Path, port: int) -> str:
    settings = {
        "STORAGE_DIR": folder,
        "LOCAL_DATA_DIR": folder / "whisper",
        "CONF_DIR": folder,
        "LOG_DIR": folder,
        "PID_DIR": folder,
        "USER": "",
        "LINE_RECEIVER_INTERFACE": "127.0.0.1",
        "LINE_RECEIVER_PORT": port,
        "PICKLE_RECEIVER_INTERFACE": "127.0.0.1",
        "PICKLE_RECEIVER_PORT": free_port(),
        "CACHE_QUERY_INTERFACE": "127.0.0.1",
        "CACHE_QUERY_PORT": free_port(),
        "MAX_CREATES_PER_MINUTE": "inf",
        "MAX_UPDATES_PER_SECOND": "inf",
        "ENABLE_TAGS": "False",
    }
    return "[cache]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items())
