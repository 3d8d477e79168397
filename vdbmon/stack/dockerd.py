"""Which Docker engine the stack uses, and whether it may start one: a daemon that exists never gets a twin.

Two daemons on one data root destroy it. So a socket on which somebody listens, or a live dockerd, is enough to be
used as it is, however slowly it answers; only where there is neither does the stack start a daemon of its own.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import docker
import docker.errors
import psutil
import requests

from collector.docker_api import DEFAULT_ADDRESS
from collector.errors import VdbmonError
from vdbmon.config import Config
from vdbmon.stack.wait import wait_for

STANDARD_SOCKET = Path(DEFAULT_ADDRESS.removeprefix("unix://"))
STANDARD_PID_FILE = Path("/var/run/docker.pid")
ADDRESS_VARIABLE = "DOCKER_HOST"
PROBE_SECONDS = 3
PATIENCE_SECONDS = 60.0

_CONNECT_SECONDS = 1.0
_OWN_ROOT_FLAGS = ("--data-root", "--graph", "-g", "--config-file")


class Action(Enum):
    """What to do about the engine."""

    USE = "it answers"
    WAIT = "it exists, or somebody says that it does"
    START = "there is none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What is known of the engine.

    Attributes:
        address: Engine API address.
        setting: who chose it (`DOCKER_HOST`, a key of the TOML file); None for the standard socket.
        answers: whether it answered a ping in time.
        listening: whether somebody holds the socket open.
        pid: a live daemon of the standard socket or data root; None where none was found.
    """

    address: str
    setting: str | None = None
    answers: bool
    listening: bool = False
    pid: int | None = None


def decide(survey: Survey) -> Action:
    """Use, wait for, or start the engine."""
    if survey.answers:
        return Action.USE
    if survey.setting is not None or survey.listening or survey.pid is not None:
        return Action.WAIT
    return Action.START


def survey_engine(
    config: Config,
    environment: Mapping[str, str] = os.environ,
    *,
    standard_socket: Path = STANDARD_SOCKET,
    pid_file: Path = STANDARD_PID_FILE,
) -> Survey:
    """Look at the engine of this host: the TOML file's address for it, else DOCKER_HOST, else the standard socket."""
    for index, host in enumerate(config.hosts):
        if host.name == config.host.name and host.docker:
            return Survey(address=host.docker, setting=f"hosts[{index}].docker", answers=answers(host.docker))
    if chosen := environment.get(ADDRESS_VARIABLE):
        return Survey(address=chosen, setting=ADDRESS_VARIABLE, answers=answers(chosen))
    return survey_socket(standard_socket, pid_file)


def survey_socket(standard_socket: Path, pid_file: Path) -> Survey:
    """Look at a socket, its daemon's pid file and the daemons that run."""
    address = f"unix://{standard_socket}"
    listening = is_listening(standard_socket)
    return Survey(
        address=address,
        answers=listening and answers(address),
        listening=listening,
        pid=daemon_of_pid_file(pid_file) or daemon_of_standard_root(),
    )


def connect(address: str, seconds: int) -> docker.DockerClient:
    """A client of the engine, with TLS as DOCKER_TLS_VERIFY and DOCKER_CERT_PATH say; `seconds` bound each silence.

    Raises:
        docker.errors.DockerException: the engine doesn't answer.
    """
    return docker.DockerClient.from_env(timeout=seconds, environment={**os.environ, ADDRESS_VARIABLE: address})


@contextmanager
def engine(address: str, seconds: int) -> Iterator[docker.DockerClient]:
    """A client for a block.

    Raises:
        VdbmonError: `docker.failed`, what the engine said inside the block, or that it went silent.
    """
    try:
        client = connect(address, seconds)
        try:
            yield client
        finally:
            client.close()
    except (docker.errors.DockerException, requests.RequestException) as error:
        said = getattr(error, "explanation", None) or error
        raise VdbmonError("docker.failed", f"the Docker engine at {address}: {said}", "see dockerd's log") from error


def answers(address: str, seconds: int = PROBE_SECONDS) -> bool:
    """Whether an engine answers a ping within `seconds`."""
    try:
        client = connect(address, seconds)
    except (docker.errors.DockerException, OSError):
        return False
    try:
        return bool(client.ping())
    except (docker.errors.DockerException, OSError):
        return False
    finally:
        client.close()


def is_listening(path: Path) -> bool:
    """Whether somebody listens on a Unix socket; a hung process does: the kernel accepts for it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_CONNECT_SECONDS)
        try:
            probe.connect(str(path))
        except OSError as error:
            # A full backlog (EAGAIN, a timeout) is a listener that doesn't keep up.
            return error.errno in {errno.EAGAIN, errno.EACCES} or isinstance(error, TimeoutError)
    return True


def daemon_of_pid_file(pid_file: Path) -> int | None:
    """The live dockerd that a pid file names; None where the file is missing, stale, or names another program."""
    try:
        pid = int(pid_file.read_text(encoding="ascii"))
        return pid if psutil.Process(pid).name() == "dockerd" else None
    except (OSError, ValueError, psutil.NoSuchProcess):
        return None


def daemon_of_standard_root() -> int | None:
    """A dockerd of this pid namespace that was given no data root of its own: socket and pid file may be deleted."""
    for process in psutil.process_iter():
        try:
            if process.name() != "dockerd" or _pid_namespace(process.pid) != _pid_namespace(os.getpid()):
                continue
            if not any(word.startswith(_OWN_ROOT_FLAGS) for word in process.cmdline()):
                return process.pid
        except (psutil.Error, OSError):
            continue
    return None


def _pid_namespace(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/pid").readlink())


def remove_stale_pid_file(pid_file: Path = STANDARD_PID_FILE) -> None:
    """Before a start: dockerd refuses one when the number in a dead daemon's pid file is another process's by now."""
    if daemon_of_pid_file(pid_file) is None:
        pid_file.unlink(missing_ok=True)


def wait_for_engine(survey: Survey, progress: Callable[[str], None], *, seconds: float = PATIENCE_SECONDS) -> None:
    """Return when the engine answers.

    Raises:
        VdbmonError: `docker.not_answering`, not within `seconds`; names the daemon and what to do.
    """
    if answers(survey.address):
        return
    progress(f"{describe(survey)} doesn't answer; waiting up to {seconds:.0f} s")
    if wait_for(lambda: answers(survey.address), seconds, poll=1.0) is None:
        raise VdbmonError(
            "docker.not_answering", f"{describe(survey)} hasn't answered for {seconds:.0f} s", _remedy(survey)
        )


def describe(survey: Survey) -> str:
    """The engine in words, with the daemon's process id where it is known."""
    if survey.pid is not None:
        return f"dockerd (pid {survey.pid}) at {survey.address}"
    return f"the Docker engine at {survey.address}"


def _remedy(survey: Survey) -> str:
    if survey.pid is not None:
        try:
            status = psutil.Process(survey.pid).status()
        except psutil.NoSuchProcess:
            return "it has ended meanwhile; run the command again"
        if status == psutil.STATUS_STOPPED:
            return f"it is stopped: `kill -CONT {survey.pid}` lets it go on"
        return "see its log (journalctl -u docker); `kill -USR1` makes it write its stacks; restart it, run this again"
    if survey.setting is not None:
        return f"that address comes from {survey.setting}: start an engine there, or change it"
    return "find out who holds that socket (ss -xlp), restart it, and run this again"
