"""The source's half of a streamed backup, as its operator sets it up: a forced command of a key, or a TLS service."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import trustme

from tests.support.mariadb import MariaDB, runner_command, runner_environment
from tests.support.servers import process
from tests.support.wait import wait_until


def backup_line(shop: MariaDB, key: Path, *more: str) -> str:
    """The line of `authorized_keys` by which a key may make backups and nothing else."""
    environment = runner_environment()
    send = ["env", f"PYTHONPATH={environment['PYTHONPATH']}", f"PATH={environment['PATH']}"]
    command = shlex.join([*send, *runner_command("send", *shop.reach(), *more)]).replace('"', '\\"')
    return f'restrict,command="{command}" {key.with_suffix(".pub").read_text()}'


def certificates(folder: Path, address: str) -> Callable[[str], tuple[str, ...]]:
    """Options for `server`, `client` and, of another authority, `stranger`."""
    ours, other = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(str(folder / "ca"))
    for name, authority in (("server", ours), ("client", ours), ("stranger", other)):
        issued = authority.issue_cert(address)
        issued.cert_chain_pems[0].write_to_path(str(folder / f"{name}.pem"))
        issued.private_key_pem.write_to_path(str(folder / f"{name}.key"))
        (folder / f"{name}.key").chmod(0o600)

    def files(name: str) -> tuple[str, ...]:
        return (f"--tls-ca={folder / 'ca'}", f"--tls-cert={folder / name}.pem", f"--tls-key={folder / name}.key")

    return files


@contextlib.contextmanager
def sender(
    shop: MariaDB, where: str, files: tuple[str, ...], log: Path, *, before: tuple[str, ...] = ()
) -> Iterator[None]:
    """`runner send --listen` beside the source; `before` goes before the command."""
    command = [*before, *runner_command("send", *shop.reach(), f"--listen={where}", *files)]
    with process(command, log, runner_environment()):
        wait_until(lambda: "listening" in log.read_text(), deadline=20, what="it listens")
        yield
