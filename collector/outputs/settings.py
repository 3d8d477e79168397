"""What the outputs can be told; words are telegraf's where the meaning is the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from collector.filters import FilterSettings
from collector.projections.graphite import DEFAULT_TEMPLATE, TagSanitizeMode
from collector.projections.zabbix import KEY_PREFIX
from collector.quantities import Bytes, Delay, Seconds
from collector.urls import check_url

HttpUrl = Annotated[str, AfterValidator(check_url)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSettings(FilterSettings):
    """What every output that pushes has. All but the alias stand for the `[agent]` setting of the same name.

    Attributes:
        alias: its name in metrics and logs, and that of its spool; by default kind and address.
        flush_interval: instead of the agent's, as all down to buffer_disk_limit.
    """

    alias: Annotated[str, Field(min_length=1)] | None = None
    flush_interval: Seconds | None = None
    flush_jitter: Delay | None = None
    metric_batch_size: Annotated[int, Field(ge=1)] | None = None
    metric_buffer_limit: Annotated[int, Field(ge=1)] | None = None
    buffer_disk_limit: Bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InfluxV2Settings(PushSettings):
    """One InfluxDB v2 write endpoint.

    Attributes:
        urls: exactly one, in a list because telegraf writes it so; a second endpoint is a section of its own.
        token_file: file of mode 0600 that holds the token; None where the endpoint asks for none.
    """

    urls: Annotated[tuple[HttpUrl, ...], Field(min_length=1, max_length=1)]
    organization: str = "vdbmon"
    bucket: str = "vdbmon"
    token_file: Path | None = None
    timeout: Seconds = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class InfluxSettings(PushSettings):
    """One InfluxDB 1.x write endpoint.

    Attributes:
        urls: exactly one, in a list because telegraf writes it so; a second endpoint is a section of its own.
        retention_policy: empty for the database's default one.
        username: None where the endpoint asks for none.
        password_file: file of mode 0600 that holds the password.
    """

    urls: Annotated[tuple[HttpUrl, ...], Field(min_length=1, max_length=1)]
    database: str = "telegraf"
    retention_policy: str = ""
    username: str | None = None
    password_file: Path | None = None
    timeout: Seconds = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSettings(PushSettings):
    """Files that lines are appended to.

    Attributes:
        files: paths; `stdout` is the agent's standard output.
    """

    files: Annotated[tuple[str, ...], Field(min_length=1)]
    data_format: Literal["influx"] = "influx"


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphiteSettings(PushSettings):
    """One Graphite, or VictoriaMetrics' Graphite port.

    Attributes:
        servers: `host:port`; a batch goes to one of them. Port 2003 may be left out.
        prefix: put before every path.
        template: order of a path's nodes: `measurement`, `field`, tags by name, and `tags` for all others.
        graphite_tag_support: write tags instead of a path by template.
        graphite_tag_sanitize_mode: `compatible` keeps in tags what Graphite allows, for example `/`.
        tls_ca: certificate of the authority; this or `tls_cert` makes the connection TLS.
        tls_cert: our certificate, `tls_key` (mode 0600, without a passphrase) its key.
    """

    servers: Annotated[tuple[str, ...], Field(min_length=1)]
    prefix: str = ""
    template: str = DEFAULT_TEMPLATE
    graphite_tag_support: bool = False
    graphite_tag_sanitize_mode: TagSanitizeMode = TagSanitizeMode.STRICT
    timeout: Seconds = 5.0
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None

    def __post_init__(self) -> None:
        if not {"measurement", "field"} <= set(self.template.split(".")):
            raise ValueError(f"template {self.template!r} lacks measurement or field")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTsdbSettings(PushSettings):
    """One OpenTSDB, or VictoriaMetrics' port for it.

    Attributes:
        host: with its scheme, as `http://tsdb.example.com`.
        prefix: put before every metric.
        separator: between measurement and field.
        http_batch_size: data points of one request at the most. OpenTSDB refuses requests of more than 4 KiB
            (compressed) unless tsd.http.request.enable_chunked is set.
        http_path: where data points are put.
    """

    host: str
    port: Annotated[int, Field(ge=1, le=65535)] = 4242
    prefix: str = ""
    separator: str = "_"
    http_batch_size: Annotated[int, Field(gt=0)] = 50
    http_path: str = "/api/put"
    timeout: Seconds = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ZabbixSettings(PushSettings):
    """One Zabbix server or proxy.

    Attributes:
        address: `host:port`; port 10051 may be left out.
        agent_active: the items are of type "Zabbix agent (active)" instead of "Zabbix trapper".
        key_prefix: put before every key.
        host_tag: the tag whose value is the host's name in Zabbix; a point without it belongs to this machine's name.
        autoregister: host metadata by which Zabbix' autoregistration may create the host; empty: not asked for.
        autoregister_resend_interval: from one request for registration to the next.
        lld_send_interval: from one sending of discovery data that has changed to the next.
        lld_clear_interval: from one sending of all discovery data to the next.
    """

    address: str
    agent_active: bool = False
    key_prefix: str = KEY_PREFIX
    host_tag: str = "host"
    autoregister: str = ""
    autoregister_resend_interval: Seconds = 1800.0
    lld_send_interval: Seconds = 600.0
    lld_clear_interval: Seconds = 3600.0
    timeout: Seconds = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSettings:
    """Where samples are pushed to, besides being served on `/metrics`."""

    influxdb_v2: tuple[InfluxV2Settings, ...] = ()
    influxdb: tuple[InfluxSettings, ...] = ()
    file: tuple[FileSettings, ...] = ()
    graphite: tuple[GraphiteSettings, ...] = ()
    opentsdb: tuple[OpenTsdbSettings, ...] = ()
    zabbix: tuple[ZabbixSettings, ...] = ()
