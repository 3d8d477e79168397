"""Which agents `top` asks: those named on the command line, else those of the configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vdbmon.top.agents import Agent, agent_at

_ANY_ADDRESS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what an agent listens on, not we


def agents_to_watch(urls: Sequence[str], config: Path | None) -> tuple[Agent, ...]:
    """The agents, each once.

    Without URLs: those of `[[hosts]]`; where none of these has an agent, the one that `[agent] listen` starts here.

    Raises:
        ConfigError: an address or the configuration is wrong, or there is none.
    """
    found = [agent_at(url) for url in urls] if urls else _configured(config)
    return tuple({agent.url: agent for agent in found}.values())


def _configured(option: Path | None) -> list[Agent]:
    from vdbmon.config import find_config, load_config  # noqa: PLC0415 - a quarter of a second, not needed for URLs

    config = load_config(find_config(option))
    found = [agent_at(host.agent, host.name) for host in config.hosts if host.agent is not None]
    return found or [agent_at(_local(config.agent.listen), config.host.name)]


def _local(listen: str) -> str:
    """Where to reach what listens on `host:port`, `[v6]:port` or `:port`."""
    address, _, port = listen.rpartition(":")
    address = address.removeprefix("[").removesuffix("]")
    address = _ANY_ADDRESS.get(address, address)
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
