"""Receivers of Alertmanager: PagerDuty (Events API v2), e-mail, WeChat Work, webhook, and the dead-man's switch.

What the configuration's version has no form for ("Configuration", Alertmanager 0.25 to 0.31) is written otherwise:
`url_file` of a webhook came with 0.26, `api_secret_file` of WeChat with 0.31. A secret is then part of the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alerts import messages
from alerts.settings import (
    AlertingSettings,
    EmailSettings,
    HeartbeatSettings,
    PagerDutySettings,
    Told,
    WebhookSettings,
    WeChatSettings,
)
from collector.errors import ConfigError
from collector.secretfile import check_owner_only, read_secret

HEARTBEAT = "heartbeat"
NOBODY = "nobody"

_WEBHOOK_URL_FILE = (0, 26)
_PASSWORD_TRIMMED = (0, 27)
_WECHAT_SECRET_FILE = (0, 31)

Fields = dict[str, Any]


def receivers(settings: AlertingSettings) -> list[Fields]:
    """One for each severity that is told of, the heartbeat's, and the one that tells nobody.

    Raises:
        ConfigError: a secret's file can't be read, or has another mode than 0600.
    """
    _check_secrets(settings)
    return [
        *({"name": told.value, **_told(settings, told)} for told in Told),
        {"name": HEARTBEAT, **_heartbeat(settings)},
        {"name": NOBODY},
    ]


def holds_secrets(settings: AlertingSettings) -> bool:
    """Whether the configuration itself has to be kept from others."""
    wechat = settings.wechat is not None and settings.version < _WECHAT_SECRET_FILE
    return wechat or (settings.heartbeat is not None and settings.version < _WEBHOOK_URL_FILE)


def _check_secrets(settings: AlertingSettings) -> None:
    if settings.pagerduty:
        check_owner_only(settings.pagerduty.routing_key_file, "alerting.pagerduty.routing_key_file")
    if settings.email and settings.email.password_file:
        _check_password(settings.email.password_file, "alerting.email.password_file", settings.version)
    if settings.wechat:
        check_owner_only(settings.wechat.secret_file, "alerting.wechat.secret_file")
    if settings.heartbeat:
        check_owner_only(settings.heartbeat.url_file, "alerting.heartbeat.url_file")


def _check_password(path: Path, key: str, version: tuple[int, int]) -> None:
    """A mail password that Alertmanager reads as it was meant.

    Before 0.27 (prometheus/alertmanager#3549) it takes a newline at the end for a part of the password.
    """
    check_owner_only(path, key)
    if version < _PASSWORD_TRIMMED and path.read_bytes().endswith(b"\n"):
        raise ConfigError(
            "alerts.password_newline",
            f"{key} {path} ends with a newline, which Alertmanager before 0.27 takes for a part of the password",
            f"truncate -s -1 {path}",
        )


def _told(settings: AlertingSettings, told: Told) -> Fields:
    ways: Fields = {}
    if settings.pagerduty and told in settings.pagerduty.severities:
        ways["pagerduty_configs"] = [_pagerduty(settings.pagerduty, settings.runbook_base)]
    if settings.email and told in settings.email.severities:
        ways["email_configs"] = [_email(settings.email, settings.runbook_base, to) for to in settings.email.to]
    if settings.wechat and told in settings.wechat.severities:
        ways["wechat_configs"] = [_wechat(settings.wechat, settings)]
    if settings.webhook and told in settings.webhook.severities:
        ways["webhook_configs"] = [_webhook(settings.webhook)]
    return ways


def _pagerduty(settings: PagerDutySettings, runbook_base: str | None) -> Fields:
    fields: Fields = {
        "routing_key_file": str(settings.routing_key_file),
        "url": settings.url,
        "send_resolved": True,
        "description": messages.SUMMARY,
        "severity": "{{ .CommonLabels.severity }}",
        "class": "{{ .CommonLabels.alertname }}",
        "component": "{{ or .CommonLabels.name .CommonLabels.source }}",
        "group": "{{ .CommonLabels.host }}",
        "details": {
            "text": messages.text(runbook_base),
            "runbook": messages.runbook(runbook_base),
            "num_firing": "{{ .Alerts.Firing | len }}",
        },
    }
    if runbook_base:
        fields["links"] = [{"href": messages.runbook(runbook_base), "text": "Runbook"}]
    return fields


def _email(settings: EmailSettings, runbook_base: str | None, to: str) -> Fields:
    fields: Fields = {
        "to": to,
        "from": settings.sender,
        "smarthost": settings.smarthost,
        "require_tls": settings.require_tls,
        "send_resolved": True,
        "headers": {"Subject": messages.SUBJECT},
        "html": "",
        "text": messages.text(runbook_base),
    }
    if settings.username is not None:
        fields |= {"auth_username": settings.username, "auth_password_file": str(settings.password_file)}
    return fields


def _wechat(settings: WeChatSettings, alerting: AlertingSettings) -> Fields:
    to = {"to_party": settings.to_party, "to_user": settings.to_user, "to_tag": settings.to_tag}
    if alerting.version >= _WECHAT_SECRET_FILE:
        secret = {"api_secret_file": str(settings.secret_file)}
    else:
        secret = {"api_secret": read_secret(settings.secret_file, "alerting.wechat.secret_file")}
    return {
        "corp_id": settings.corp_id,
        "agent_id": settings.agent_id,
        **secret,
        "api_url": settings.url,
        **{key: value for key, value in to.items() if value},
        "send_resolved": True,
        "message_type": "text",
        "message": messages.short_text(alerting.runbook_base),
    }


def _webhook(settings: WebhookSettings) -> Fields:
    return {"url": settings.url, "send_resolved": True}


def _heartbeat(settings: AlertingSettings) -> Fields:
    if settings.heartbeat is not None:
        target = _heartbeat_target(settings.heartbeat, settings.version)
    elif settings.webhook is not None:
        target = {"url": settings.webhook.url}
    else:
        return {}
    return {"webhook_configs": [{**target, "send_resolved": False}]}


def _heartbeat_target(settings: HeartbeatSettings, version: tuple[int, int]) -> Fields:
    if version >= _WEBHOOK_URL_FILE:
        return {"url_file": str(settings.url_file)}
    return {"url": read_secret(settings.url_file, "alerting.heartbeat.url_file")}
