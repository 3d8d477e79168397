"""Connections to a Docker daemon: a socket of this machine, TCP with TLS client certificates, or ssh.

A daemon that refused is told from one that did not answer, whatever the transport.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import RemoteDisconnected
from typing import Any

import docker
import requests
from docker.constants import DEFAULT_UNIX_SOCKET
from docker.errors import APIError, DockerException
from docker.tls import TLSConfig

from collector.errors import ConfigError
from collector.secretfile import check_owner_only
from orchestrator.engines.address import is_over_ssh
from orchestrator.engines.engine import EngineRefusedError, EngineUnreachableError
from orchestrator.engines.ssh_tunnel import SshTunnel
from orchestrator.settings import SshSettings, TlsSettings


class Connection:
    """One daemon. Connects with the first call, so that a daemon which hangs costs nothing before."""

    def __init__(
        self,
        address: str | None,
        *,
        tls: TlsSettings | None = None,
        ssh: SshSettings | None = None,
        call_seconds: float,
    ) -> None:
        """`address` is None for DOCKER_HOST, else the usual socket; `call_seconds` is what a call may take."""
        self.address = address or os.environ.get("DOCKER_HOST") or DEFAULT_UNIX_SOCKET.replace("http+", "")
        self._given = address
        self._tls = tls
        self._call_seconds = call_seconds
        self._tunnel: SshTunnel | None = None
        if address is not None and is_over_ssh(address):
            if ssh is None:
                raise ConfigError("config.invalid", f"engine {address} has no ssh key", "give [hosts.ssh]")
            self._tunnel = SshTunnel(address, ssh)
        self._connected: docker.DockerClient | None = None

    def client(self) -> docker.DockerClient:
        """The client for calls; to be used within `answering`."""
        if self._tunnel is not None:
            self._tunnel.open()  # again, where ssh has ended
        if self._connected is None:
            self._connected = self._connect(self._call_seconds)
        return self._connected

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Call an endpoint that docker-py has no method for; its answer. To be used within `answering`."""
        return posted(self.client(), path, body).json()

    @contextmanager
    def probing(self, seconds: float) -> Iterator[docker.DockerClient]:
        """A client of its own whose calls may take so long; to be used within `answering`."""
        client = self._connect(seconds)
        try:
            yield client
        finally:
            client.close()

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Tell an engine that refused from one that did not answer."""
        try:
            yield
        except APIError as error:
            raise EngineRefusedError(
                "engine.refused", f"engine {self.address} refused: {explanation(error)}"
            ) from error
        except (DockerException, requests.RequestException, OSError) as error:
            raise EngineUnreachableError(self.address, _cause(error)) from error

    def close(self) -> None:
        """Give back sockets, and end ssh."""
        if self._connected is not None:
            self._connected.close()
            self._connected = None
        if self._tunnel is not None:
            self._tunnel.close()

    def _connect(self, timeout: float) -> docker.DockerClient:
        seconds: Any = timeout  # docker-py hands it to requests, which takes fractions; the stubs say int
        lowest = docker.constants.MINIMUM_DOCKER_API_VERSION
        if self._given is None:
            client = docker.from_env(version=lowest, timeout=seconds)
        else:
            base = f"unix://{self._tunnel.open()}" if self._tunnel is not None else self._given
            tls: Any = _tls_config(self._tls) if self._tls is not None and base.startswith("tcp://") else None
            client = docker.DockerClient(base_url=base, version=lowest, timeout=seconds, tls=tls)
        # No proxy and no .netrc stands before an engine; looking for them anew is a quarter of what a call costs.
        client.api.trust_env = False
        # What docker-py itself does for the version "auto", but before anybody could keep it from a proxy.
        client.api._version = client.api.version(api_version=False)["ApiVersion"]  # type: ignore[attr-defined]  # noqa: SLF001
        return client


def posted(client: docker.DockerClient, path: str, body: Mapping[str, Any]) -> requests.Response:
    """The whole answer of an endpoint, for which the client waits as long as it waits for any; within `answering`."""
    api = client.api
    answer: requests.Response = api.post(
        f"{api.base_url}/v{api.api_version}{path}", json=dict(body), timeout=api.timeout
    )
    if not answer.ok:
        said = answer.json().get("message") if "json" in answer.headers.get("Content-Type", "") else answer.text
        raise APIError(f"{answer.status_code} {path}", response=answer, explanation=said)
    return answer


def explanation(error: APIError) -> str:
    """The daemon's own words, on one line."""
    return " ".join(str(error.explanation or error).split())


def _tls_config(tls: TlsSettings) -> TLSConfig:
    check_owner_only(tls.key, "hosts.tls.key")
    for key, path in (("ca", tls.ca), ("cert", tls.cert)):
        if not path.is_file():
            raise ConfigError("secrets.unreadable", f"hosts.tls.{key} {path}: no such file", "check the path")
    return TLSConfig(client_cert=(str(tls.cert), str(tls.key)), ca_cert=str(tls.ca), verify=True)


def _cause(error: BaseException) -> str:
    """The innermost reason in a few words: docker-py, requests and urllib3 each wrap it once."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__
    if any(isinstance(item, requests.Timeout | TimeoutError) for item in chain):
        return "no answer in time"
    if any(isinstance(item, RemoteDisconnected) for item in chain):
        return "it closed the connection without an answer"
    for item in reversed(chain):
        if isinstance(item, OSError) and item.strerror:
            return item.strerror.lower()
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
