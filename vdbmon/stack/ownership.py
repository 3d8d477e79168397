"""Which processes belong to a stack.

Supervisor puts SUPERVISOR_SERVER_URL and SUPERVISOR_PROCESS_NAME into the environment of every program; both name it
even when supervisor itself was killed. A supervisor names its configuration file on its command line.
"""

from __future__ import annotations

import psutil

from vdbmon.stack.layout import Layout
from vdbmon.stack.programs import DOCKERD

SUPERVISOR_MODULE = "supervisor.supervisord"
_URL_VARIABLE = "SUPERVISOR_SERVER_URL"
_NAME_VARIABLE = "SUPERVISOR_PROCESS_NAME"


def program_of(process: psutil.Process, layout: Layout) -> str | None:
    """The program of this stack that a process is; None when it is none.

    Of what dockerd starts only dockerd itself counts: it ends its containerd, and the shims keep other people's
    containers alive while the daemon is away.
    """
    try:
        environment = process.environ()
        name = environment.get(_NAME_VARIABLE)
        if environment.get(_URL_VARIABLE) != layout.supervisor_url or name is None:
            return None
        if name == DOCKERD and process.name() != DOCKERD:
            return None
    except (psutil.Error, OSError):
        return None
    return name


def is_own(pid: int | None, layout: Layout) -> bool:
    """Whether a process is one of this stack's programs."""
    try:
        return pid is not None and program_of(psutil.Process(pid), layout) is not None
    except psutil.NoSuchProcess:
        return False


def own_processes(layout: Layout) -> list[tuple[str, psutil.Process]]:
    """The stack's processes, each with its program's name."""
    named = ((program_of(process, layout), process) for process in psutil.process_iter())
    return [(name, process) for name, process in named if name is not None]


def own_supervisors(layout: Layout) -> list[psutil.Process]:
    """The stack's supervisor; several only if somebody started one by hand.

    A program that supervisor has forked carries its command line until its own is executed: no supervisor yet.
    """
    found = [process for process in psutil.process_iter() if _supervises(process, layout)]
    pids = {process.pid for process in found}
    return [process for process in found if _parent(process) not in pids]


def _supervises(process: psutil.Process, layout: Layout) -> bool:
    try:
        command = process.cmdline()
    except psutil.Error:
        return False
    return SUPERVISOR_MODULE in command and str(layout.supervisor_conf) in command


def _parent(process: psutil.Process) -> int | None:
    try:
        return process.ppid()
    except psutil.Error:
        return None
