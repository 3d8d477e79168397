"""The commented sample of the configuration file, made of the dataclasses that are its sections.

Lines that begin with `## ` explain, lines that begin with `# ` are settings: uncommented as they stand, all of them
together are a valid file. What has a default shows it; the others show an example, and say that it is one.
"""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from enum import Enum
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import BeforeValidator

from collector.outputs.settings import PushSettings
from collector.quantities import format_bytes, parse_bytes, parse_delay, parse_seconds
from collector.settings import CommonSettings, TimedSettings
from vdbmon.config import Config

_WIDTH = 118
_NEEDED_NOW = "every host has its own"
_HEAD = """\
vdbmon's configuration: all of it, with its defaults. `vdbmon agent config` prints this, `vdbmon agent check-config`
checks a file.

Lines that begin with ## explain. Lines that begin with # are settings, at their default or, where they have none, at
an example: uncomment what you change. Durations: 10s, 500ms, 1m30s. Sizes: 500MB (decimal), 1GiB (binary). Secrets
stand in files of mode 0600, never here.
"""

# What stands where there is no default, by the end of the key's path; the longest that fits counts.
_EXAMPLES: Mapping[str, object] = {
    "host.name": "dr-host-01",
    "global_tags": {"site": "fra1"},
    "tags": {"rack": "r7"},
    "inputs.host.interval": "30s",
    "inputs.host.namepass": ["cpu", "mem", "node_load*"],
    "inputs.host.tagpass": {"device": ["sd*", "nvme*"]},
    "inputs.host.fieldinclude": ["load*", "time_*"],
    "inputs.host.fieldexclude": ["time_{nice,steal}"],
    "interval": "1m",
    "namepass": ["cpu", "docker_container_*"],
    "namedrop": ["kernel_vmstat"],
    "tagpass": {"container_name": ["dr-*"]},
    "tagdrop": {"device": ["loop*", "ram*"]},
    "fieldinclude": ["usage_*", "rx_*"],
    "fieldexclude": ["time_*"],
    "taginclude": ["host", "container_name"],
    "tagexclude": ["container_version"],
    "web_config_file": "/etc/vdbmon/web.yml",
    "metric_buffer_limit": 100_000,
    "metric_batch_size": 1000,
    "buffer_disk_limit": "256MiB",
    "flush_interval": "10s",
    "flush_jitter": "2s",
    "docker.address": "unix:///var/run/docker.sock",
    "docker.root": "/var/lib/docker",
    "docker_label_include": ["com.example.team"],
    "volume.du": ["dr-*:/backup"],
    "job.volumes_dir": "/var/lib/vdbmon/volumes",
    "process.groups.pattern": "python3? /opt/backup/run",
    "exec.commands": ["/usr/local/bin/raid-state --brief", ["/opt/plugins/plugin", "a b"]],
    "exec.alias": "raid",
    "alias": "site",
    "influxdb_v2.urls": ["http://influxdb:8086"],
    "influxdb.urls": ["http://influxdb:8086"],
    "token_file": "/etc/vdbmon/influx.token",
    "username": "vdbmon",
    "password_file": "/etc/vdbmon/influx.password",
    "file.files": ["stdout", "/var/log/vdbmon/points"],
    "graphite.servers": ["graphite:2003"],
    "tls_ca": "/etc/vdbmon/ca.pem",
    "tls_cert": "/etc/vdbmon/client.pem",
    "tls_key": "/etc/vdbmon/client.key",
    "opentsdb.host": "http://opentsdb",
    "zabbix.address": "zabbix:10051",
    "alerting.runbook_base": "https://git.example.com/vdbmon/blob/main/",
    "pagerduty.routing_key_file": "/etc/vdbmon/pagerduty.key",
    "email.smarthost": "smtp.example.com:587",
    "email.sender": "vdbmon@example.com",
    "email.to": ["dba@example.com"],
    "email.username": "vdbmon",
    "email.password_file": "/etc/vdbmon/smtp.password",
    "wechat.corp_id": "ww0123456789abcdef",
    "wechat.agent_id": "1000002",
    "wechat.secret_file": "/etc/vdbmon/wechat.secret",
    "wechat.to_party": "1|2",
    "wechat.to_user": "alice|bob",
    "wechat.to_tag": "dba",
    "heartbeat.url_file": "/etc/vdbmon/heartbeat.url",
    "maintenance.name": "sunday-night",
    "maintenance.start": "02:00",
    "maintenance.end": "04:00",
    "maintenance.weekdays": ["sunday"],
    "maintenance.hosts": ["dr-host-01"],
    "hosts.name": "dr-host-01",
    "hosts.agent": "http://10.0.0.11:9273",
    "hosts.docker": "unix:///var/run/docker.sock",
    "hosts.zone": "fra1-a",
    "hosts.device_class": "nvme",
    "hosts.pools": ["backup-net"],
    "hosts.labels": {"rack": "r7"},
    "hosts.disks": {"/var/lib/docker": "/dev/nvme0n1"},
    "tls.ca": "/etc/vdbmon/docker/ca.pem",
    "tls.cert": "/etc/vdbmon/docker/cert.pem",
    "tls.key": "/etc/vdbmon/docker/key.pem",
    "ssh.key": "/etc/vdbmon/ssh/id_ed25519",
    "ssh.known_hosts": "/etc/vdbmon/ssh/known_hosts",
    "pools.name": "backup-net",
    "pools.range": "10.20.0.0/24",
    "pools.gateway": "10.20.0.1",
    "pools.vlan": 120,
    "pools.exclude": ["10.20.0.2-10.20.0.9", "10.20.0.64/28"],
    "inventory.cpus": 16,
    "inventory.memory": "120GiB",
    "inventory.disk": "4TB",
    "inventory.read_bps": "400MB",
    "inventory.write_bps": "300MB",
    "inventory.read_iops": 20_000,
    "inventory.write_iops": 10_000,
    "inventory.network_in": "1GB",
    "inventory.network_out": "1GB",
    "reserved.memory": "4GiB",
    "reserved.disk": "100GB",
    "sources.name": "orders",
    "sources.reach": "local",
    "sources.address": "unix:///run/mysqld/mysqld.sock",
    "sources.credentials_file": "/etc/vdbmon/orders.cnf",
    "sources.host": "dr-host-01",
    "sources.data_dir": "/srv/orders/mysql",
    "sources.readers": 1,
    "sources.sql_address": "tcp://orders.example:3306",
    "sources.ssl_ca_file": "/etc/vdbmon/orders-ca.pem",
    "sources.throttle": 100,
    "ssh.key_file": "/etc/vdbmon/orders.key",
    "ssh.known_hosts_file": "/etc/vdbmon/known_hosts",
    "sources.tls.ca_file": "/etc/vdbmon/orders-ca.pem",
    "sources.tls.cert_file": "/etc/vdbmon/backup.pem",
    "sources.tls.key_file": "/etc/vdbmon/backup.key",
    "encryption.recipients_file": "/etc/vdbmon/age.recipients",
    "encryption.identity_file": "/etc/vdbmon/age.identity",
    "copy.repository": "sftp:backup@far.example:/srv/restic",
    "copy.password_file": "/etc/vdbmon/restic.password",
    "s3.credentials_file": "/etc/vdbmon/restic.s3",
    "s3.ca_file": "/etc/vdbmon/s3-ca.pem",
    "retention.count": 7,
    "retention.window": "14d",
    "schedules.name": "orders-nightly",
    "schedules.source": "orders",
    "schedules.cron": "30 2 * * *",
    "schedules.full_every": "7d",
    "schedules.fresh": "26h",
    "schedules.verify": "8d",
    "schedules.host": "dr-host-01",
    "schedules.zone": "fra1-a",
    "schedules.device_class": "nvme",
    "schedules.pool": "backup-net",
    "schedules.labels": {"rack": "r7"},
}

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")

# Explained in full where they first come up; later sections refer to there.
_SHARED: tuple[tuple[type, str], ...] = ((TimedSettings, "inputs.host"), (PushSettings, "outputs.influxdb_v2"))


@dataclass(frozen=True, slots=True)
class _Setting:
    """One line and what explains it. `remark` is empty where the value is the default."""

    key: str
    value: object
    text: str
    remark: str = ""

    def lines(self) -> Iterator[str]:
        if self.text:
            yield from _comment(self.text)
        mark = "" if self.remark == _NEEDED_NOW else "# "
        remark = f"  # {self.remark}" if self.remark else ""
        yield f"{mark}{self.key} = {_toml(self.value)}{remark}"


@dataclass(frozen=True, slots=True)
class _Section:
    """A table of the file; without settings of its own it has no header, only its text."""

    header: str
    text: str
    settings: tuple[_Setting, ...]
    note: str = ""

    def lines(self) -> Iterator[str]:
        if self.text:
            yield from _comment(self.text)
        if self.settings or self.note:
            needed = any(setting.remark == _NEEDED_NOW for setting in self.settings)
            yield self.header if needed else f"# {self.header}"
        if self.note:
            yield from _comment(self.note)
        for setting in self.settings:
            yield from setting.lines()
        yield ""


def sample_config() -> str:
    """The file."""
    lines = [f"## {line}".rstrip() for line in _HEAD.splitlines()] + [""]
    for section in _sections(Config, (), None, ""):
        lines += section.lines()
    return "\n".join(lines).strip() + "\n"


def _sections(
    kind: type, path: tuple[str, ...], default: object, text: str, *, array: bool = False
) -> Iterator[_Section]:
    """The section of a dataclass, then those within it. `default` is an instance, None for one that isn't there."""
    hints, texts = get_type_hints(kind, include_extras=True), _documented(kind)
    shared, where = _shared(kind, path)
    settings: list[_Setting] = []
    within: list[Iterator[_Section]] = []
    for item in fields(kind):
        here, explained = (*path, item.name), texts.get(item.name, "")
        value = _default(item) if default is None else getattr(default, item.name)
        inner = _dataclass_in(hints[item.name])
        if inner is not None and get_origin(hints[item.name]) is tuple:
            within.append(_repeated(inner, here, value, explained or _summary(inner)))
        elif inner is not None:
            within.append(_sections(inner, here, None if value is MISSING else value, explained or _summary(inner)))
        elif not path:
            within.append(_table_of_names(here, explained))
        elif item.name not in shared:
            settings.append(_setting(hints[item.name], here, value, explained))
    if path:
        name = ".".join(path)
        note = f"As in [{where}]: {', '.join(sorted(shared))}." if shared else ""
        yield _Section(f"[[{name}]]" if array else f"[{name}]", text, tuple(settings), note)
    for sections in within:
        yield from sections


def _repeated(kind: type, path: tuple[str, ...], defaults: Any, text: str) -> Iterator[_Section]:
    """An array of tables: the defaults, or one example where there are none."""
    first, *more = defaults or [None]
    yield from _sections(kind, path, first, text, array=True)
    for one in more:
        yield from map(_without_words, _sections(kind, path, one, "", array=True))


def _table_of_names(path: tuple[str, ...], text: str) -> Iterator[_Section]:
    example = _example(path)
    assert isinstance(example, Mapping)  # noqa: S101 - the table is above
    settings = tuple(_Setting(key, value, "", "an example") for key, value in example.items())
    yield _Section(f"[{path[0]}]", text, settings)


def _setting(hint: Any, path: tuple[str, ...], value: object, text: str) -> _Setting:
    if value is not MISSING and value not in (None, (), {}):
        return _Setting(path[-1], _spelled(hint, value), text)
    if value is MISSING:
        remark = _NEEDED_NOW if path == ("host", "name") else "has to be set"
    else:
        remark = "an example; not set by default"
    return _Setting(path[-1], _example(path), text, remark)


def _without_words(section: _Section) -> _Section:
    """What follows the first of several: without explanations and examples."""
    settings = tuple(replace(setting, text="") for setting in section.settings if not setting.remark)
    return replace(section, settings=settings, note="")


def _shared(kind: type, path: tuple[str, ...]) -> tuple[set[str], str]:
    """The keys that were explained with another section, and which that was."""
    for common, where in _SHARED:
        if ".".join(path) != where:
            names = {item.name for item in fields(common)}
            if issubclass(kind, common):
                return names, where
            # An input without an interval of its own, or with one that means something else.
            if common is TimedSettings and issubclass(kind, CommonSettings):
                return names & {item.name for item in fields(CommonSettings)}, where
    return set(), ""


def _dataclass_in(hint: Any) -> type | None:
    if isinstance(hint, type) and is_dataclass(hint):
        return hint
    return next((found for part in get_args(hint) if (found := _dataclass_in(part)) is not None), None)


def _default(item: Field[Any]) -> object:
    return item.default_factory() if item.default_factory is not MISSING else item.default


def _example(path: tuple[str, ...]) -> object:
    for begin in range(len(path)):
        found = _EXAMPLES.get(".".join(path[begin:]))
        if found is not None:
            return found
    raise KeyError(f"{'.'.join(path)} has neither a default nor an example")


def _spelled(hint: Any, value: object) -> object:
    """A value as people write it: with its unit."""
    readers = {part.func for part in getattr(hint, "__metadata__", ()) if isinstance(part, BeforeValidator)}
    readers |= {
        part.func
        for inner in get_args(hint)
        for part in getattr(inner, "__metadata__", ())
        if isinstance(part, BeforeValidator)
    }
    if isinstance(value, float) and readers & {parse_seconds, parse_delay}:
        return _duration(value)
    if isinstance(value, int) and parse_bytes in readers:
        return format_bytes(value).replace(" ", "")
    return value


def _duration(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s" if seconds == 0 or seconds >= 1 else f"{seconds * 1000:g}ms"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, re.Pattern):
        return _toml(value.pattern)
    if isinstance(value, Enum):
        return _toml(value.value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(str(value), ensure_ascii=False)


def _key(text: str) -> str:
    return text if _BARE_KEY.fullmatch(text) else json.dumps(text)


@cache
def _documented(kind: type) -> Mapping[str, str]:
    """What the docstrings of a dataclass and its bases say of each attribute."""
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        _, _, attributes = (inspect.cleandoc(base.__doc__ or "")).partition("Attributes:\n")
        for entry in re.split(r"\n(?=    \w)", "\n" + attributes):
            name, colon, text = entry.strip().partition(":")
            if colon and name.isidentifier():
                texts[name] = " ".join(text.split())
    return texts


def _summary(kind: type) -> str:
    return " ".join(inspect.cleandoc(kind.__doc__ or "").partition("\n\nAttributes:")[0].split())


def _comment(text: str) -> Iterator[str]:
    said = text.replace("None", "left out")  # TOML has no such word
    return (f"## {line}" for line in textwrap.wrap(said[:1].upper() + said[1:], _WIDTH - 3))
