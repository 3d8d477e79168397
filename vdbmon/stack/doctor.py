"""`vdbmon doctor`: runs every check against this host, the engine and the servers of the TOML file."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import docker.errors

from collector.docker_api import engine_address
from collector.errors import ConfigError
from orchestrator.engines.images import BACKUP_REPOSITORY
from orchestrator.survey.prometheus import PrometheusClient, PrometheusError
from vdbmon.config import Config, HostIdentity, find_config, load_config
from vdbmon.stack import checks
from vdbmon.stack.checks import Check, Level
from vdbmon.stack.dockerd import answers, connect
from vdbmon.stack.wait import answers_ok

LOOP_CONTROL = Path("/dev/loop-control")
ENGINE_SECONDS = 10
HTTP_PORT = 80


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
    agent = f"http://{config.agent.listen}"
    yield checks.check_server("agent", agent, lambda url: _answers(url, "/metrics"), remedy)
    serve = f"http://{config.serve.listen}"
    once = "one per fleet is enough; if this is its host: `make up`, or `systemctl start vdbmon-serve`"
    yield checks.check_server("serve", serve, lambda url: _answers(url, "/-/healthy"), once, missing=Level.WARN)
    prometheus = config.prometheus.url
    yield checks.check_server("Prometheus", prometheus, lambda url: _answers(url, "/-/ready"), remedy)
    yield checks.check_server("Alertmanager", config.alertmanager.url, lambda url: _answers(url, "/-/ready"), remedy)
    yield checks.check_clock(_prometheus_time(prometheus), time.time())


def _answers(url: str, path: str) -> bool:
    parts = urlsplit(url)
    return answers_ok(parts.hostname or "", parts.port or HTTP_PORT, f"{parts.path.rstrip('/')}{path}")


def _prometheus_time(url: str) -> float | None:
    try:
        return PrometheusClient(url, timeout=2.0).now()
    except PrometheusError:
        return None
