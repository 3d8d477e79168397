"""`[alerting]` of the TOML file: who is told of alerts, by which way, and when they are left alone.

Secrets stand in files of mode 0600 that Alertmanager reads itself, or, where its version can't, that are read when its
configuration is built; the built file then has mode 0600 as well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, HttpUrl, TypeAdapter, ValidationError

from alerts.rule import Severity
from collector.errors import ConfigError

DEFAULT_WEBHOOK_URL = "http://127.0.0.1:9099/alerts"
OLDEST_ALERTMANAGER = (0, 25)

_HTTP_URL = TypeAdapter(HttpUrl)
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.\d+)?")
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d|24:00")
_SMARTHOST = re.compile(r"[^:\s]+:\d{1,5}")


def _url(text: str) -> str:
    _parsed(text)
    return text


def _parsed(text: str) -> HttpUrl:
    try:
        return _HTTP_URL.validate_python(text)
    except ValidationError as error:
        raise ValueError("it can't be posted to; write http://HOST:PORT/PATH or https://...") from error


def _version(text: str) -> str:
    match = _VERSION.fullmatch(text)
    if match is None:
        raise ValueError('is no version; write for example "0.25"')
    if (int(match[1]), int(match[2])) < OLDEST_ALERTMANAGER:
        raise ValueError("is too old; the oldest that can be configured is 0.25")
    return text


def _time_of_day(text: str) -> str:
    if not _TIME.fullmatch(text):
        raise ValueError("is no time of day; write HH:MM, up to 24:00")
    return text


def _location(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError("is no time zone; write for example Asia/Shanghai") from error
    return text


def _smarthost(text: str) -> str:
    if not _SMARTHOST.fullmatch(text):
        raise ValueError("is no mail server; write HOST:PORT")
    return text


Url = Annotated[str, AfterValidator(_url)]
Version = Annotated[str, AfterValidator(_version)]
TimeOfDay = Annotated[str, AfterValidator(_time_of_day)]
Location = Annotated[str, AfterValidator(_location)]
Smarthost = Annotated[str, AfterValidator(_smarthost)]


class Weekday(StrEnum):
    """Days in Alertmanager's words."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


class Told(StrEnum):
    """Severities that somebody is told of; `info` never is."""

    CRITICAL = Severity.CRITICAL.value
    WARNING = Severity.WARNING.value


ALL_TOLD = (Told.CRITICAL, Told.WARNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class PagerDutySettings:
    """PagerDuty, Events API v2: one incident per alert and host, resolved when the alert ends.

    Attributes:
        routing_key_file: holds the integration's key; Alertmanager reads it.
        url: of the events API.
        severities: what it is told of.
    """

    routing_key_file: Path
    url: Url = "https://events.pagerduty.com/v2/enqueue"
    severities: tuple[Told, ...] = (Told.CRITICAL,)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailSettings:
    """E-mail.

    Attributes:
        smarthost: mail server that takes it, `HOST:PORT`.
        sender: its address.
        to: addresses.
        username: of the mail server; None where it asks for none.
        password_file: holds the user's password; Alertmanager reads it.
        require_tls: hand nothing over without STARTTLS.
        severities: what it is told of.
    """

    smarthost: Smarthost
    sender: str
    to: Annotated[tuple[str, ...], Field(min_length=1)]
    username: str | None = None
    password_file: Path | None = None
    require_tls: bool = True
    severities: tuple[Told, ...] = ALL_TOLD

    def __post_init__(self) -> None:
        if (self.username is None) != (self.password_file is None):
            raise ValueError("username and password_file belong together; set both or none")


@dataclass(frozen=True, slots=True, kw_only=True)
class WeChatSettings:
    """An application of WeChat Work (WeCom); a group's robot needs a bridge behind `webhook`.

    Attributes:
        corp_id: of the company.
        agent_id: of the application.
        secret_file: holds the application's secret. Alertmanager reads it from 0.31 on; before, it is built in.
        to_party: departments that are told, `1|2`.
        to_user: people that are told, `alice|bob`; `@all` for everybody.
        to_tag: tags of people that are told.
        url: of the API.
        severities: what it is told of.
    """

    corp_id: str
    agent_id: str
    secret_file: Path
    to_party: str | None = None
    to_user: str | None = None
    to_tag: str | None = None
    url: Url = "https://qyapi.weixin.qq.com/cgi-bin/"
    severities: tuple[Told, ...] = ALL_TOLD

    def __post_init__(self) -> None:
        if not (self.to_party or self.to_user or self.to_tag):
            raise ValueError("nobody is told: set to_party, to_user or to_tag")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """Any web server that takes Alertmanager's JSON.

    Attributes:
        url: where alerts are posted to; it must hold no password.
        severities: what it is told of.
    """

    url: str = DEFAULT_WEBHOOK_URL
    severities: tuple[Told, ...] = ALL_TOLD

    def __post_init__(self) -> None:
        url = _parsed(self.url)
        if url.password is not None:
            raise ValueError(f"the URL for {url.host} carries a password, which others would read; leave it out")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatSettings:
    """The dead-man's switch: a service outside that raises the alarm when the heartbeat stays away.

    Attributes:
        url_file: holds its URL, which is a secret. Alertmanager reads it from 0.26 on; before, it is built in.
    """

    url_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceWindow:
    """A time in which nobody is told. Gates of `vdbmon place` stay closed nevertheless.

    Attributes:
        name: unlike those of the other windows.
        start: time of day.
        end: time of day, after `start`; a window over midnight is two.
        weekdays: on which days; none for every day.
        location: time zone of `start` and `end`.
        hosts: of these hosts only; none for all alerts.
        severities: what nobody is told of.
    """

    name: str
    start: TimeOfDay
    end: TimeOfDay
    weekdays: tuple[Weekday, ...] = ()
    location: Location = "UTC"
    hosts: tuple[str, ...] = ()
    severities: tuple[Told, ...] = (Told.WARNING,)

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise ValueError(f"start = {self.start} is not before end = {self.end}; split it in two at midnight")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertingSettings:
    """Who is told of alerts; nobody where none is set. `vdbmon alerts build` makes Alertmanager's configuration of it.

    Attributes:
        alertmanager_version: of the oldest Alertmanager that reads the configuration; 0.25 at least.
        runbook_base: put before the path of a runbook in messages, as the URL of a repository; None for the bare path.
        maintenance: times in which nobody is told.
    """

    alertmanager_version: Version = "0.25"
    runbook_base: str | None = None
    pagerduty: PagerDutySettings | None = None
    email: EmailSettings | None = None
    wechat: WeChatSettings | None = None
    webhook: WebhookSettings | None = None
    heartbeat: HeartbeatSettings | None = None
    maintenance: tuple[MaintenanceWindow, ...] = ()

    def __post_init__(self) -> None:
        names = [window.name for window in self.maintenance]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two maintenance windows are called {name!r}; rename one")

    @property
    def version(self) -> tuple[int, int]:
        """Of Alertmanager, to compare with."""
        major, minor = self.alertmanager_version.split(".")[:2]
        return int(major), int(minor)


def with_webhook(settings: AlertingSettings, url: str) -> AlertingSettings:
    """The settings, with this webhook.

    Raises:
        ConfigError: not a URL that can be posted to, or one that carries a password.
    """
    try:
        return replace(settings, webhook=WebhookSettings(url=url))
    except ValueError as error:
        raise ConfigError(
            "alerts.webhook_url", f"the webhook URL can't be used: {error}", "mend --webhook-url"
        ) from error
