"""Which agents `top` asks: those named on the command line, else those of the configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vdbmon.top.access import open_access
from vdbmon.top.agents import Agent, agent_at

if TYPE_CHECKING:
    from vdbmon.config import Config

_ANY_ADDRESS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what an agent listens on, not we


def agents_to_watch(urls: Sequence[str], config: Path | None) -> tuple[Agent, ...]:
    """The agents, each once.

    Without URLs: those of `[[hosts]]`; where none of these has an agent, the one that `[agent] listen` starts here.
    Agents are asked as `[top]` says; with URLs a configuration is read only if it is named.

    Raises:
        ConfigError: an address or the configuration is wrong, or there is none.
    """
    found = [agent_at(url) for url in urls]
    if not urls or config is not None:
        found = _configured(config, found)
    return tuple({agent.url: agent for agent in found}.values())


def _configured(option: Path | None, named: Sequence[Agent]) -> list[Agent]:
    from vdbmon.config import find_config, load_config  # noqa: PLC0415 - a quarter of a second, not needed for URLs

    config = load_config(find_config(option))
    found = named or [agent_at(host.agent, host.name) for host in config.hosts if host.agent is not None]
    access = open_access(config.top)
    return [replace(agent, access=access) for agent in found or [_own(config)]]


def _own(config: Config) -> Agent:
    """The agent that this configuration starts here."""
    return agent_at(local_url(config.agent.listen, config.agent.web_config_file), config.host.name)


def local_url(listen: str, web_config_file: Path | None) -> str:
    """Where a server of this host is reached from here, by its settings of these names.

    Raises:
        ConfigError: the web configuration can't be used.
    """
    from collector.web.web_config import load_protection  # noqa: PLC0415 - as above

    tls = web_config_file is not None and load_protection(web_config_file).tls is not None
    return f"{'https' if tls else 'http'}://{_local(listen)}"


def _local(listen: str) -> str:
    """Where to reach what listens on `host:port`, `[v6]:port` or `:port`."""
    address, _, port = listen.rpartition(":")
    address = address.removeprefix("[").removesuffix("]")
    address = _ANY_ADDRESS.get(address, address)
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
