"""What a job runs: its image, its command, and what of the host it sees."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from collector.errors import ConfigError, VdbmonError
from orchestrator.backup.addresses import check_access
from orchestrator.backup.commands import Invocation, VolumeOf, invocation
from orchestrator.backup.job_names import JobName
from orchestrator.decision.request import Request
from orchestrator.decision.resources import ResourceClass
from orchestrator.engines.engine import BindMount
from orchestrator.engines.images import backup_tag

SMALLEST = MappingProxyType(
    {
        ResourceClass.CPU: 10,  # Docker's own lower bounds
        ResourceClass.MEMORY: 6 << 20,
        ResourceClass.DISK: 8 << 20,  # an ext4 with a journal
    }
)

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,47}")
_CPUSET = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")
_GROUP_AND_OTHERS = 0o077


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A kind of work. `run` gets the request, the name of its volume, and the volumes that it reads."""

    image: str
    run: Callable[[Request, str, VolumeOf], Invocation] = invocation


JOBS: Mapping[str, Job] = MappingProxyType({job.value: Job(image=backup_tag()) for job in JobName})


def check_request(request: Request) -> None:
    """Refuse what no host could run, before anything is asked or done.

    Raises:
        ConfigError: `request.name`, `request.size`, `request.cpuset`, or as `check_access`.
    """
    if not _NAME.fullmatch(request.name):
        raise ConfigError(
            "request.name",
            f"{request.name!r} is no container name",
            "use 2 to 48 of a-z, A-Z, 0-9, dot, dash and underscore, and begin with a letter or digit",
        )
    for key, smallest in SMALLEST.items():
        if request.amounts[key] < smallest:
            text = f"{key.label} of {key.amount_text(request.amounts[key])} is too small"
            raise ConfigError("request.size", text, f"give at least {key.amount_text(smallest)}")
    cpuset = request.wishes.cpuset
    if cpuset is not None and not _CPUSET.fullmatch(cpuset):
        raise ConfigError("request.cpuset", f"{cpuset!r} is no list of processors", "write for example 0-3,6")
    check_access(request.job, request.source)


def check_on_host(run: Invocation) -> None:
    """Refuse what can be seen only on the host that runs the job, before anything is done.

    Raises:
        VdbmonError: `source.credentials`, `source.socket`, `source.data_dir`, `job.file`.
    """
    for path in run.secrets:
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise VdbmonError("source.credentials", f"secret file {path}: {error.strerror}", "write it") from error
        if not stat.S_ISREG(mode) or mode & _GROUP_AND_OTHERS:
            raise VdbmonError("source.credentials", f"{path} can be read by others", "chmod 600 the file")
    for socket in run.sockets:
        if not socket.is_socket():
            raise VdbmonError("source.socket", f"no socket {socket}", "start the server")
    for folder in run.folders:
        if not folder.is_dir():
            raise VdbmonError("source.data_dir", f"no directory {folder}", "see its [[sources]]")
    for mount in run.mounts:
        if isinstance(mount, BindMount) and not mount.source.exists():
            raise VdbmonError("job.file", f"no file {mount.source}, which the job needs", "see its [[sources]]")
