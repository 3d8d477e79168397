"""Configuration of the local stack's programs, from vdbmon's one TOML file; pure."""

from __future__ import annotations

import configparser
import io
import json
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from string import Template

import yaml

from alerts.generated import alert_files
from alerts.settings import AlertingSettings, with_webhook
from collector.fleet_metrics import SERVE_JOB
from collector.settings import AgentSettings, OvsSettings
from orchestrator.serve.settings import ServeSettings
from orchestrator.settings import FleetSettings
from vdbmon.config import Config
from vdbmon.stack.layout import Layout
from vdbmon.stack.programs import ALERTMANAGER, PROMETHEUS, SERVE, Program, stack_addresses

SCRAPE_INTERVAL = "5s"
LOG_BYTES = "10MB"
LOG_BACKUPS = "3"
# After a crash supervisor waits one second longer each time; it must not give up while somebody makes room on a disk.
START_RETRIES = "1000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a new configuration says of this machine: name, cores, bytes of memory and of the volumes' filesystem."""

    name: str
    cpus: int
    memory: int
    disk: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenAddresses:
    """Where a new stack listens, as the TOML file says it."""

    agent: str = AgentSettings().listen
    serve: str = ServeSettings().listen
    prometheus: str = FleetSettings().prometheus.url
    alertmanager: str = FleetSettings().alertmanager.url
    victoria_metrics: str = "http://127.0.0.1:8428"
    ovs: Path = OvsSettings().db_socket


def render_config(template: str, layout: Layout, machine: Machine, listen: ListenAddresses) -> str:
    """The TOML file of a new stack."""
    mebibyte, gibibyte = 2**20, 2**30
    values = {
        "host": machine.name,
        "agent_listen": listen.agent,
        "agent_url": f"http://{listen.agent}",
        "serve_listen": listen.serve,
        "victoria_metrics_url": listen.victoria_metrics,
        "spool_dir": str(layout.spool),
        "ovs_socket": str(listen.ovs),
        "prometheus_url": listen.prometheus,
        "alertmanager_url": listen.alertmanager,
        "ledger_url": f"sqlite:///{layout.state / 'ledger.db'}",
        "volumes_dir": str(layout.volumes),
        "memory": f"{machine.memory // mebibyte}MiB",
        "disk": f"{machine.disk // gibibyte}GiB",
        "demo_address": f"unix://{layout.demo_socket}",
        "demo_data": str(layout.demo_data),
        "demo_credentials": str(layout.demo_credentials),
    }
    # A JSON string is a TOML basic string.
    quoted = {key: json.dumps(value, ensure_ascii=False) for key, value in values.items()}
    return Template(template).substitute(quoted, cpus=machine.cpus)


def render_prometheus(config: Config, layout: Layout) -> str:
    """Prometheus scrapes the agents that serve names and the stack's own servers, and evaluates the generated rules."""
    addresses = stack_addresses(config, layout.config)
    alertmanager, serve = str(addresses[ALERTMANAGER]), str(addresses[SERVE])
    document = {
        "global": {"scrape_interval": SCRAPE_INTERVAL, "evaluation_interval": SCRAPE_INTERVAL},
        "rule_files": [str(layout.rules)],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [
            {
                "job_name": "vdbmon",
                "honor_labels": True,
                "http_sd_configs": [{"url": f"http://{serve}/sd", "refresh_interval": SCRAPE_INTERVAL}],
            },
            {"job_name": SERVE_JOB, "honor_labels": True, "static_configs": [{"targets": [serve]}]},
            {"job_name": PROMETHEUS, "static_configs": [{"targets": [str(addresses[PROMETHEUS])]}]},
            {"job_name": ALERTMANAGER, "static_configs": [{"targets": [alertmanager]}]},
        ],
    }
    return yaml.safe_dump(document, sort_keys=False)


def render_alerts(settings: AlertingSettings, webhook_url: str | None) -> dict[str, bytes]:
    """Rules and Alertmanager configuration by their path below `Layout.alerts`; the webhook comes besides `settings`.

    Raises:
        ConfigError: the URL can't be used, or a secret can't be read.
    """
    return alert_files(settings if webhook_url is None else with_webhook(settings, webhook_url))


def render_supervisor(programs: Iterable[Program], layout: Layout) -> str:
    """Configuration of supervisor (http://supervisord.org/configuration.html)."""
    parser = configparser.RawConfigParser()
    parser["unix_http_server"] = {"file": str(layout.supervisor_socket), "chmod": "0700"}
    parser["supervisord"] = {
        "logfile": str(layout.log("supervisord")),
        "pidfile": str(layout.state / "supervisord.pid"),
        "childlogdir": str(layout.log("supervisord").parent),
        "directory": str(layout.state),
        "user": "root",
    }
    parser["supervisorctl"] = {"serverurl": layout.supervisor_url}
    parser["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    for program in programs:
        parser[f"program:{program.name}"] = {
            "command": shlex.join(program.command),
            "priority": str(program.priority),
            "autorestart": "true",
            "startretries": START_RETRIES,
            "stopwaitsecs": str(program.stop_seconds),
            "redirect_stderr": "true",
            "stdout_logfile": str(layout.log(program.name)),
            "stdout_logfile_maxbytes": LOG_BYTES,
            "stdout_logfile_backups": LOG_BACKUPS,
        }
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()
