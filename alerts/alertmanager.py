"""The Alertmanager configuration (Alertmanager 0.25): who is told, how often, and which alerts are hidden by others.

A silence or an inhibition stops a page only: the scheduler reads Prometheus. Three routes: the heartbeat goes out every
minute, `info` goes nowhere, all else goes to the webhook, once per alert name and host.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import HttpUrl, TypeAdapter, ValidationError

from alerts.render import to_yaml
from alerts.rule import AlertRule, Closes, Severity
from alerts.rules import SUBJECTS
from alerts.rules.agent import AGENT_GONE
from alerts.thresholds import DOCKER_DAEMON_NOT_ANSWERING, WATCHDOG
from collector.errors import ConfigError

DEFAULT_WEBHOOK_URL = "http://127.0.0.1:9099/alerts"
_WEBHOOK = "webhook"
_HEARTBEAT = "heartbeat"
_NOBODY = "nobody"
_HTTP_URL = TypeAdapter(HttpUrl)
_HOST_SUBJECTS = ("host", "container", "docker", "agent")


def alertmanager_file(webhook_url: str) -> bytes:
    """The configuration file that sends to this webhook.

    Raises:
        ConfigError: not a URL that can be posted to, or one that carries a password.
    """
    return to_yaml(_configuration(_checked(webhook_url)))


def _checked(text: str) -> str:
    try:
        url = _HTTP_URL.validate_python(text)
    except ValidationError as error:
        raise ConfigError(
            "alerts.webhook_url",
            f"webhook URL {text!r} can't be posted to",
            "write http://HOST:PORT/PATH or https://...",
        ) from error
    if url.password is not None:
        raise ConfigError(
            "alerts.webhook_secret",
            f"the webhook URL for {url.host} carries a password",
            "leave it out and set http_config.basic_auth.password_file in the receiver",
        )
    return text


def _configuration(webhook_url: str) -> dict[str, Any]:
    return {
        "route": {
            "receiver": _WEBHOOK,
            "group_by": ["alertname", "host"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "12h",
            "routes": [
                # repeat_interval is looked at once per group_interval and just not over at the second look: 50 s is a
                # message each minute, 60 s would be one each 90 s.
                {
                    "receiver": _HEARTBEAT,
                    "matchers": [f'alertname="{WATCHDOG}"'],
                    "group_wait": "0s",
                    "group_interval": "30s",
                    "repeat_interval": "50s",
                },
                {"receiver": _NOBODY, "matchers": [f'severity="{Severity.INFO}"']},
            ],
        },
        "inhibit_rules": _inhibitions(),
        "receivers": [
            {"name": _WEBHOOK, "webhook_configs": [{"url": webhook_url, "send_resolved": True}]},
            {"name": _HEARTBEAT, "webhook_configs": [{"url": webhook_url, "send_resolved": False}]},
            {"name": _NOBODY},
        ],
    }


def _inhibitions() -> list[dict[str, Any]]:
    of_hosts = [rule for subject in _HOST_SUBJECTS for rule in SUBJECTS[subject] if rule.closes is not Closes.FLEET]
    known_to_agent = [rule for rule in of_hosts if rule.name != AGENT_GONE]
    return [
        _inhibition('severity="critical"', 'severity=~"warning|info"', "alertname", "host"),
        _inhibition('severity="warning"', 'severity="info"', "alertname", "host"),
        _inhibition(f'alertname="{AGENT_GONE}"', _any_of(known_to_agent), "host"),
        _inhibition('alertname="DockerDaemonHung"', f'alertname="{DOCKER_DAEMON_NOT_ANSWERING}"', "host"),
        _inhibition(
            'alertname="HostFilesystemFull"', 'alertname=~"HostDiskLow|HostDiskFilling"', "host", "device", "mountpoint"
        ),
        _inhibition('alertname="HostDiskLow"', 'alertname="HostDiskFilling"', "host", "device", "mountpoint"),
        _inhibition('alertname="ContainerOOMKilled"', 'alertname="HostOOMKill"', "host"),
    ]


def _inhibition(source: str, target: str, *equal: str) -> dict[str, Any]:
    return {"source_matchers": [source], "target_matchers": [target], "equal": list(equal)}


def _any_of(rules: Iterable[AlertRule]) -> str:
    return f'alertname=~"{"|".join(rule.name for rule in rules)}"'
