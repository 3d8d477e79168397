"""The one TOML file: where it is, what it may hold, and what is said when it is wrong.

Every section is a frozen dataclass of the room that reads it; pydantic checks types, this module adds file, key and
what would be right.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ArgsKwargs

from alerts.settings import AlertingSettings
from collector.agent.config import AgentConfig
from collector.constant_tags import TagValues
from collector.errors import ConfigError
from collector.outputs.settings import OutputSettings
from collector.settings import AgentSettings, InputSettings
from orchestrator.backup.settings import ScheduleSettings
from orchestrator.decision.addresses import pool_faults
from orchestrator.engines.address import engine_faults
from orchestrator.serve.settings import ServeSettings
from orchestrator.settings import (
    Endpoint,
    FleetSettings,
    HostSettings,
    LedgerSettings,
    PoolSettings,
    SourceSettings,
    VolumeSettings,
)
from vdbmon.top.access import AccessSettings

ENVIRONMENT_VARIABLE = "VDBMON_CONFIG"
DEFAULT_PATHS = (Path("vdbmon.toml"), Path("/etc/vdbmon/vdbmon.toml"))

_OUTPUTS_ONLY = "outputs have it; on an input it would give two series of /metrics the same labels"
# Words of telegraf that its users bring along, where a similar word of ours would mislead.
_TELEGRAF_HINTS = {
    "fieldpass": "its new name is fieldinclude",
    "fielddrop": "its new name is fieldexclude",
    "taginclude": _OUTPUTS_ONLY,
    "tagexclude": _OUTPUTS_ONLY,
    "hostname": "the host's name is [host] name",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HostIdentity:
    """`name` keys everything: the `host` label of series and alerts, the ledger's row, the engine's name."""

    name: Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole file; all sections but `[host]` have defaults.

    Attributes:
        global_tags: put on every series of the agent, as labels and as tags; what a series says itself goes before.
        inputs: what the agent measures. Tags and filters of an input are in force on `/metrics` and in all outputs. In
            its filters a name is the metric's in Prometheus or telegraf's measurement, a tag is a label or telegraf's
            tag, and a field is telegraf's or the metric's name in Prometheus.
        outputs: where the agent pushes to, under telegraf's names; `/metrics` is there anyway. What waits for a far end
            that is away is kept on disk.
        prometheus: where `vdbmon place` reads alerts and use.
        alertmanager: where the local stack sends alerts.
        top: how `vdbmon top` reaches agents that are protected.
        serve: `vdbmon serve`, once per fleet: reconciles, exports the ledger as metrics, gives Prometheus its targets.
        alerting: who is told of alerts, and when not.
        hosts: the fleet: hosts that containers can be placed on.
        sources: databases to back up.
        pools: where containers that need an address get it from; each in a network of its own.
        schedules: jobs that come again; `vdbmon serve` places them.
    """

    host: HostIdentity
    agent: AgentSettings = field(default_factory=AgentSettings)
    global_tags: TagValues = field(default_factory=dict)
    inputs: InputSettings = field(default_factory=InputSettings)
    outputs: OutputSettings = field(default_factory=OutputSettings)
    prometheus: Endpoint = field(default_factory=lambda: FleetSettings().prometheus)
    alertmanager: Endpoint = field(default_factory=lambda: FleetSettings().alertmanager)
    alerting: AlertingSettings = field(default_factory=AlertingSettings)
    ledger: LedgerSettings = field(default_factory=LedgerSettings)
    volumes: VolumeSettings = field(default_factory=VolumeSettings)
    top: AccessSettings = field(default_factory=AccessSettings)
    serve: ServeSettings = field(default_factory=ServeSettings)
    hosts: tuple[HostSettings, ...] = ()
    sources: tuple[SourceSettings, ...] = ()
    pools: tuple[PoolSettings, ...] = ()
    schedules: tuple[ScheduleSettings, ...] = ()

    def agent_config(self) -> AgentConfig:
        """What the agent reads: its own sections, and where the scheduler keeps the volumes of jobs."""
        job = replace(self.inputs.job, volumes_dir=self.inputs.job.volumes_dir or self.volumes.dir)
        return AgentConfig(
            host=self.host.name,
            agent=self.agent,
            inputs=replace(self.inputs, job=job),
            outputs=self.outputs,
            global_tags=self.global_tags,
        )

    def fleet(self) -> FleetSettings:
        """What the scheduler reads."""
        return FleetSettings(
            prometheus=self.prometheus,
            alertmanager=self.alertmanager,
            ledger=self.ledger,
            volumes=self.volumes,
            hosts=self.hosts,
            sources=self.sources,
            pools=self.pools,
            schedules=self.schedules,
        )


class _Document(BaseModel):
    """Carries `extra="forbid"` down into the sections, which are plain dataclasses."""

    model_config = ConfigDict(extra="forbid")

    config: Config


def find_config(option: Path | None, environment: Mapping[str, str] = os.environ) -> Path:
    """The file that is used: `--config`, else VDBMON_CONFIG, else ./vdbmon.toml, else /etc/vdbmon/vdbmon.toml.

    Raises:
        ConfigError: none of them exists.
    """
    if option is not None:
        return option
    if ENVIRONMENT_VARIABLE in environment:
        return Path(environment[ENVIRONMENT_VARIABLE])
    for path in DEFAULT_PATHS:
        if path.is_file():
            return path
    raise ConfigError(
        "config.not_found",
        f"no configuration: neither --config nor {ENVIRONMENT_VARIABLE} is given and "
        f"{' and '.join(map(str, DEFAULT_PATHS))} do not exist",
        "write one, or run `make up`, which does",
    )


def load_config(path: Path) -> Config:
    """Read and check a file.

    Raises:
        ConfigError: unreadable, not TOML, or a key or value that is wrong; names file, key and what would be right.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError("config.unreadable", f"{path}: {error.strerror}", "check the path and its mode") from error
    except (ValueError, RecursionError) as error:  # of tomllib, also for numbers that are too long; or no UTF-8
        raise ConfigError("config.syntax", f"{path}: not TOML: {error}", "mend that line") from error
    return check_config(document, path)


def check_config(document: dict[str, Any], path: Path) -> Config:
    """The checked form of a parsed file; `path` is what errors name."""
    try:
        config = _Document.model_validate({"config": document}).config
    except ValidationError as error:
        raise ConfigError("config.invalid", "\n".join(_sentences(error, path))) from error
    _refuse_short_intervals(path, config)
    _refuse_doubles(path, "hosts", [host.name for host in config.hosts])
    _refuse_doubles(path, "sources", [source.name for source in config.sources])
    _refuse_doubles(path, "pools", [pool.name for pool in config.pools])
    faults = [*engine_faults(config.hosts), *pool_faults(config.pools, config.hosts)]
    if faults:
        raise ConfigError("config.invalid", "\n".join(f"{path}: {fault}" for fault in faults))
    _refuse_doubles(path, "schedules", [schedule.name for schedule in config.schedules])
    _refuse_schedules_of_nothing(path, config)
    return config


def _refuse_short_intervals(path: Path, config: Config) -> None:
    for name, section in config.inputs.timed().items():
        if section.interval is not None and section.interval < config.agent.interval:
            raise ConfigError(
                "config.interval",
                f"{path}: inputs.{name}.interval = {section.interval:g} s is below agent.interval = "
                f"{config.agent.interval:g} s, and collections come no faster than that",
                "lower agent.interval",
            )


def _refuse_schedules_of_nothing(path: Path, config: Config) -> None:
    known = {
        "sources": {source.name for source in config.sources},
        "hosts": {host.name for host in config.hosts},
        "pools": {pool.name for pool in config.pools},
    }
    for schedule in config.schedules:
        for section, name in (("sources", schedule.source), ("hosts", schedule.host), ("pools", schedule.pool)):
            if name is not None and name not in known[section]:
                raise ConfigError(
                    "config.invalid",
                    f"{path}: schedule {schedule.name!r} names {name!r}, which is not in [[{section}]]",
                    f"known: {', '.join(sorted(known[section])) or 'none'}",
                )


def _refuse_doubles(path: Path, section: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ConfigError("config.double", f"{path}: two [[{section}]] are called {name!r}", "rename one")


def _sentences(error: ValidationError, path: Path) -> Iterator[str]:
    for item in error.errors(include_url=False):
        location = tuple(part for part in item["loc"][1:] if part != "[key]")
        key = _dotted(location)
        if item["type"] == "unexpected_keyword_argument":
            known = _known_keys(location[:-1])
            close = difflib.get_close_matches(str(location[-1]), known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(sorted(known))}"
            hint = _TELEGRAF_HINTS.get(str(location[-1]), hint)
            yield f"{path}: unknown key {key}; {hint}"
        elif item["type"] == "missing":
            yield f"{path}: {key} is missing"
        elif isinstance(item["input"], Mapping | ArgsKwargs):
            yield f"{path}: {key}: {item['msg'].removeprefix('Value error, ')}"
        else:
            yield f"{path}: {key} = {item['input']!r}: {item['msg'].removeprefix('Value error, ')}"


def _dotted(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    """The keys that the section at `location` may have, by walking the dataclasses' type hints."""
    section: Any = Config
    for part in location:
        if not isinstance(part, int):
            section = get_type_hints(section)[part]
        while not is_dataclass(section):
            candidates = [argument for argument in get_args(section) if argument is not Ellipsis]
            section = candidates[0]
    return [item.name for item in fields(section)]
