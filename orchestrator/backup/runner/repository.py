"""A restic repository: how the program is told where it is, and every secret that it needs by the name of a file.

Repositories (restic's "Preparing a new repository"): a folder; `sftp:user@host:/path` or `sftp://user@host:port//path`;
`s3:https://host/bucket/path`. Keys of an object store are in a file as AWS's own tools have it ("shared credentials
file", section `default`), whose name is all that the environment holds.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar
from urllib.parse import urlsplit

from .errors import Code, JobFailedError
from .jobs import CopyJob
from .pipeline import read_from, run
from .volume import check_secret

_MISSING = ("no such file", "does not exist")  # what backends say of a configuration that isn't there
_WRONG_PASSWORD = "wrong password"  # noqa: S105 - restic's words
_REFUSED = ("access denied", "access key", "signature", "permission denied", "host key")  # of stores, and of ssh

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """One repository; `command` and `environment` are what every call of restic begins with."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]

    def run(self, *words: str) -> str:
        """Run one of restic's commands; what it printed.

        Raises:
            JobFailedError: it failed.
        """
        return run((*self.command, *words), environment=self.environment)

    def read(self, take: Callable[[IO[bytes]], T], *words: str) -> T:
        """Run one of restic's commands, and give `take` what it prints, as it comes.

        Raises:
            JobFailedError: it failed.
        """
        return read_from((*self.command, *words), take, environment=self.environment)

    def open(self) -> None:
        """See that it can be used; make it if there is none.

        Raises:
            JobFailedError: it can't be reached, refuses the keys, or has another password.
        """
        try:
            self.run("cat", "config", "--quiet")
        except JobFailedError as error:
            if _WRONG_PASSWORD in str(error):
                remedy = "give the password that it was made with"
                raise JobFailedError(Code.WRONG_KEY, f"repository {self.name}: {error}", remedy) from error
            if not any(words in str(error) for words in _MISSING):
                raise self._closed(error) from error
            try:
                self.run("init", "--quiet")
            except JobFailedError as second:
                raise self._closed(second) from error

    def _closed(self, error: JobFailedError) -> JobFailedError:
        refused = any(words in str(error).lower() for words in _REFUSED)
        remedy = "check its keys and their rights" if refused else "check its address, and that it is reached from here"
        return JobFailedError(Code.COPY_FAILED, f"repository {self.name} can't be opened: {error}", remedy)


def repository_of(job: CopyJob, scratch: Path) -> Repository:
    """The job's repository; `scratch` is a folder that takes what restic is about to send.

    Raises:
        JobFailedError: a file with secrets is missing, or others can read it.
    """
    check_secret(job.password_file, "password file")
    command = ["restic", "--repo", job.repository, "--password-file", str(job.password_file), "--no-cache"]
    # A container's /tmp is too small for packs of 16 MiB. How far it is, restic tells a pipe only if it is asked to.
    environment = {"TMPDIR": str(scratch), "RESTIC_PROGRESS_FPS": "1"}
    if job.ssh_key is not None and job.known_hosts is not None:
        check_secret(job.ssh_key, "ssh key")
        command += ["--option", f"sftp.command={shlex.join(_sftp(job.repository, job.ssh_key, job.known_hosts))}"]
    if job.s3_credentials is not None:
        check_secret(job.s3_credentials, "credentials of the object store")
        environment["AWS_SHARED_CREDENTIALS_FILE"] = str(job.s3_credentials)
    if job.ca is not None:
        command += ["--cacert", str(job.ca)]
    return Repository(name=job.repository, command=tuple(command), environment=environment)


def _sftp(repository: str, key: Path, known_hosts: Path) -> tuple[str, ...]:
    """The command that restic speaks SFTP to."""
    options = {
        "BatchMode": "yes",
        "IdentitiesOnly": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": str(known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "ConnectTimeout": "30",
        "ServerAliveInterval": "15",
        "ServerAliveCountMax": "4",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return ("ssh", "-F", "none", "-i", str(key), *words, *sftp_server(repository), "-s", "sftp")


def sftp_server(repository: str) -> tuple[str, ...]:
    """Where ssh finds a repository, in its own words: of `sftp:user@host:path` or `sftp://user@host:port//path`."""
    address = repository.removeprefix("sftp:")
    if not address.startswith("//"):
        return (address.partition(":")[0],)
    parts = urlsplit(address)
    port = () if parts.port is None else ("-p", str(parts.port))
    host = parts.hostname or ""
    return (*port, f"{parts.username}@{host}" if parts.username else host)
