"""Supervisor (http://supervisord.org) as the stack uses it: start, update, ask, stop, also what a killed one left."""

from __future__ import annotations

import http.client
import signal
import socket
import subprocess
import sys
import xmlrpc.client
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psutil
from supervisor.xmlrpc import Faults

from collector.errors import VdbmonError
from vdbmon.stack.layout import Layout
from vdbmon.stack.ownership import SUPERVISOR_MODULE, own_processes, own_supervisors
from vdbmon.stack.wait import wait_for

RPC_SECONDS = 5.0
STOP_SECONDS = 60.0  # longer than the slowest program may take to end
KILL_SECONDS = 5.0
START_SECONDS = 10.0
LOG_LINES = 5


_NOT_RUNNING = frozenset({Faults.NOT_RUNNING})
_RUNNING = frozenset({Faults.ALREADY_STARTED})


class SupervisorError(VdbmonError):
    """Supervisor didn't answer, or said no."""

    def __init__(self, message: str) -> None:
        super().__init__("stack.supervisor", message, "see var/log/supervisord.log; `make down` ends it")


@dataclass(frozen=True, slots=True)
class ProgramState:
    """What supervisor says of a program: its state's name, process id (0: none), start as Unix time, a sentence."""

    name: str
    state: str
    pid: int
    since: float
    description: str

    @property
    def runs(self) -> bool:
        """Whether it has run for longer than a start takes."""
        return self.state == "RUNNING"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _UnixTransport(xmlrpc.client.Transport):
    """supervisor's own transport has no deadline, and a supervisor that is stopped would hang its caller."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__()
        self._path, self._seconds = path, seconds

    def make_connection(self, host: Any) -> http.client.HTTPConnection:  # noqa: ARG002 - xmlrpc's interface
        return _UnixConnection(self._path, self._seconds)


class Supervisor:
    """The supervisor of one stack."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def _call(
        self, method: str, *arguments: Any, seconds: float = RPC_SECONDS, tolerated: frozenset[int] = frozenset()
    ) -> Any:
        """Call supervisor; a fault that is `tolerated` (supervisor.xmlrpc.Faults) means that it is so already."""
        transport = _UnixTransport(str(self._layout.supervisor_socket), seconds)
        try:
            with xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=transport) as proxy:
                return getattr(proxy.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode in tolerated:
                return None
            raise SupervisorError(f"supervisor refused {method}: {fault.faultString}") from fault
        except (OSError, xmlrpc.client.Error, http.client.HTTPException) as error:
            raise SupervisorError(f"supervisor doesn't answer {method}: {error}") from error

    def states(self) -> dict[str, ProgramState] | None:
        """State of every program by its name; None when supervisor doesn't answer."""
        try:
            rows = self._call("getAllProcessInfo")
        except SupervisorError:
            return None
        return {
            row["name"]: ProgramState(row["name"], row["statename"], row["pid"], row["start"], row["description"])
            for row in rows
        }

    def start(self) -> None:
        """Start supervisor and with it every program.

        Raises:
            VdbmonError: `stack.supervisor`, it didn't come up; says the end of its output.
        """
        command = [sys.executable, "-m", SUPERVISOR_MODULE, "-c", str(self._layout.supervisor_conf)]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=START_SECONDS
            )
            output = (done.stdout + done.stderr).strip()
        except subprocess.TimeoutExpired:
            output = f"it did not go to the background within {START_SECONDS:.0f} s"
        if wait_for(lambda: self.states() is not None, START_SECONDS) is None:
            reason = " ".join(output.splitlines()[-1:]) or "it doesn't answer on its socket"
            raise VdbmonError(
                "stack.supervisor", f"supervisor did not start: {reason}", f"see {self._layout.log('supervisord')}"
            )

    def update(self) -> set[str]:
        """Make the running programs those of the configuration file; return the names of those that (re)started."""
        added, changed, removed = self._call("reloadConfig")[0]
        for name in (*changed, *removed):
            self._call("stopProcessGroup", name, seconds=STOP_SECONDS)
            self._call("removeProcessGroup", name)
        for name in (*added, *changed):
            self._call("addProcessGroup", name)
        return {*added, *changed}

    def restart(self, name: str) -> None:
        """Stop a program, unless an interruption left it stopped, and start it."""
        self._call("stopProcess", name, seconds=STOP_SECONDS, tolerated=_NOT_RUNNING)
        self._call("startProcess", name, False, tolerated=_RUNNING)

    def stop(self) -> list[str]:
        """Stop all programs and supervisor; also what a killed supervisor left. Return the names of what was stopped.

        Raises:
            VdbmonError: `stack.not_stopping`, a process didn't end even when killed.
        """
        states = self.states()
        before = own_supervisors(self._layout)
        stopped = [name for name, state in (states or {}).items() if state.pid]
        if states is not None:
            self._call("shutdown")
            psutil.wait_procs(before, timeout=STOP_SECONDS)
        return stopped + self.stop_leftovers()

    def stop_leftovers(self) -> list[str]:
        """End processes of this stack that no supervisor looks after; return their names.

        Raises:
            VdbmonError: `stack.not_stopping`, a process didn't end even when killed.
        """
        _end(own_supervisors(self._layout))
        leftovers = own_processes(self._layout)
        _end(process for _, process in leftovers)
        return sorted({name for name, _ in leftovers})


def _end(processes: Iterable[psutil.Process]) -> None:
    """SIGTERM, then SIGKILL; psutil refuses to signal a process id that another process has taken over."""
    alive = list(processes)
    for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
        for process in alive:
            try:
                process.send_signal(number)
                process.send_signal(signal.SIGCONT)  # a stopped process acts on a signal only when it goes on
            except psutil.NoSuchProcess:
                continue
        _, alive = psutil.wait_procs(alive, timeout=seconds)
    if alive:
        pids = ", ".join(str(process.pid) for process in alive)
        raise VdbmonError(
            "stack.not_stopping",
            f"processes of the stack did not end, not even when killed: {pids}",
            "they hang in the kernel; see /proc/PID/stack, and reboot if it lasts",
        )


def log_tail(layout: Layout, program: str) -> str:
    """The last lines of a program's log in one line."""
    try:
        lines = layout.log(program).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "no log"
    return " | ".join(" ".join(line.split()) for line in lines[-LOG_LINES:]) or "an empty log"
