"""`vdbmon doctor`: runs every check against this host, the engine and the servers of the TOML file."""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Iterator
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path

import docker.errors

from collector.docker_api import engine_address
from collector.errors import ConfigError
from collector.settings import AgentSettings
from collector.urls import split_url
from orchestrator.engines.images import BACKUP_REPOSITORY
from orchestrator.serve.settings import ServeSettings
from orchestrator.survey.prometheus import PrometheusClient, PrometheusError
from vdbmon.config import Config, HostIdentity, find_config, load_config
from vdbmon.stack import checks
from vdbmon.stack.checks import Check, Level
from vdbmon.stack.dockerd import answers, connect
from vdbmon.stack.wait import http_status
from vdbmon.top.addresses import local_url

LOOP_CONTROL = Path("/dev/loop-control")
ENGINE_SECONDS = 10
HTTP_PORT, HTTPS_PORT = 80, 443


def examine(option: Path | None) -> Iterator[Check]:
    """Every check of this host; without a usable configuration against the defaults.

    Args:
        option: the configuration file that the user named, if any.
    """
    try:
        file = find_config(option)
        config = load_config(file)
        yield Check(Level.OK, "configuration", str(file))
    except ConfigError as error:
        config = Config(host=HostIdentity(name=socket.gethostname()))
        yield Check(Level.FAIL, "configuration", error.message, error.remedy)
    yield from _host(config)
    yield from _engine(config)
    yield from _servers(config)


def _host(config: Config) -> Iterator[Check]:
    yield checks.check_root(os.geteuid())
    yield checks.check_cgroups(config.agent.cgroupfs)
    yield checks.check_pressure(config.agent.procfs)
    yield checks.check_loop_devices(LOOP_CONTROL)
    yield checks.check_programs()
    yield checks.check_space(config.volumes.dir)
    yield from checks.check_credentials(config.sources, config.host.name)


def _engine(config: Config) -> Iterator[Check]:
    configured = next((host.docker for host in config.hosts if host.name == config.host.name), None)
    address = engine_address(configured)
    found = checks.check_engine(address, lambda asked: answers(asked, ENGINE_SECONDS))
    yield found
    if found.level is not Level.FAIL:
        tag = f"{BACKUP_REPOSITORY}:{version('vdbmon')}"
        yield checks.check_image(tag, exists=_has_image(address, tag))


def _has_image(address: str, tag: str) -> bool:
    try:
        client = connect(address, ENGINE_SECONDS)
    except (docker.errors.DockerException, OSError):
        return False
    try:
        client.images.get(tag)
    except (docker.errors.DockerException, OSError):
        return False
    finally:
        client.close()
    return True


def _servers(config: Config) -> Iterator[Check]:
    remedy = "`make up` starts it; `vdbmon status` says more"
    once = "one per fleet is enough; if this is its host: `make up`, or `systemctl start vdbmon-serve`"
    yield _own("agent", config.agent, remedy)
    yield _own("serve", config.serve, once, missing=Level.WARN)
    for name, url in (("Prometheus", config.prometheus.url), ("Alertmanager", config.alertmanager.url)):
        yield checks.check_server(name, url, lambda url: answers_http(url, "/-/ready"), remedy)
    yield checks.check_clock(_prometheus_time(config.prometheus.url), time.time())


def _own(name: str, settings: AgentSettings | ServeSettings, remedy: str, missing: Level = Level.FAIL) -> Check:
    """A server of vdbmon's own, as its section says that it listens."""
    try:
        address = local_url(settings.listen, settings.web_config_file)
    except ConfigError as error:
        return Check(Level.FAIL, name, error.message, error.remedy)
    return checks.check_server(name, address, lambda url: answers_http(url, "/-/healthy"), remedy, missing=missing)


def answers_http(url: str, path: str) -> bool:
    """Whether a server answers 200, or asks for a password; whose certificate it shows is for its clients to judge."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        parts = split_url(url)
        tls = context if parts.scheme == "https" else None
        port = parts.port or (HTTP_PORT if tls is None else HTTPS_PORT)
        status, _ = http_status(parts.hostname or "", port, f"{parts.path.rstrip('/')}{path}", tls=tls)
    except (OSError, ValueError):
        return False
    return status in {HTTPStatus.OK, HTTPStatus.UNAUTHORIZED}


def _prometheus_time(url: str) -> float | None:
    try:
        return PrometheusClient(url, timeout=2.0).now()
    except PrometheusError:
        return None
