"""Connections to a Docker Engine."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

import docker

_UNIX = "unix://"
DEFAULT_ADDRESS = "unix:///var/run/docker.sock"


def engine_address(configured: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """The address that is used: the configured one, else DOCKER_HOST, else the usual socket."""
    return configured or environment.get("DOCKER_HOST") or DEFAULT_ADDRESS


def connect(address: str, timeout: float) -> docker.APIClient:
    """A client of the engine at `address`; `timeout` in seconds bounds every call, the first one included.

    Raises:
        docker.errors.DockerException: the engine doesn't answer.
        OSError: there is no socket at that address, or nobody listens on it.
    """
    if address.startswith(_UNIX):
        # A host without Docker is asked again and again: making a client is a hundred times dearer than this.
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(timeout)
            probe.connect(address.removeprefix(_UNIX))
    # docker passes the timeout on as it is; its annotation knows only whole seconds.
    client = docker.APIClient(base_url=address, version="auto", timeout=timeout)  # type: ignore[arg-type]
    # No proxy and no .netrc stands before a socket; looking for them anew is a quarter of what a call costs.
    client.trust_env = not address.startswith(_UNIX)
    return client
