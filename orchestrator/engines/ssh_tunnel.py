"""The socket of an engine on another host, brought here by ssh: `ssh -L LOCAL_SOCKET:REMOTE_SOCKET`.

Why not docker-py's own `ssh://`: both of its ways (paramiko, and the ssh command with `docker system dial-stdio`) need
the docker CLI on the far side and take no key file, and the second reads from a pipe without any timeout, so an engine
that hangs would hang the command. Through a forwarded socket an engine is asked as a local one is, under the same
deadlines; ssh needs nothing on the far side but sshd, and reads the operator's own ssh_config (ProxyJump and the like).
"""

from __future__ import annotations

import select
import shutil
import subprocess
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from collector.secretfile import check_owner_only
from orchestrator.engines.engine import EngineUnreachableError
from orchestrator.settings import SshSettings

REMOTE_SOCKET = "/var/run/docker.sock"
OPEN_SECONDS = 4.0
"""From the start of ssh until the socket is there; below what a survey of the fleet may take."""

_CLOSE_SECONDS = 1.0
_READY = b"ready\n"
# The far side says that the session is up, and ends with this process: when it dies, its end of the pipe closes.
_FAR_SIDE = "echo ready; exec cat >/dev/null"
_OPTIONS = {
    "BatchMode": "yes",
    "IdentitiesOnly": "yes",
    "IdentityAgent": "none",
    "PreferredAuthentications": "publickey",
    "StrictHostKeyChecking": "yes",
    "ControlPath": "none",
    "ExitOnForwardFailure": "yes",
    "StreamLocalBindUnlink": "yes",
    "StreamLocalBindMask": "0177",
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "2",
    "ConnectTimeout": f"{OPEN_SECONDS:.0f}",
    "LogLevel": "ERROR",
}


class SshTunnel:
    """One ssh process, started when the socket is first wanted and again when it has ended."""

    def __init__(self, url: str, settings: SshSettings) -> None:
        """`url` is `ssh://[user@]host[:port][/path/of/docker.sock]`."""
        self._url = url
        self._settings = settings
        self._lock = threading.Lock()
        self._closed = False
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def open(self) -> Path:
        """The local socket; the same one as long as this object lives.

        Raises:
            ConfigError: the key has another mode than 0600.
            EngineUnreachableError: ssh failed, in its own words, or took longer than OPEN_SECONDS.
        """
        with self._lock:
            if self._closed:
                raise EngineUnreachableError(self._url, "nobody waits for it any more")
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="vdbmon-ssh-"))
            socket = self._folder / "docker.sock"
            if self._process is None or self._process.poll() is not None:
                if self._process is not None:
                    _end(self._process)  # its pipes
                check_owner_only(self._settings.key, "hosts.ssh.key")
                self._start(socket, self._folder / "ssh.log")
            return socket

    def close(self) -> None:
        """End ssh, also one that is being opened, and remove what was made here; it isn't opened again."""
        self._closed = True
        process = self._process
        if process is not None:
            process.terminate()
        with self._lock:
            if self._process is not None:
                _end(self._process)
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, socket: Path, log: Path) -> None:
        try:
            with log.open("wb") as errors:
                process = self._process = subprocess.Popen(
                    ssh_command(self._url, self._settings, socket),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    start_new_session=True,  # a Ctrl-C is for vdbmon, which undoes what it began
                )
        except OSError as error:
            raise EngineUnreachableError(self._url, f"ssh: {error.strerror}") from error
        if not _is_ready(process):
            _end(process)
            said = log.read_text(errors="replace").strip().splitlines()
            raise EngineUnreachableError(self._url, said[-1] if said else f"ssh took over {OPEN_SECONDS:g} s")


def ssh_command(url: str, settings: SshSettings, socket: Path) -> list[str]:
    """The command line that brings the engine's socket here."""
    parts = urlsplit(url)
    options = dict(_OPTIONS)
    if settings.known_hosts is not None:
        options["UserKnownHostsFile"] = str(settings.known_hosts)
    command = ["ssh", "-T", "-i", str(settings.key), "-L", f"{socket}:{parts.path.rstrip('/') or REMOTE_SOCKET}"]
    for key, value in options.items():
        command += ["-o", f"{key}={value}"]
    if parts.port is not None:
        command += ["-p", str(parts.port)]
    if parts.username:
        command += ["-l", parts.username]
    return [*command, "--", parts.hostname or "", _FAR_SIDE]


def _is_ready(process: subprocess.Popen[bytes]) -> bool:
    if process.stdout is None:
        raise AssertionError("stdout is a pipe")
    poll = select.poll()
    poll.register(process.stdout, select.POLLIN)
    return bool(poll.poll(OPEN_SECONDS * 1000)) and process.stdout.readline() == _READY


def _end(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(OSError):
                stream.close()
    process.terminate()
    try:
        process.wait(_CLOSE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
