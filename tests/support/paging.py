"""The whole way of a page: a real daemon, an agent, Prometheus and Alertmanager with vdbmon's files, and who is told.

What is made to go wrong is in `tests.support.paging_troubles`.
"""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from alerts.alertmanager import alertmanager_file
from alerts.settings import AlertingSettings
from tests.support import receivers as told
from tests.support.agent import VDBMON, Agent
from tests.support.dockerd import OwnDockerd
from tests.support.receivers import Receivers, receivers
from tests.support.servers import Server, alertmanager, process, prometheus, query
from tests.support.wait import wait_until
from vdbmon.config import check_config

PATIENCE = 60.0
HOST = "testhost"
_PROBED = ("ping", "containers", "info", "volumes", "images")

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
    """What runs, and the inbox of all who are told; sized volumes are in `volumes`."""

    daemon: OwnDockerd
    agent: Agent
    store: Server
    to: Receivers
    volumes: Path

    def is_answered(self) -> bool:
        """Whether Prometheus knows that the daemon answers all that is asked of it."""
        answers = f'vdbmon_docker_probe_success{{endpoint=~"{"|".join(_PROBED)}"}} == 1'
        return len(query(self.store, answers)) == len(_PROBED)


@contextlib.contextmanager
def paging(
    daemon: OwnDockerd, folder: Path, rules: bytes, *, scrape: str, change: Callable[[dict[str, Any]], None]
) -> Iterator[Paging]:
    """Everything, with these rules; `change` may alter Alertmanager's configuration. The daemon goes on at the end."""
    volumes = folder / "volumes"
    with contextlib.ExitStack() as stack:
        watcher = Agent(daemon, folder, f'[volumes]\ndir = "{volumes}"\n')
        # The delivered time for an answer of the daemon.
        watcher.config.write_text(watcher.config.read_text().replace('timeout = "1s"', 'timeout = "5s"'))
        stack.callback(daemon.thaw)
        stack.enter_context(process([VDBMON, "agent", "run", "--config", str(watcher.config)], watcher.log))
        wait_until(watcher.scrape, deadline=PATIENCE, what="agent answers")
        to = stack.enter_context(receivers(folder))
        document = yaml.safe_load(alertmanager_file(_settings(folder, to)))
        change(document)
        manager = stack.enter_context(alertmanager(folder, yaml.safe_dump(document), trusted=to.trusted))
        (folder / "rules.yml").write_bytes(rules)
        store = stack.enter_context(prometheus(folder, _prometheus(watcher, manager, scrape)))
        site = Paging(daemon, watcher, store, to, volumes)
        watched = 'ALERTS{alertname="Watchdog",alertstate="firing"}'
        wait_until(lambda: query(store, watched), deadline=PATIENCE, what="Prometheus has alerts")
        wait_until(site.is_answered, deadline=PATIENCE, what="Prometheus knows the daemon")
        yield site


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
