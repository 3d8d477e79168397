"""What a new configuration says of this machine, and the folders and secrets that it names."""

from __future__ import annotations

import secrets
import shutil
import socket
from pathlib import Path

import psutil

from vdbmon.generated_files import write_if_changed
from vdbmon.stack.layout import Layout
from vdbmon.stack.render import Machine

PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
BACKUP_USER = "vdbmon_backup"


def this_machine(folder: Path) -> Machine:
    """Measure this machine; `folder` is on the filesystem that volumes are to be on."""
    return Machine(
        name=socket.gethostname(),
        cpus=psutil.cpu_count() or 1,
        memory=psutil.virtual_memory().total,
        disk=shutil.disk_usage(folder).total,
    )


def make_folders(layout: Layout) -> None:
    """Make the folders that the programs expect; that of the sockets is root's alone and gone after a reboot."""
    layout.log("any").parent.mkdir(parents=True, exist_ok=True)
    layout.run.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)


def make_credentials(path: Path) -> None:
    """Write the MySQL option file of the demonstration's backup user, unless there is one."""
    if not path.exists():
        password = secrets.token_urlsafe(24)
        write_if_changed(path, f"[client]\nuser={BACKUP_USER}\npassword={password}\n", mode=PRIVATE_FILE)
