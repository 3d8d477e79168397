"""The whole way of a page: a real daemon, an agent, Prometheus and Alertmanager with vdbmon's files, and who is told.

Three things are made to go wrong, and are mended: a process in a container is killed for want of memory, the daemon
stops answering, a backup loses its source.
"""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import docker.errors
import yaml

from alerts.alertmanager import alertmanager_file
from alerts.settings import AlertingSettings
from collector import labels
from orchestrator.host.volumes import LoopVolumes
from tests.support import receivers as told
from tests.support.agent import VDBMON, Agent, run_container
from tests.support.dockerd import OwnDockerd
from tests.support.receivers import Receivers, receivers
from tests.support.servers import Server, alertmanager, process, prometheus, query
from tests.support.wait import wait_until
from vdbmon.config import check_config

PATIENCE = 60.0
SOURCE = "orders"
VICTIM = "hungry"
BACKUP = "orders-1"
HOST = "testhost"

OOM = "A process of hungry on testhost was killed for want of memory"
HANG = "The Docker daemon of testhost does not answer"
FAILED = "The backup orders-1 on testhost failed"

_ALERTING = """
[alerting]
runbook_base = "https://git.example/"
[alerting.pagerduty]
routing_key_file = "{folder}/pagerduty"
url = "{to.pagerduty}"
[alerting.email]
smarthost = "{to.smarthost}"
sender = "vdbmon@example.com"
to = ["dba@example.com"]
username = "{user}"
password_file = "{folder}/smtp"
[alerting.wechat]
corp_id = "{corp}"
agent_id = "{agent}"
secret_file = "{folder}/wechat"
to_party = "1|2"
url = "{to.wechat}"
[alerting.webhook]
url = "{to.webhook}"
"""
_SECRETS = {"pagerduty": told.ROUTING_KEY, "smtp": told.SMTP_PASSWORD, "wechat": told.CORP_SECRET}


@dataclass(frozen=True, slots=True)
class Paging:
    """What runs, and the inbox of all who are told."""

    daemon: OwnDockerd
    agent: Agent
    store: Server
    to: Receivers
    source: Path

    def starve(self) -> None:
        """Have a process killed in the container that was started for it."""
        ended = self.daemon.client().containers.get(VICTIM).exec_run(["dd", "if=/dev/zero", "of=/dev/null", "bs=64M"])
        assert ended.exit_code, ended

    def fail_backup(self) -> None:
        """Take away what the backup under way reads: it says so, and ends with 1."""
        self.source.unlink()

    def make_up(self) -> None:
        """A later backup of the same source that is good."""
        text = "vdbmon_backup_last_success_timestamp_seconds 4e9\n"
        (self.source.parent / "metrics" / "success.prom").write_text(text)


@contextlib.contextmanager
def paging(
    daemon: OwnDockerd, folder: Path, rules: bytes, *, scrape: str, change: Callable[[dict[str, Any]], None]
) -> Iterator[Paging]:
    """Everything, with these rules; `change` may alter Alertmanager's configuration."""
    with contextlib.ExitStack() as stack:
        watcher = Agent(daemon, folder, f'[volumes]\ndir = "{folder / "volumes"}"\n')
        # The delivered time for an answer of the daemon.
        watcher.config.write_text(watcher.config.read_text().replace('timeout = "1s"', 'timeout = "5s"'))
        run_container(daemon, VICTIM, "sleep", "600", network_mode="none", mem_limit="16m")
        source = stack.enter_context(_backup_under_way(daemon, LoopVolumes(folder / "volumes")))
        stack.enter_context(process([VDBMON, "agent", "run", "--config", str(watcher.config)], watcher.log))
        wait_until(watcher.scrape, deadline=PATIENCE, what="agent answers")
        to = stack.enter_context(receivers(folder))
        document = yaml.safe_load(alertmanager_file(_settings(folder, to)))
        change(document)
        manager = stack.enter_context(alertmanager(folder, yaml.safe_dump(document), trusted=to.trusted))
        (folder / "rules.yml").write_bytes(rules)
        store = stack.enter_context(prometheus(folder, _prometheus(watcher, manager, scrape)))
        made = Paging(daemon, watcher, store, to, source)
        wait_until(lambda: _ready(made), deadline=PATIENCE, what="Prometheus knows the containers and Alertmanager")
        yield made


def _say(state: str) -> str:
    """The shell's words for a file of metrics that is replaced as a whole."""
    text = f'vdbmon_backup_state{{state="{state}"}} 1\nvdbmon_backup_start_timestamp_seconds 1e9\n'
    return f"echo '{text}' >/backup/metrics/.new; busybox mv /backup/metrics/.new /backup/metrics/backup.prom"


@contextlib.contextmanager
def _backup_under_way(daemon: OwnDockerd, volumes: LoopVolumes) -> Iterator[Path]:
    """A container with a sized volume that says it has begun a backup; the file that it reads."""
    owner = {labels.MANAGED: "true", labels.NAME: BACKUP, labels.SOURCE: SOURCE, labels.JOB: "backup"}
    folder = volumes.create(BACKUP, 64 << 20, {**owner, labels.IMAGE: "vdbmon-test/busybox:1"}).mountpoint
    (folder / "source").touch()
    work = "while cat /backup/source; do sleep 0.2; done"
    command = f"mkdir /backup/metrics; {_say('started')}; {work}; {_say('failed')}; false"
    try:
        binds = {str(folder): {"bind": "/backup", "mode": "rw"}}
        run_container(daemon, BACKUP, "sh", "-c", command, network_mode="none", labels=owner, volumes=binds)
        yield folder / "source"
    finally:
        daemon.thaw()
        with contextlib.suppress(docker.errors.NotFound):
            daemon.client().containers.get(BACKUP).remove(force=True)
        volumes.remove(BACKUP)


def _settings(folder: Path, to: Receivers) -> AlertingSettings:
    for name, secret in _SECRETS.items():
        (folder / name).touch(0o600)
        (folder / name).write_text(secret)
    text = _ALERTING.format(folder=folder, to=to, user=told.SMTP_USER, corp=told.CORP_ID, agent=told.AGENT_ID)
    return check_config({"host": {"name": HOST}} | tomllib.loads(text), folder / "vdbmon.toml").alerting


def _prometheus(watcher: Agent, manager: Server, scrape: str) -> str:
    return yaml.safe_dump(
        {
            "global": {"scrape_interval": scrape, "evaluation_interval": scrape},
            "rule_files": ["rules.yml"],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{manager.port}"]}]}]},
            "scrape_configs": [
                {
                    "job_name": "vdbmon",
                    "honor_labels": True,
                    "static_configs": [{"targets": [f"127.0.0.1:{watcher.port}"], "labels": {"host": HOST}}],
                }
            ],
        }
    )


def _ready(made: Paging) -> bool:
    state = f'vdbmon_backup_state{{name="{BACKUP}",state="started"}} == 1'
    probes = 'vdbmon_docker_probe_success{endpoint=~"ping|containers|info"} == 1'
    known = (f'container_last_seen{{name="{VICTIM}"}}', state, 'ALERTS{alertname="Watchdog",alertstate="firing"}')
    return all(query(made.store, one) for one in known) and len(query(made.store, probes)) == 3
