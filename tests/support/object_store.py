"""An object store of a test's own: moto's server, which speaks S3, over TLS on loopback, with keys that it checks."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import trustme

from tests.support.servers import free_port, process
from tests.support.wait import wait_until

_REGION = "us-east-1"
_UNCHECKED = 3  # the calls that make the user, below
_ALL_OF_S3 = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """A running store; `credentials` is a shared credentials file with its keys, `ca` what it is known by."""

    url: str
    credentials: Path
    ca: Path
    client: Any

    def objects(self, bucket: str) -> list[str]:
        """Keys of all objects."""
        return [item["Key"] for item in self.client.list_objects_v2(Bucket=bucket).get("Contents", [])]


@contextlib.contextmanager
def object_store(folder: Path) -> Iterator[ObjectStore]:
    """A store whose only user's keys are in a file."""
    authority, port = trustme.CA(), free_port()
    issued = authority.issue_cert("127.0.0.1")
    certificate, key, ca = folder / "store.pem", folder / "store.key", folder / "ca.pem"
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    issued.private_key_pem.write_to_path(str(key))
    authority.cert_pem.write_to_path(str(ca))
    url, log = f"https://127.0.0.1:{port}", folder / "log"
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    tls = ["--ssl-cert", str(certificate), "--ssl-key", str(key)]
    environment = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(_UNCHECKED)}
    with process([*command, *tls], log, environment) as server:
        wait_until(
            lambda: "Running on" in log.read_text() or server.poll() is not None, deadline=60, what="the store listens"
        )
        assert server.poll() is None, log.read_text()
        access, secret = _make_user(url, ca)
        credentials = folder / "credentials"
        credentials.touch(mode=0o600)
        credentials.write_text(f"[default]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\n")
        yield ObjectStore(url, credentials, ca, _client("s3", url, ca, access, secret))


def _make_user(url: str, ca: Path) -> tuple[str, str]:
    iam = _client("iam", url, ca, "none", "none")
    iam.create_user(UserName="restic")
    iam.put_user_policy(UserName="restic", PolicyName="all", PolicyDocument=_ALL_OF_S3)
    key = iam.create_access_key(UserName="restic")["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def _client(service: str, url: str, ca: Path, access: str, secret: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        verify=str(ca),
        region_name=_REGION,
        aws_access_key_id=access,
        aws_secret_access_key=secret,
    )
